"""The search page in a real Chromium: words, map, region, more and less of the same, comparing, links, files."""

import csv
import io
import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from browsing import ask, chip, chromium, drawn, ids, opened, served, start_anew
from PIL import Image

import geoanchor
from geoanchor.tiling import Tile, tile_at

pytestmark = pytest.mark.browser
_CLIPBOARD = ["clipboard-read", "clipboard-write"]


@pytest.fixture(scope="module")
def address(painted_index: Path) -> Iterator[str]:
    with served(geoanchor.open(painted_index)) as url:
        yield url


@pytest.fixture(scope="module")
def opened_page(address: str) -> Iterator[Any]:
    with chromium() as browser, opened(browser, address, "/#weak=1", permissions=_CLIPBOARD) as page:
        page.locator(".map-left").wait_for()
        yield page


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The page with nothing asked."""
    start_anew(opened_page)
    return opened_page


@pytest.fixture(scope="module")
def red(painted_tiles: dict[Tile, str]) -> Tile:
    return next(tile for tile, colour in painted_tiles.items() if colour == "red")


def test_words_give_cards_and_pins(page: Any, red: Tile) -> None:
    ask(page, "red")
    assert page.locator(".card").count() == 32
    assert {str(red) in name for name in ids(page)[:2]} == {True}
    first = page.locator(".card img").first
    first.evaluate("picture => picture.decode()")
    assert first.evaluate("picture => picture.naturalWidth") == 64
    assert "32 of 32 places" in page.locator(".note").inner_text()
    assert page.evaluate("location.hash").startswith("#q=red&weak=1")
    assert page.title() == "red · GeoAnchor"


def test_the_same_words_asked_twice_at_once_are_answered(page: Any) -> None:
    page.route("**/api/parse", lambda route: (time.sleep(0.3), route.continue_()))
    try:
        page.get_by_label("What to find").fill("red and nothing else")
        drawn(page, lambda: (page.keyboard.press("Enter"), page.keyboard.press("Enter")))
        assert ids(page)
    finally:
        page.unroute("**/api/parse")


def test_what_is_not_wanted_is_a_chip_that_can_be_taken_out(page: Any) -> None:
    ask(page, "white -red")
    with_chip = ids(page)
    assert chip(page, "not red").count() == 1
    drawn(page, lambda: page.get_by_label("Remove not red").click())
    assert page.get_by_label("What to find").input_value() == "white"
    assert ids(page) != with_chip


def test_a_chip_leads_to_its_words(page: Any) -> None:
    ask(page, "white -red")
    page.locator(".chip", has_text="not red").get_by_title("Change").click()
    assert (
        page.evaluate(
            "document.getSelection().toString() || words.value.slice(words.selectionStart, words.selectionEnd)"
        )
        == "-red"
    )


def test_a_coordinate_is_typed(page: Any, red: Tile) -> None:
    lng, lat = red.center
    ask(page, f"{lat:.5f}, {lng:.5f}")
    assert chip(page, "at").get_attribute("data-kind") == "coordinate"
    assert {str(red) in name for name in ids(page)[:2]} == {True}


def test_a_click_on_the_map_asks_for_that_spot(page: Any, red: Tile) -> None:
    ask(page, "red")
    # Between the pins of the middle four tiles.
    spot = middle(page)
    drawn(page, lambda: page.mouse.click(*spot))
    lat, lng = map(float, chip(page, "near").locator(".chip-words").inner_text().removeprefix("near").split(","))
    corner = Tile(red.z, red.x + 1, red.y + 2).bounds
    assert lat == pytest.approx(corner.north, abs=0.001)
    assert lng == pytest.approx(corner.west, abs=0.001)


def middle(page: Any) -> tuple[float, float]:
    """Pixels of the painted square's middle, where the map has it now."""
    page.wait_for_function("() => location.hash.includes('map=')")
    # The address follows the map a quarter of a second later.
    page.wait_for_timeout(400)
    zoom, lat, lng = map(float, page.evaluate("() => location.hash.match(/map=([^&]+)/)[1]").split("/"))
    first = tile_at(10.0, 48.0, 16)
    across = (first.x + 2) / 2**16 - (lng + 180) / 360
    down = (first.y + 2) / 2**16 - (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    box, world = page.locator(".atlas canvas").bounding_box(), 512 * 2**zoom
    return box["x"] + box["width"] / 2 + across * world, box["y"] + box["height"] / 2 + down * world


def test_hovering_a_card_lights_its_pin_and_the_other_way_round(page: Any) -> None:
    ask(page, "red")
    page.locator(".card").last.hover()
    assert page.locator(".card.lit").get_attribute("data-rank") == "32"
    left, top = middle(page)
    zoom = float(page.evaluate("() => location.hash.match(/map=([\\d.]+)/)[1]"))
    half_a_tile = 512 * 2 ** (zoom - 16) / 2
    # The map draws its pins when it finds the time to; over one the cursor is a hand.
    for step in range(100):
        page.mouse.move(left + half_a_tile, top + half_a_tile + step % 2)
        page.wait_for_timeout(50)
        if page.locator(".atlas canvas").evaluate("canvas => canvas.style.cursor") == "pointer":
            break
    assert page.locator(".card.lit:not([data-rank='32'])").count() == 1
    rank = page.locator(".card.lit").get_attribute("data-rank")
    page.mouse.click(left + half_a_tile, top + half_a_tile)
    page.wait_for_function("rank => document.activeElement.closest('.card')?.dataset.rank === rank", arg=rank)


def test_a_box_a_polygon_and_the_view_are_regions(page: Any) -> None:
    ask(page, "red")
    left, top = middle(page)
    page.get_by_label("Draw a box to search in").click()
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 100, top + 100, steps=4)
    drawn(page, page.mouse.up)
    few = len(ids(page))
    assert 0 < few < 32
    assert chip(page, "in the box").count() == 1
    drawn(page, lambda: page.get_by_label("Remove only in the box").click())
    assert len(ids(page)) == 32
    page.wait_for_timeout(200)
    page.get_by_label("Draw a polygon to search in").click()
    for x, y in ((-100, -100), (100, -100), (100, 100), (-100, 100)):
        page.mouse.click(left + x, top + y)
        page.wait_for_timeout(20)
    drawn(page, lambda: page.keyboard.press("Enter"))
    assert 0 < len(ids(page)) < 32
    assert "within=p" in page.evaluate("location.hash")
    page.get_by_label("Draw a box to search in").click()
    page.keyboard.press("Escape")
    assert page.locator(".sketch").count() == 0
    drawn(page, lambda: page.get_by_label("Search in what is seen").click())
    assert chip(page, "in the box").count() == 1


def test_more_and_less_of_the_same(page: Any, painted_tiles: dict[Tile, str]) -> None:
    ask(page, "white")
    colours = {str(tile): colour for tile, colour in painted_tiles.items()}
    blue = [name for name in ids(page) if colours["/".join(name.split("/")[-3:]).split(".")[0]] == "blue"]
    drawn(page, lambda: page.locator(f'[data-hit="{blue[0]}"]').get_by_label("More like this").click())
    assert chip(page, "like").count() == 1
    liked = ids(page)
    assert blue[0] not in liked
    assert liked.index(blue[1]) < len(liked) // 2
    drawn(page, lambda: page.locator(f'[data-hit="{blue[1]}"]').get_by_label("Not like this").click())
    assert ids(page) != liked
    assert page.locator('.chip[data-kind="not"]').count() == 1


def test_two_hits_side_by_side(page: Any) -> None:
    ask(page, "red")
    page.locator(".card").nth(0).get_by_label("Compare").click()
    assert "Choose another one" in page.locator(".tray").inner_text()
    page.locator(".card").nth(1).get_by_label("Compare").click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator(".compare-pair .shot img").count() == 2
    # The first two hits are the map and the picture of the red tile: one lies over the other.
    edge = dialog.get_by_role("slider")
    edge.focus()
    page.keyboard.press("Home")
    assert dialog.locator(".swipe").evaluate("frame => frame.style.getPropertyValue('--edge')") == "0%"
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".tray").is_hidden()


def test_one_place_in_full_with_words_and_position(page: Any, painted_index: Path) -> None:
    ask(page, "red")
    page.locator(".card .shot").first.click()
    dialog = page.get_by_role("dialog")
    said = dialog.locator(".said li")
    page.wait_for_function("() => !document.querySelector('.said').innerText.includes('Reading')")
    assert said.count() >= 1
    copied = dialog.get_by_title("Copy latitude, longitude")
    copied.click()
    assert page.evaluate("navigator.clipboard.readText()") == copied.inner_text().strip()
    link = dialog.get_by_role("link", name="Open in OpenStreetMap").get_attribute("href")
    assert re.match(r"https://www\.openstreetmap\.org/\?mlat=4[78]\.\d+&mlon=\d+", link)
    assert ids(page)[0] in dialog.locator(".facts").inner_text()


def test_an_address_is_an_answer_and_back_goes_back(page: Any) -> None:
    ask(page, "red -blue")
    red_first, link = ids(page), page.url
    ask(page, "green")
    assert ids(page) != red_first
    drawn(page, page.go_back)
    assert ids(page) == red_first
    assert page.get_by_label("What to find").input_value() == "red -blue"
    drawn(page, page.go_forward)
    drawn(page, lambda: page.goto(link))
    page.reload()
    # The first cards are drawn before the others.
    page.locator(".card[data-hit]").nth(len(red_first) - 1).wait_for()
    assert ids(page) == red_first


def test_the_answer_as_a_file(page: Any) -> None:
    ask(page, "red")
    shown, files = ids(page), {}
    for label in ("GeoJSON", "CSV", "GeoParquet"):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    features = json.loads(files["hits.geojson"])["features"]
    assert [feature["properties"]["id"] for feature in features] == shown
    assert [row["id"] for row in csv.DictReader(io.StringIO(files["hits.csv"].decode()))] == shown
    assert list(geopandas.read_parquet(io.BytesIO(files["hits.parquet"]))["id"]) == shown


def test_filters(page: Any) -> None:
    ask(page, "red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Layer").select_option("map")
    page.get_by_label("Hits on a page").fill("5")
    drawn(page, lambda: page.get_by_role("button", name="Apply").click())
    assert len(ids(page)) == 5
    assert {text for text in page.locator(".card .layer").all_text_contents()} == {"map"}
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 10")
    assert len(set(ids(page))) == 10


def test_what_is_too_near_to_a_better_hit_is_not_called_weaker(page: Any) -> None:
    ask(page, "red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Metres between hits").fill("500")
    drawn(page, lambda: page.get_by_role("button", name="Apply").click())
    told = page.locator(".note").inner_text()
    assert re.match(rf"{len(ids(page))} of 32 places, [1-9]\d* too near to a better one", told), told
    assert "weaker" not in told
    assert page.get_by_role("button", name="weaker ones").count() == 0


def test_layers_heat_and_coverage_are_drawn(page: Any) -> None:
    ask(page, "red")
    page.wait_for_timeout(500)
    painted = _colours(page)
    # Most of the painted tiles are blue.
    assert (painted[..., 2] > painted[..., 0] + 60).mean() > 0.1
    with page.expect_response("**/api/heat*"):
        page.get_by_role("button", name="Heat").click()
    page.wait_for_timeout(500)
    heated = _colours(page)
    assert np.abs(heated - painted).mean() > 2
    with page.expect_response("**/api/coverage*"):
        page.get_by_role("button", name="Coverage").click()
    page.wait_for_timeout(500)
    assert np.abs(_colours(page) - heated).mean() > 2
    assert "no data" in page.locator(".legend").inner_text()
    page.get_by_role("button", name="None").click()
    page.wait_for_timeout(500)
    assert ((_colours(page) - heated) > 30).mean() > 0.1


def _colours(page: Any) -> np.ndarray:
    picture = page.locator(".atlas canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
