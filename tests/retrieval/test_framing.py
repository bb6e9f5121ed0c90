"""Pictures that show less ground than the rows of an index, or more, are found and laid where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_counterpart import PX, TILES, picture, png, searcher_of

from geoanchor.image import Layer, Pixels
from geoanchor.query import ImagePart, Query
from geoanchor.tiling import Tile
from retrieval.counterpart import OTHER
from retrieval.framing import SCALES, bounded, framed, hidden
from retrieval.searcher import Searcher

NUMBERS = (2, 4, 6, 9, 11)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    return searcher_of(tmp_path_factory.mktemp("framing") / "town.index", ("aerial", "map"))


def around(tile: Tile, layer: Layer) -> Pixels:
    """The tile and its eight neighbours."""
    rows = [[picture(Tile(17, tile.x + x, tile.y + y), layer) for x in (-1, 0, 1)] for y in (-1, 0, 1)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def shown(tile: Tile, layer: Layer, scale: float, east: float = 0.0, south: float = 0.0) -> Pixels:
    """A window of so many sides of the tile, its middle so far from the tile's."""
    side = round(scale * PX)
    top, left = (round(PX * (1.5 + by)) - side // 2 for by in (south, east))
    return np.ascontiguousarray(around(tile, layer)[top : top + side, left : left + side])


def with_pictures(town: Searcher) -> Searcher:
    """The town's searcher, that can compare pictures themselves."""
    kept = {f"{layer}/{tile}": png(picture(tile, layer)) for tile in TILES for layer in ("map", "aerial")}
    return Searcher(town._serving, lambda: town.encoder, details=lambda ids, _: {name: kept[name] for name in ids})


def first(town: Searcher, pixels: Pixels, layer: Layer, other: Layer) -> tuple[str, dict[str, object]]:
    part = ImagePart(data=png(pixels), layer=layer)
    hit = town.search(Query(parts=(part,), layer=other, k=3)).hits[0]
    return hit.id, dict(hit.why)


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
@pytest.mark.parametrize("scale", [0.8, 0.9, 1.25])
def test_a_picture_of_less_or_more_ground_finds_its_other_side(
    town: Searcher, layer: Layer, other: Layer, scale: float
) -> None:
    found = [first(town, shown(TILES[n], layer, scale), layer, other) for n in NUMBERS]
    right = [why for (name, why), n in zip(found, NUMBERS, strict=True) if name == f"{other}/{TILES[n]}"]
    assert len(right) >= len(NUMBERS) - 1
    told = np.median([why.get("scale", 1.0) for why in right])
    # A tenth less suits the rows' own scale nearly as well, and that is what most pictures show.
    assert told == pytest.approx(scale, abs=0.02 if scale != 0.9 else 0.11)
    assert np.median([np.abs(why["offset"]).max() for why in right]) < 0.02


@pytest.mark.parametrize(("layer", "sign"), [("map", -1), ("aerial", 1)])
def test_where_a_smaller_window_lies_is_told(town: Searcher, layer: Layer, sign: int) -> None:
    """A map's window further east shows all of it further west; a picture's leaves the map behind to the east."""
    other: Layer = "aerial" if layer == "map" else "map"
    misses = []
    for n in NUMBERS:
        name, why = first(town, shown(TILES[n], layer, 0.8, 0.06, -0.04), layer, other)
        if name == f"{other}/{TILES[n]}":
            misses.append(np.abs(np.array(why["offset"]) - sign * np.array([0.06, -0.04])).max())
    assert len(misses) >= len(NUMBERS) - 1
    assert np.median(misses) < 0.015


@pytest.mark.parametrize(("layer", "sign"), [("map", -1), ("aerial", 1)])
@pytest.mark.parametrize("scale", [0.8, 0.85, 0.9, 0.95, 1 / 0.95, 1.25])
def test_pictures_tell_the_scale_to_a_twentieth_and_where_the_window_lies(
    town: Searcher, layer: Layer, sign: int, scale: float
) -> None:
    finer, other = with_pictures(town), OTHER[layer]
    found = [first(finer, shown(TILES[n], layer, scale, 0.06, -0.04), layer, other) for n in NUMBERS]
    right = [why for (name, why), n in zip(found, NUMBERS, strict=True) if name == f"{other}/{TILES[n]}"]
    assert len(right) >= len(NUMBERS) - 1
    assert np.median([why.get("scale", 1.0) for why in right]) == pytest.approx(scale, abs=0.01)
    misses = [np.abs(np.array(why["offset"]) - sign * np.array([0.06, -0.04])).max() for why in right]
    assert np.median(misses) < 0.01


def test_as_much_ground_as_the_rows_show_is_no_scale_of_its_own(town: Searcher) -> None:
    for searcher, most in ((town, 0), (with_pictures(town), 1)):  # drawn streets may lie a little off their pictures
        found = [first(searcher, picture(TILES[n], "map"), "map", "aerial") for n in NUMBERS]
        assert [name for name, _ in found] == [f"aerial/{TILES[n]}" for n in NUMBERS]
        assert sum("scale" in why for _, why in found) <= most


@given(st.integers(30, 90), st.integers(30, 90), st.sampled_from(SCALES))
@settings(max_examples=40, deadline=None)
def test_what_is_framed_has_the_row_s_scale(height: int, width: int, scale: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    made = framed(pixels, scale)
    np.testing.assert_allclose(np.array(made.shape[:2]) * scale, (height, width), atol=2)
    # The smaller of the two lies in the middle of the larger.
    large, small = (made, pixels) if scale < 1 else (pixels, made)
    top, left = ((a - b) // 2 for a, b in zip(large.shape[:2], small.shape[:2], strict=True))
    np.testing.assert_array_equal(large[top : top + small.shape[0], left : left + small.shape[1]], small)


def test_a_huge_picture_is_framed_smaller() -> None:
    pixels = np.random.default_rng(0).choice(np.array([20, 90, 250], np.uint8), (1500, 4096, 1)).repeat(3, axis=2)
    small = pixels[:, :2048]
    assert bounded(small, "map") is small
    drawn, seen = (bounded(pixels, layer) for layer in ("map", "aerial"))
    assert drawn.shape == seen.shape == (750, 2048, 3)
    assert set(np.unique(drawn)) == {20, 90, 250}, "a map keeps its colours"
    assert len(np.unique(seen)) > 3


def test_beyond_a_smaller_picture_nothing_is_said() -> None:
    pixels = np.full((80, 80, 3), 90, np.uint8)
    for scale, rim in ((1.0, 0), (0.9, 2), (0.8, 4), (1 / 0.9, 0), (1 / 0.8, 0)):
        gone = hidden(framed(pixels, scale), scale, "map", 40)
        assert gone.sum() == 1600 - (40 - 2 * rim) ** 2
        assert not gone[rim : 40 - rim, rim : 40 - rim].any()


def test_a_collar_says_nothing_either() -> None:
    pixels = np.full((80, 80, 3), 90, np.uint8)
    pixels[:, :20] = 0
    assert hidden(pixels, 1.0, "aerial", 40)[:, :10].all()
    assert not hidden(pixels, 1.0, "map", 40).any()
