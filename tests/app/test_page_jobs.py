"""Adding data from the search page: a source is chosen, stopped, taken up again, and found in the end."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import ask, chromium, ids, opened, served
from PIL import Image
from slowly import take_time

import geoanchor
from app.access import Access

pytestmark = pytest.mark.browser
_COUNT = 700
_WATCH = """() => {
  window.said = [];
  new MutationObserver(() => window.said.push(document.querySelector(".jobs")?.innerText ?? ""))
    .observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def folder(painted_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(painted_index, tmp_path / "own.index"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    target = tmp_path / "data" / "photos"
    target.mkdir(parents=True)
    (tmp_path / "data" / "notes.txt").touch()
    pixels = np.random.default_rng(0).integers(0, 255, (_COUNT, 24, 24, 3), np.uint8)
    pixels[0] = pixels[0] // 8 + np.array((215, 5, 5), np.uint8)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(target / f"{number}.png")
    return target


def job(page: Any, state: str) -> Any:
    found = page.locator(f'.jobs [data-state="{state}"]')
    found.wait_for()
    return found


def test_a_source_is_indexed_cancelled_resumed_and_found(
    browser: Any, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_time(monkeypatch)
    access = Access(requests_per_s=0, indexing=True, folders=(photos.parent,))
    with (
        served(geoanchor.open(folder), access) as address,
        opened(browser, address, "/#weak=1") as page,
    ):
        page.get_by_role("button", name="Add data").click()
        page.evaluate(_WATCH)
        source = page.get_by_label("Source", exact=True)
        assert source.evaluate("input => [...input.list.options].map(option => option.value)") == [
            str(photos),
            "city:7",
        ]
        source.fill("/etc")
        page.get_by_role("button", name="Index").click()
        page.get_by_role("alert").filter(has_text="may not be indexed from here").wait_for()
        source.fill(str(photos))
        page.get_by_label("It shows").select_option("ground photos")
        page.get_by_role("button", name="Index").click()
        page.wait_for_function("() => document.querySelector('.jobs progress')?.value > 0")
        page.get_by_role("button", name="Cancel").click()
        job(page, "stopped").get_by_role("button", name="Resume").click()
        done = job(page, "done")
        assert str(photos) in done.inner_text()
        assert f"{32 + _COUNT:,} rows".replace(",", "") in done.inner_text().replace(",", "")
        said = "\n".join(page.evaluate("window.said"))
        assert f"of {_COUNT:,}" in said
        assert " left" in said
        assert page.locator(".said-wrong").first.inner_text() == ""
        with page.expect_navigation():
            page.keyboard.press("Escape")
        page.get_by_text(f"{32 + _COUNT:,} pictures").wait_for()
        ask(page, "red -green layer:ground")
        assert ids(page)[0].endswith("/0.png")


def test_a_source_without_an_end_is_taken_where_the_map_looks(browser: Any, folder: Path) -> None:
    with served(geoanchor.open(folder), Access(indexing=True)) as address, opened(browser, address) as page:
        page.get_by_role("button", name="Add data").click()
        page.get_by_label("Source", exact=True).fill("city:7")
        page.get_by_label("Only what the map shows").check()
        with page.expect_request(lambda request: request.method == "POST") as sent:
            page.get_by_role("button", name="Index").click()
        west, south, east, north = sent.value.post_data_json["within"]
        red = geoanchor.open(folder).search("red", k=1)[0]
        assert west < red.lng < east
        assert south < red.lat < north
        job(page, "running").get_by_role("button", name="Cancel").click()
        job(page, "stopped")


def test_a_service_that_only_searches_offers_none(browser: Any, painted_index: Path) -> None:
    with served(geoanchor.open(painted_index)) as address, opened(browser, address) as page:
        page.locator(".welcome").wait_for()
        page.wait_for_load_state("networkidle")
        assert page.get_by_role("button", name="Add data").is_hidden()
