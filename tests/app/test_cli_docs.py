import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from app import cli
from scripts.cli_docs import PAGE, page

PAGES = sorted(Path(PAGE).parent.glob("*.md"))


def documented() -> Iterator[str]:
    """Every command of the pages that a reader may copy."""
    for path in PAGES:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
            lines = map(str.strip, block.replace("\\\n", " ").splitlines())
            yield from (line for line in lines if line.startswith("geoanchor ") and path != Path(PAGE))


def test_the_page_is_up_to_date() -> None:
    assert Path(PAGE).read_text("utf-8") == page(), "run `make docs`"


def test_every_command_is_on_it() -> None:
    for name in ("demo", "index", "search", "describe", "evaluate map-to-aerial", "serve", "export"):
        assert f"## `geoanchor {name}`" in page()


@pytest.mark.parametrize("line", sorted(set(documented())))
def test_every_command_of_the_pages_is_one(line: str) -> None:
    name, *words = shlex.split(line, comments=True)
    command = typer.main.get_command(cli.app)
    while words and words[0] in getattr(command, "commands", ()):
        name, *words = words
        command = command.commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, words) as context:
        assert context.command is not typer.main.get_command(cli.app)
