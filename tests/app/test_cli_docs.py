from pathlib import Path

from scripts.cli_docs import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert Path(PAGE).read_text("utf-8") == page(), "run `make docs`"


def test_every_command_is_on_it() -> None:
    for name in ("demo", "index", "search", "describe", "evaluate map-to-aerial", "serve", "export"):
        assert f"## `geoanchor {name}`" in page()
