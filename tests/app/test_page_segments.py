"""Parts of pictures on the search page: the outline of what matched on each card, and searching for it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browsing import ask, chip, chromium, drawn, ids, opened, served
from PIL import Image

import geoanchor
from app.index import Index
from geoanchor.query import LikePart, Query
from geoanchor.tiling import tile_at

pytestmark = pytest.mark.browser
COLOURS = {"red": (205, 25, 20), "green": (25, 190, 30), "blue": (20, 35, 200), "white": (228, 226, 222)}
HALVES = (("red", "green"), ("green", "blue"), ("blue", "white"), ("white", "red"))
"""Colours of the left and the right half of each tile."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    root, first = tmp_path_factory.mktemp("halves"), tile_at(10.0, 48.0, 16)
    for step, pair in enumerate(HALVES):
        pixels = np.repeat(np.array([COLOURS[pair[0]], COLOURS[pair[1]]], np.uint8)[None], 128, axis=0)
        path = root / "tiles" / "16" / str(first.x + step) / f"{first.y}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.repeat(pixels, 64, axis=1)).save(path)
    geoanchor.build(f"{root}/tiles/{{z}}/{{x}}/{{y}}.png", root / "i", model="toy", segments="regions")
    return geoanchor.open(root / "i")


@pytest.fixture
def page(index: Index) -> Iterator[Any]:
    with served(index) as address, chromium() as browser, opened(browser, address, "/#weak=1") as page:
        page.locator(".map-left").wait_for()
        ask(page, "green")
        yield page


def green_side(page: Any, name: str) -> tuple[Any, float]:
    """A card's outline, and where along its picture its middle lies, 0..1."""
    card = page.locator(f'[data-hit="{name}"]')
    outline, frame = card.locator(".segment path").bounding_box(), card.locator(".shot img").bounding_box()
    return card, (outline["x"] + outline["width"] / 2 - frame["x"]) / frame["width"]


def test_the_outline_of_what_matched_is_searched_for(page: Any, index: Index) -> None:
    hits = index.search("green", k=4)
    assert ids(page) == [hit.id for hit in hits]
    by_column = {hit.tile[1]: hit for hit in hits if hit.tile}
    first, second = (by_column[column] for column in sorted(by_column)[:2])
    card, middle = green_side(page, first.id)
    assert middle == pytest.approx(0.75, abs=0.1)
    _, middle = green_side(page, second.id)
    assert middle == pytest.approx(0.25, abs=0.1)
    picture = card.locator(".shot img").bounding_box()
    spot = picture["x"] + 0.75 * picture["width"], picture["y"] + 0.75 * picture["height"]
    drawn(page, lambda: page.mouse.click(*spot))
    number = first.why["segment"]["number"]
    assert chip(page, f"part {number + 1} of this picture").count() == 1
    assert page.get_by_label("What to find").input_value() == ""
    alike = index.query(Query(parts=(LikePart(id=first.id, segment=number),), k=60))
    assert ids(page) == [hit.id for hit in alike]
    drawn(page, page.go_back)
    assert page.get_by_label("What to find").input_value() == "green"


def test_without_a_pointer_the_part_is_a_button(page: Any) -> None:
    page.locator(".card .shot").first.focus()
    page.keyboard.press("Enter")
    button = page.get_by_role("dialog").get_by_role("button", name="Like the outlined part")
    button.focus()
    drawn(page, lambda: page.keyboard.press("Enter"))
    assert chip(page, "of this picture").count() == 1
    assert page.get_by_role("dialog").count() == 0
    page.locator(".card").first.get_by_label("More like this").click()
    chip(page, "like this picture").wait_for()
