"""The page of changes in a real Chromium: looked at, decided by keyboard, taken along as a file, fit for all."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import geopandas
import pytest
from browsing import chromium, faults, opened, served
from PIL import Image
from structured import Drawing, GridEncoder, index_of, town_block

import geoanchor
from app.index import Index
from geoanchor.tiling import Tile, tile_at

pytestmark = pytest.mark.browser
FIRST = tile_at(12.5, 47.5, 17)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Four places: new buildings at one, demolished ones at another."""
    monkeypatch.setattr("models.bundle.load_bundle", lambda _name, _settings: GridEncoder())
    ground = {Tile(17, FIRST.x + x, FIRST.y): town_block(x) for x in range(4)}
    maps = {tile: grid.copy() for tile, grid in ground.items()}
    tiles = list(ground)
    ground[tiles[1]][12:17, 12:17] = 3
    maps[tiles[2]][11:17, 12:18] = 3
    return geoanchor.open(index_of(tmp_path / "town.index", Drawing(ground, "aerial"), Drawing(maps, "map")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any, index: Index) -> Iterator[Any]:
    with served(index) as address, opened(browser, address, "/changes") as page:
        page.locator(".review-facts").wait_for()
        yield page


def chosen(page: Any) -> str:
    return page.locator('.places [aria-current="true"]').locator("..").get_attribute("data-change")


def test_map_and_imagery_one_over_the_other(page: Any) -> None:
    assert page.locator(".places li").count() == 2
    assert "4 pairs of map and picture compared" in page.locator(".headline").inner_text()
    pictures = page.locator(".review .swipe img")
    for picture in pictures.all():
        picture.evaluate("picture => picture.decode()")
        assert picture.evaluate("picture => picture.naturalWidth") > 0
    frame, outline = page.locator(".swipe").bounding_box(), page.locator(".disagreeing path").bounding_box()
    assert 0.05 < outline["width"] / frame["width"] < 0.5
    assert frame["x"] < outline["x"] < outline["x"] + outline["width"] <= frame["x"] + frame["width"] + 1
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert page.locator(".swipe-over").evaluate("over => getComputedStyle(over).clipPath") == "inset(0px 0% 0px 0px)"
    page.keyboard.press("h")
    assert page.locator(".evidence").is_hidden()
    page.keyboard.press("o")
    assert page.locator(".disagreeing").is_hidden()
    page.keyboard.press("o")
    assert page.locator(".disagreeing").is_visible()


def test_where_nothing_is_mapped_the_map_side_is_empty(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.bundle.load_bundle", lambda _name, _settings: GridEncoder())
    ground = {Tile(17, FIRST.x + x, FIRST.y): town_block(x) for x in range(4)}
    maps = dict(list(ground.items())[1:])
    bare = geoanchor.open(index_of(tmp_path / "bare.index", Drawing(ground, "aerial"), Drawing(maps, "map")))
    with served(bare) as address, opened(browser, address, "/changes", bypass_csp=True) as page:
        page.get_by_role("heading", name="nothing mapped").wait_for()
        sheet, frame = page.get_by_text("no map here"), page.locator(".swipe").bounding_box()
        page.locator(".swipe img").first.evaluate("picture => picture.decode()")
        assert page.locator(".swipe-over img").count() == 0
        assert sheet.bounding_box() == pytest.approx(frame | {"width": frame["width"] / 2}, abs=1)
        # Below the words, where the imagery, its heat and its outline would shine through.
        clip = {
            "x": frame["x"] + 9,
            "y": frame["y"] + 0.6 * frame["height"],
            "width": 0.4 * frame["width"],
            "height": 60,
        }
        with Image.open(io.BytesIO(page.screenshot(clip=clip))) as seen:
            assert len(seen.convert("RGB").getcolors()) == 1
        assert faults(page) == []


def test_what_lies_over_the_pictures_leaves_note_and_focus_alone(page: Any) -> None:
    page.keyboard.press("n")
    page.keyboard.type("a tent")
    page.keyboard.press("Escape")
    heat = page.locator('[name="heat"]')
    heat.focus()
    page.keyboard.press("Space")
    assert page.locator(".evidence").is_hidden()
    assert page.locator('[name="note"]').input_value() == "a tent"
    assert page.evaluate("document.activeElement.name") == "heat"


def test_back_goes_back_and_out_again(page: Any) -> None:
    start, first = page.url, chosen(page)
    for _ in range(3):  # there are but two places
        page.keyboard.press("j")
    assert chosen(page) != first
    page.go_back()
    page.wait_for_url(start)
    assert chosen(page) == first


def test_a_reviewer_decides_by_keyboard_and_is_not_asked_again(page: Any, index: Index) -> None:
    first = chosen(page)
    page.keyboard.press("j")
    second = chosen(page)
    assert second != first
    page.keyboard.press("k")
    assert chosen(page) == first
    page.keyboard.press("n")
    page.keyboard.type("a tent, <b>no house")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.locator(f'[data-change="{first}"][data-decision="reject"]').wait_for()
    assert chosen(page) == second
    (review,) = index.reviews()
    assert (review.change, review.decision, review.note) == (first, "reject", "a tent, <b>no house")
    # A key that is held down decides nothing.
    held = "new KeyboardEvent('keydown', { key: 'a', repeat: true, bubbles: true })"
    page.evaluate(f"document.body.dispatchEvent({held})")
    page.keyboard.press("a")
    page.locator(f'[data-change="{second}"][data-decision="accept"]').wait_for()
    assert [review.change for review in index.reviews()] == [first, second]
    files = {}
    for label in ("GeoJSON", "CSV", "GeoParquet", "MapRoulette"):
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    features = json.loads(files["changes.geojson"])["features"]
    assert [feature["properties"]["review"]["decision"] for feature in features] == ["reject", "accept"]
    rows = list(csv.DictReader(io.StringIO(files["changes.csv"].decode())))
    assert [(row["id"], row["note"]) for row in rows] == [(first, "a tent, <b>no house"), (second, "")]
    assert list(geopandas.read_parquet(io.BytesIO(files["changes.parquet"]))["id"]) == [first, second]
    # Nobody need map what was rejected.
    (task,) = files["changes.maproulette.geojson"].decode().strip("\n").split("\n")
    assert json.loads(task[1:])["features"][0]["id"] == second
    page.get_by_role("button", name="Compare").click()
    page.locator(".headline", has_text="2 were reviewed before").wait_for()
    page.get_by_role("heading", name="Nothing to look at here").wait_for()
    page.get_by_label("also settled ones").check()
    page.get_by_role("button", name="Compare").click()
    page.locator('.places [data-decision="reject"]').wait_for()
    assert page.locator(".places li").count() == 2


def test_a_note_waits_for_a_decision_and_says_so(page: Any, index: Index) -> None:
    first, note = chosen(page), page.locator('[name="note"]')
    page.keyboard.press("n")
    page.keyboard.type("a tent")
    page.keyboard.press("Enter")
    page.get_by_text("The note is kept when you accept (a) or reject (r)").wait_for()
    assert page.evaluate("document.activeElement.id") == "review"
    page.keyboard.press("j")
    assert note.input_value() == ""
    page.keyboard.press("k")
    assert note.input_value() == "a tent"
    page.reload()
    page.locator(".review-facts").wait_for()
    assert (chosen(page), note.input_value()) == (first, "a tent")
    assert index.reviews() == ()
    page.keyboard.press("r")
    page.locator(f'[data-change="{first}"][data-decision="reject"]').wait_for()
    assert [review.note for review in index.reviews()] == ["a tent"]
    # What is undone leaves its note to the next decision.
    page.keyboard.press("u")
    page.locator(f'[data-change="{first}"][data-decision=""]').wait_for()
    assert note.input_value() == "a tent"
    page.keyboard.press("a")
    page.locator(f'[data-change="{first}"][data-decision="accept"]').wait_for()
    assert [review.note for review in index.reviews()] == ["a tent"]
    # What was decided is no draft: the next one is shown the note that was kept.
    index.review(first, "accept", "a hall")
    page.get_by_label("also settled ones").check()
    page.get_by_role("button", name="Compare").click()
    page.locator(f'[data-change="{first}"][data-decision="accept"] button').click()
    page.wait_for_function("() => document.querySelector('[name=note]').value === 'a hall'")


def test_a_slip_is_undone(page: Any, index: Index) -> None:
    first = chosen(page)
    assert page.get_by_role("button", name="Undo the last decision").count() == 0
    page.keyboard.press("u")
    page.get_by_text("Nothing was decided").wait_for()
    page.keyboard.press("a")
    page.locator(f'[data-change="{first}"][data-decision="accept"]').wait_for()
    second = chosen(page)
    assert second != first
    page.keyboard.press("u")
    page.locator(f'[data-change="{first}"][data-decision=""]').wait_for()
    assert chosen(page) == first
    assert index.reviews() == ()
    # What was decided before the slip is decided again.
    for key, decision in (("a", "accept"), ("k", "accept"), ("r", "reject"), ("u", "accept")):
        page.keyboard.press(key)
        page.locator(f'[data-change="{first}"][data-decision="{decision}"]').wait_for()
    assert [(review.change, review.decision) for review in index.reviews()] == [(first, "accept")]
    # Also where the list was made anew without it.
    page.get_by_role("button", name="Compare").click()
    page.locator(".headline", has_text="1 was reviewed before").wait_for()
    assert chosen(page) == second
    page.keyboard.press("r")
    page.locator(f'[data-change="{second}"][data-decision="reject"]').wait_for()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Nothing to look at here").wait_for()
    page.get_by_role("button", name="Undo the last decision").click()
    page.locator(f'[data-change="{second}"][data-decision=""]').wait_for()
    page.get_by_role("button", name="Undo the last decision").click()
    page.locator(f'[data-change="{first}"][data-decision=""]').wait_for()
    assert chosen(page) == first
    assert index.reviews() == ()


def test_a_reviewed_place_is_taken_back(page: Any, index: Index) -> None:
    first = chosen(page)
    assert page.get_by_role("button", name="Take back").count() == 0
    index.review(first, "reject", "a tent")
    page.get_by_label("also settled ones").check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Take back").click()
    page.locator(f'[data-change="{first}"][data-decision=""]').wait_for()
    assert chosen(page) == first
    assert page.get_by_role("button", name="Take back").count() == 0
    assert index.reviews() == ()


def test_a_list_that_is_cut_points_at_what_lengthens_it(page: Any) -> None:
    headline = page.locator(".headline")
    assert "shown" not in headline.inner_text()
    page.get_by_label("Places", exact=True).fill("1")
    page.get_by_role("button", name="Compare").click()
    page.locator(".headline", has_text="1 of 2 places shown, worst first; “Places” sets how many").wait_for()
    assert "-k" not in headline.inner_text()


def test_one_cause_alone_and_a_link_to_a_place(page: Any) -> None:
    second = page.locator(".places li").nth(1)
    second.get_by_role("button").click()
    wanted = second.get_attribute("data-change")
    page.reload()
    page.locator(".review-facts").wait_for()
    assert chosen(page) == wanted
    causes = page.locator(".causes .button")
    causes.nth(1).click()
    assert page.locator(".places li").count() == 1


def test_a_drawn_polygon_is_searched_as_it_was_drawn(page: Any) -> None:
    page.get_by_role("button", name="Draw a polygon to search in").click()
    frame = page.locator(".sketch").bounding_box()
    with page.expect_request(lambda request: "/api/changes?" in request.url) as sent:
        for x, y in ((0.2, 0.3), (0.8, 0.3), (0.2, 0.8)):
            page.mouse.click(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        page.keyboard.press("Enter")
    (within,) = parse_qs(urlsplit(sent.value.url).query)["within"]
    polygon = json.loads(within)
    assert (polygon["type"], len(polygon["coordinates"][0])) == ("Polygon", 4)
    # The address has the same polygon.
    page.wait_for_function("() => location.hash.startsWith('#within=p')")
    with page.expect_request(lambda request: "/api/changes?" in request.url) as again:
        page.reload()
    assert parse_qs(urlsplit(again.value.url).query)["within"] == [within]


def test_a_polygon_across_the_antimeridian_is_sent_and_drawn_whole(page: Any) -> None:
    geometry = "import('/static/geometry.js').then(g => {})"
    sent = page.evaluate(geometry.format("g.wrappedRing([[178, 1], [182, 1], [182, 2], [178, 1]])"))
    assert sent == [[178, 1], [-178, 1], [-178, 2], [178, 1]]
    region = json.dumps({"kind": "polygon", "geometry": {"type": "Polygon", "coordinates": [sent]}})
    shown = page.evaluate(geometry.format(f"g.regionRings({region})"))
    assert shown == [[[178, 1], [182, 1], [182, 2], [178, 1]]]


def test_a_late_answer_does_not_stand_in_for_the_newest_region(page: Any, index: Index) -> None:
    held: list[Any] = []
    page.route("**/api/changes?*", lambda route: route.continue_() if held else held.append(route))
    page.get_by_role("button", name="Compare").click()
    page.wait_for_function("() => document.querySelector('#review').ariaBusy === 'true'")
    first = min(index.changes(), key=lambda change: change.lng)
    west, south, east, north = first.bounds
    with page.expect_response("**/api/changes?*"):
        page.evaluate(f"location.hash = 'within={west},{south},{east},{north}'")
    page.wait_for_function("() => document.querySelectorAll('.places li').length === 1")
    held[0].abort()
    page.wait_for_timeout(200)
    assert page.locator(".places li").evaluate_all("items => items.map(item => item.dataset.change)") == [first.id]
    assert page.get_by_role("alert").count() == 0


def test_after_a_refusal_keys_decide_on_nothing(page: Any, index: Index) -> None:
    page.evaluate("location.hash = 'within=0,0,1,1'")
    page.get_by_role("alert").wait_for()
    for key in "arjk":
        page.keyboard.press(key)
    assert "no map and aerial picture" in page.get_by_role("alert").inner_text()
    assert not [change for change in index.changes(reviewed=True) if change.review]


def test_what_lies_beside_the_polygon_is_not_listed(page: Any, index: Index) -> None:
    west, east = sorted(index.changes(), key=lambda change: change.lng)
    low, high, left, right = west.lat - 1e-4, west.lat + 0.001, west.lng - 1e-4, east.lng + 1e-4
    page.evaluate(f"location.hash = 'within=p{left},{low},{right},{low},{left},{high},{left},{low}'")
    page.reload()
    page.locator(".review-facts").wait_for()
    assert page.locator(".places li").evaluate_all("items => items.map(item => item.dataset.change)") == [west.id]


def test_a_region_without_pairs_is_said(page: Any) -> None:
    page.evaluate("location.hash = 'within=0,0,1,1'")
    page.reload()
    page.get_by_role("alert").wait_for()
    assert "no map and aerial picture show the same ground in that region" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(("width", "height"), [(800, 600), (1024, 768), (1280, 640)])
def test_in_a_small_window_what_is_to_be_decided_is_in_view(page: Any, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.keyboard.press("a")
    page.locator('.places [data-decision="accept"]').wait_for()
    page.keyboard.press("k")
    page.get_by_role("button", name="Take back").wait_for()
    review, picture = page.locator(".review").bounding_box(), page.locator(".swipe").bounding_box()
    assert picture["width"] == pytest.approx(picture["height"], abs=1)
    assert picture["width"] >= 200
    buttons = [page.get_by_role("button", name=name) for name in ("Accept", "Reject", "Take back")]
    for seen in (page.locator(".swipe"), page.locator(".reason"), page.locator('[name="note"]'), *buttons):
        box = seen.bounding_box()
        assert review["y"] <= box["y"], seen
        assert box["y"] + box["height"] <= min(height, review["y"] + review["height"]), seen
        assert review["x"] <= box["x"] < box["x"] + box["width"] <= review["x"] + review["width"], seen
    assert page.locator(".ground").bounding_box()["height"] >= 120
    names = (".map-left", ".map-right", ".maplibregl-ctrl-bottom-right")
    left, right, zoom = (page.locator(name).bounding_box() for name in names)
    assert left["x"] + left["width"] <= right["x"]
    assert right["y"] + right["height"] <= zoom["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, index: Index, scheme: str) -> None:
    with served(index) as address, opened(browser, address, "/changes", color_scheme=scheme, bypass_csp=True) as page:
        page.locator(".review-facts").wait_for()
        assert faults(page) == []
        page.set_viewport_size({"width": 390, "height": 844})
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
