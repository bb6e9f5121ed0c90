"""What the search page shows when there is nothing, when something is wrong, and when it is used without a pointer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import pytest
from browsing import ask, chip, chromium, drawn, faults, ids, opened, served, start_anew
from shapely.geometry import box

import geoanchor
from app.access import Access

pytestmark = pytest.mark.browser
TOKEN = "a-token-for-tests-only"


@pytest.fixture(scope="module")
def address(painted_index: Path) -> Iterator[str]:
    with served(geoanchor.open(painted_index)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def opened_page(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address, "/#weak=1") as page:
        page.locator(".map-left").wait_for()
        yield page


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The page with nothing asked and nothing in its way."""
    opened_page.unroute_all()
    start_anew(opened_page)
    return opened_page


def test_the_first_look_offers_questions(page: Any, painted_index: Path) -> None:
    some = [geoanchor.open(painted_index).search("red", k=1)[0].id]
    ideas = {"examples": ["red", "blue or green"], "pictures": some}
    page.route("**/api/suggest?*", lambda route: route.fulfill(json=ideas))
    page.reload()
    assert "32 pictures" in page.locator(".welcome").inner_text()
    page.locator(".tries .button").first.wait_for()
    first = page.locator(".tries .button").first
    words = first.inner_text()
    drawn(page, first.click)
    assert page.get_by_label("What to find").input_value() == words
    assert ids(page)
    start_anew(page)
    drawn(page, page.get_by_label("What looks like picture 1").click)
    assert len(ids(page)) == 31
    assert chip(page, "like this picture").count() == 1


def test_pictures_without_places_leave_no_room_for_a_map(browser: Any, painted_folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted(painted_folder.rglob("*.png"))):
        (photos / f"{number}.png").write_bytes(path.read_bytes())
    geoanchor.build(str(photos), tmp_path / "i", model="toy")
    with served(geoanchor.open(tmp_path / "i")) as address, opened(browser, address, "/#q=red&weak=1") as page:
        page.locator(".card[data-hit]").first.wait_for()
        assert page.locator("#ground").is_hidden()
        # Not the inner text: a card has none before it is drawn.
        assert page.locator(".card .where").first.text_content().endswith(".png")


def test_a_place_of_the_index_is_a_region(browser: Any, tmp_path: Path) -> None:
    _town(tmp_path / "town.geojson")
    geoanchor.build(str(tmp_path / "town.geojson"), tmp_path / "i", model="toy", zoom=17)
    with served(geoanchor.open(tmp_path / "i")) as address, opened(browser, address, "/#weak=1") as page:
        page.locator(".map-left").wait_for()
        ask(page, "building")
        everywhere = len(ids(page))
        page.get_by_label("What to find").fill("building near odo")
        drawn(page, page.get_by_role("option", name="building near Odonburg").click)
        region = page.locator('.chip[data-kind="place"]')
        assert "Odonburg (town)" in region.inner_text()
        assert 0 < len(ids(page)) < everywhere
        drawn(page, region.locator(".chip-away").click)
        assert len(ids(page)) == everywhere


def _town(path: Path) -> None:
    """A named town of a few houses, and one house ten kilometres away."""
    houses = [box(10 + step, 48, 10.0002 + step, 48.0002) for step in (0, 0.002, 0.004, 0.14)]
    tags = {"building": ["yes"] * 4, "name": ["Odonburg", None, None, None], "place": ["town", None, None, None]}
    geopandas.GeoDataFrame(tags, geometry=houses, crs="EPSG:4326").to_file(path)


def test_nothing_matches_and_the_nearest_misses(page: Any) -> None:
    def nothing(route: Any) -> None:
        answer = route.fetch().json()
        route.fulfill(json=answer | {"verdict": "nothing", "nearest": answer["hits"][:3]})

    page.route("**/api/search", nothing)
    page.evaluate("location.hash = ''")
    page.locator(".welcome").wait_for()
    ask(page, "a unicorn")
    assert "Nothing here matches “a unicorn”" in page.locator(".panel.nothing").inner_text()
    assert len(ids(page)) == 3
    assert "3 nearest" in page.locator(".note").inner_text()
    drawn(page, page.get_by_role("button", name="Show 32 weak matches all the same").click)
    assert len(ids(page)) == 32


def test_a_service_that_is_gone_is_said_and_tried_again(page: Any) -> None:
    page.route("**/api/search", lambda route: route.abort())
    page.get_by_label("What to find").fill("red")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "does not answer" in page.get_by_role("alert").inner_text()
    page.unroute("**/api/search")
    drawn(page, page.get_by_role("button", name="Try again").click)
    assert len(ids(page)) == 32


def test_a_refusal_is_one_sentence(page: Any) -> None:
    page.evaluate("location.hash = 'like=nowhere/to/be/found'")
    page.get_by_role("alert").wait_for()
    assert "nowhere/to/be/found" in page.get_by_role("alert").inner_text()


def test_a_token_is_asked_for(browser: Any, painted_index: Path) -> None:
    with (
        served(geoanchor.open(painted_index), Access(token=TOKEN)) as address,
        opened(browser, address, "/login") as page,
    ):
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Enter").click()
        page.locator(".map-left").wait_for()
        page.context.clear_cookies()
        page.get_by_label("What to find").fill("red")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="This service asks for a token").wait_for()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Enter").click()
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("Token").fill(TOKEN)
        drawn(page, page.get_by_role("button", name="Enter").click)
        assert ids(page)


def test_by_keyboard_alone(page: Any) -> None:
    page.locator("body").press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("red")
    drawn(page, lambda: page.keyboard.press("Enter"))
    page.locator(".card .shot").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('.card').dataset.rank") == "2"
    assert page.locator(".card.lit").get_attribute("data-rank") == "2"
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.closest('.card').dataset.rank") == "2"


def test_light_and_dark(page: Any) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("Dark colours").click()
    assert page.evaluate(paper) != light
    page.reload()
    page.locator(".map-left").wait_for()
    assert page.evaluate(paper) != light
    assert page.get_by_label("Dark colours").get_attribute("aria-pressed") == "true"
    page.get_by_label("Dark colours").click()
    assert page.evaluate(paper) == light


@pytest.mark.parametrize("width", [390, 820, 2200])
def test_nothing_sticks_out(browser: Any, address: str, width: int) -> None:
    with opened(browser, address, "/#q=red&weak=1", viewport={"width": width, "height": 844}) as page:
        page.locator(".card[data-hit]").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        canvas, card = page.locator(".atlas canvas").bounding_box(), page.locator(".card").first.bounding_box()
        assert canvas["width"] >= min(width, 390) - 1
        assert canvas["height"] >= 200
        assert card["x"] >= 0
        assert card["x"] + card["width"] <= width


def test_ideas_while_typing(page: Any) -> None:
    places = [{"name": name, "kind": "town"} for name in ("Krems", "Kremmen", "Kremnica")]
    page.route("**/api/places?*", lambda route: route.fulfill(json={"places": places}))
    page.get_by_label("What to find").fill("park near kre")
    page.get_by_role("option").nth(2).wait_for()
    for key, wanted in (("ArrowUp", 2), ("ArrowUp", 1), ("ArrowDown", 2), ("ArrowDown", 0)):
        page.keyboard.press(key)
        assert page.get_by_role("option", selected=True).get_attribute("id") == f"idea-{wanted}", key
    drawn(page, lambda: page.keyboard.press("Enter"))
    assert page.get_by_label("What to find").input_value() == "park near Krems"
    assert page.get_by_role("option").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str) -> None:
    with opened(browser, address, "/#weak=1", color_scheme=scheme, bypass_csp=True) as page:
        page.locator(".map-left").wait_for()
        assert faults(page) == []
        ask(page, "red -blue")
        page.get_by_role("button", name="Filters").click()
        assert faults(page) == []
        page.keyboard.press("Escape")
        page.locator(".card").first.get_by_label("Compare").click()
        page.locator(".card .shot").first.click()
        page.wait_for_function("() => !document.querySelector('.said').innerText.includes('Reading')")
        assert faults(page) == []
