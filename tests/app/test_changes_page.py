"""The page of changes in a real Chromium, with every request to another machine refused and counted."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from structured import Drawing, GridEncoder, index_of, town_block

import geoanchor
from app import wiring
from app.api import create_api
from geoanchor.tiling import Tile, tile_at

pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FIRST = tile_at(12.5, 47.5, 17)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> wiring.Index:
    """Four places: new buildings at one, demolished ones at another."""
    monkeypatch.setattr("models.bundle.load_bundle", lambda _name, _settings: GridEncoder())
    ground = {Tile(17, FIRST.x + x, FIRST.y): town_block(x) for x in range(4)}
    maps = {tile: grid.copy() for tile, grid in ground.items()}
    tiles = list(ground)
    ground[tiles[1]][12:17, 12:17] = 3
    maps[tiles[2]][11:17, 12:18] = 3
    return geoanchor.open(index_of(tmp_path / "town.index", Drawing(ground, "aerial"), Drawing(maps, "map")))


@pytest.fixture
def address(index: wiring.Index) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_api(index), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page; fails when it asked another machine for anything or a script failed."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, chromium-browser or google-chrome on the PATH")
    from playwright.sync_api import sync_playwright

    outside: list[str] = []
    errors: list[str] = []

    def route(request: Any) -> None:
        local = request.request.url.startswith((address, "data:"))
        if not local:
            outside.append(request.request.url)
        request.continue_() if local else request.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1200, "height": 1000})
        opened.set_default_timeout(60_000)
        opened.route("**/*", route)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(address + "/changes")
        yield opened
        browser.close()
    assert outside == []
    assert errors == []


def test_a_reviewer_sees_decides_and_is_not_asked_again(page: Any, index: wiring.Index) -> None:
    places = page.locator(".changes li")
    places.first.wait_for()
    assert places.count() == 2
    assert "4 pairs of map and picture compared" in page.locator(".headline").inner_text()
    first = places.first
    assert {"map", "imagery", "where they disagree"} == set(first.locator("figcaption").all_inner_texts())
    for picture in first.locator("img").all():
        picture.evaluate("picture => picture.decode()")
        assert picture.evaluate("picture => picture.naturalWidth") > 0
    outline = first.locator(".over path").bounding_box()
    frame = first.locator(".over").bounding_box()
    assert 0.05 < outline["width"] / frame["width"] < 0.5
    assert frame["x"] < outline["x"] < outline["x"] + outline["width"] <= frame["x"] + frame["width"] + 1
    shown = first.get_attribute("data-change")
    first.get_by_label("note").fill("a tent, <b>no house")
    first.get_by_role("button", name="Reject").click()
    page.locator(f'[data-change="{shown}"]').wait_for(state="detached")
    (review,) = index.reviews()
    assert (review.change, review.decision, review.note) == (shown, "reject", "a tent, <b>no house")
    page.get_by_role("button", name="Compare").click()
    page.locator(".headline", has_text="1 reviewed").wait_for()
    assert places.count() == 1
    page.get_by_label("also what agrees or was reviewed").check()
    page.get_by_role("button", name="Compare").click()
    page.locator(".changes li", has_text="rejected").wait_for()
    assert places.count() == 4
    assert page.locator(".facts b", has_text="no house").count() == 0


def test_what_cannot_be_answered_is_said(page: Any) -> None:
    page.locator(".changes li").first.wait_for()
    page.get_by_label("Only within latitude").fill("0, 0, 10")
    page.get_by_role("button", name="Compare").click()
    page.locator(".headline.error").wait_for()
    assert "no map and aerial picture show the same ground in that region" in page.locator(".headline").inner_text()
