"""Pictures in the search box: chosen, dropped and pasted; a photo's own position is offered."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import chromium, drawn, ids, opened, served, start_anew
from PIL import Image

import geoanchor
from geoanchor.tiling import Tile, tiles_in
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.render import render_map

pytestmark = pytest.mark.browser

_HAND_OVER = """([name, data, type, event]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type }));
  const target = document.querySelector("#words");
  if (event === "paste") target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given, bubbles: true }));
  else for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture(scope="module")
def opened_page(painted_index: Path) -> Iterator[Any]:
    with (
        served(geoanchor.open(painted_index)) as address,
        chromium() as browser,
        opened(browser, address, "/#weak=1") as page,
    ):
        page.locator(".map-left").wait_for()
        yield page


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The page with nothing asked."""
    start_anew(opened_page)
    return opened_page


def tile_of(painted_tiles: dict[Tile, str], colour: str) -> str:
    return str(next(tile for tile, other in painted_tiles.items() if other == colour))


def hand_over(page: Any, name: str, data: bytes, kind: str, event: str) -> None:
    drawn(page, lambda: page.evaluate(_HAND_OVER, [name, base64.b64encode(data).decode(), kind, event]))


def test_a_chosen_picture_finds_its_place(page: Any, painted_folder: Path, painted_tiles: dict[Tile, str]) -> None:
    white = tile_of(painted_tiles, "white")
    drawn(page, lambda: page.locator("#file").set_input_files(str(painted_folder / f"{white}.png")))
    assert white in ids(page)[0]
    assert page.get_by_label("What the picture is").input_value() == "aerial"
    assert "picture=" in page.evaluate("location.hash")
    page.reload()
    page.locator(".card[data-hit]").first.wait_for()
    assert white in ids(page)[0]


def test_several_pictures_chosen_at_once_are_all_asked_with(
    page: Any, painted_folder: Path, painted_tiles: dict[Tile, str]
) -> None:
    files = [str(painted_folder / f"{tile_of(painted_tiles, colour)}.png") for colour in ("white", "red", "blue")]
    drawn(page, lambda: page.locator("#file").set_input_files(files))
    assert page.evaluate("location.hash").count("picture=") == 3


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_dropped_or_pasted_picture(
    page: Any, painted_folder: Path, painted_tiles: dict[Tile, str], event: str
) -> None:
    red = tile_of(painted_tiles, "red")
    hand_over(page, "red.png", (painted_folder / f"{red}.png").read_bytes(), "image/png", event)
    assert red in ids(page)[0]
    assert page.locator(".dropzone").is_hidden()
    before = ids(page)
    drawn(page, lambda: page.get_by_label("What the picture is").select_option("map"))
    assert sorted(ids(page)) == sorted(before)


def test_a_flat_picture_is_taken_for_a_map(page: Any) -> None:
    pixels = np.full((256, 256, 3), (230, 225, 210), np.uint8)
    pixels[100:140] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    hand_over(page, "map.png", buffer.getvalue(), "image/png", "drop")
    assert page.get_by_label("What the picture is").input_value() == "map"


@pytest.mark.parametrize("layer", ["map", "aerial"])
def test_a_compressed_map_is_taken_for_one_and_a_photograph_is_not(page: Any, layer: str) -> None:
    city, tile = City(17), list(tiles_in(City(17).extent, 17))[150]
    pixels = render_map(city, tile, 256) if layer == "map" else render_aerial(city, tile, 256, LOOKS["A"], 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    hand_over(page, "tile.jpg", buffer.getvalue(), "image/jpeg", "drop")
    assert page.get_by_label("What the picture is").input_value() == layer


@pytest.mark.parametrize(("south", "west"), [(False, False), (True, True)])
def test_a_photo_offers_where_it_was_taken(page: Any, south: bool, west: bool) -> None:
    hand_over(page, "street.jpg", _photo(south, west), "image/jpeg", "drop")
    assert page.get_by_label("What the picture is").input_value() == "ground"
    offer = page.locator(".chip.offer")
    wanted = f"{'-' if south else ''}47.99500, {'-' if west else ''}10.00750"
    assert wanted in offer.inner_text()
    drawn(page, offer.get_by_role("button").click)
    assert wanted in page.locator('.chip[data-kind="coordinate"]').inner_text()
    assert page.locator(".chip.offer").count() == 0


def test_a_model_without_ground_photos_is_not_offered_one(page: Any) -> None:
    def without_ground(route: Any) -> None:
        facts = route.fetch().json()
        for space in facts["spaces"].values():
            space["modalities"].remove("ground")
        route.fulfill(json=facts)

    page.route("**/api/info", without_ground)
    page.reload()
    page.locator(".welcome").wait_for()
    hand_over(page, "drone.jpg", _photo(False, False), "image/jpeg", "drop")
    kind = page.get_by_label("What the picture is")
    assert kind.input_value() == "aerial"
    assert kind.locator("option").evaluate_all("options => options.map(({ value }) => value)") == ["aerial", "map"]
    assert page.locator(".chip.offer").count() == 1
    page.unroute_all()
    page.reload()


def _photo(south: bool, west: bool) -> bytes:
    """A camera's picture taken at 47° 59' 42" and 10° 0' 27"."""
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x8825] = {
        1: "S" if south else "N", 2: (47.0, 59.0, 42.0), 3: "W" if west else "E", 4: (10.0, 0.0, 27.0),
    }  # fmt: skip
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_what_is_no_picture_is_said(page: Any) -> None:
    page.evaluate(_HAND_OVER, ["notes.png", base64.b64encode(b"no picture").decode(), "image/png", "drop"])
    page.get_by_text("notes.png cannot be read as a picture").wait_for()
    assert page.locator(".chip").count() == 0


def test_how_a_map_lies_is_said_in_words(page: Any) -> None:
    said = "async (why) => (await import('/static/reasons.js')).reasons({ why })"
    assert page.evaluate(said, {"structure": 0.3, "offset": [0.041, -0.1]}) == [
        "map lies 4.1 % east and 10.0 % north of its place"
    ]
    assert page.evaluate(said, {"offset": [0.0049, 0], "scale": 0.8}) == [
        "map lies in its place", "shows 80 % of the side",
    ]  # fmt: skip
