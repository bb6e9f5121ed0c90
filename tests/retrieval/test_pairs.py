"""Which rows are compared, against a slow look at every two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoanchor.tiling import Tile, cell_at
from retrieval.ancestors import ancestors
from retrieval.pairs import NO_MAP, Pairs, find_pairs, pair_id, pair_ids
from retrieval.registration import frames_m
from retrieval.serving import Serving

_DAY = 86_400_000_000


class Rows(Serving):
    """Facts of rows without a folder behind them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        kinds = {name: pa.float64() for name in ("z", "x", "y", "west", "south", "east", "north")}
        columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
        columns["acquired"] = pa.array([row["acquired"] for row in rows], pa.timestamp("us", tz="UTC"))
        self.rows = pa.RecordBatch.from_pydict(
            columns | {name: [row[name] for row in rows] for name in ("id", "layer")}
        )
        self.folder = Path()


def tiled(number: int, layer: str, x: int, day: int | None = None) -> dict[str, Any]:
    west, south, east, north = Tile(17, 70_000 + x, 45_000).bounds
    return {"id": f"{number}", "layer": layer, "z": 17, "x": 70_000 + x, "y": 45_000, "west": west, "south": south,
            "east": east, "north": north, "acquired": None if day is None else day * _DAY}  # fmt: skip


def loose(number: int, layer: str, west: float, width: float = 0.01) -> dict[str, Any]:
    return {"id": f"{number}", "layer": layer, "z": None, "x": None, "y": None, "west": west, "south": 48.0,
            "east": west + width, "north": 48.01, "acquired": None}  # fmt: skip


def found(rows: list[dict[str, Any]], **options: bool) -> set[tuple[int, int]]:
    serving = Rows(rows)
    pairs = find_pairs(serving, serving.layers["map"], serving.layers["aerial"], **options)
    assert len(set(zip(pairs.maps.tolist(), pairs.aerials.tolist(), strict=True))) == len(pairs)
    assert np.array_equal(np.lexsort((pairs.maps, pairs.aerials)), np.arange(len(pairs)))
    return set(zip(pairs.maps.tolist(), pairs.aerials.tolist(), strict=True))


def test_a_map_of_another_zoom_counts_as_one_wherever_no_finer_map_is_near() -> None:
    """Two towns pictured at one zoom: the first mapped at a coarser one, the second at the pictures' own."""

    def of_zoom(number: int, layer: str, z: int, x: int, y: int = 45_000) -> dict[str, Any]:
        west, south, east, north = Tile(z, x, y).bounds
        return {"id": f"{number}", "layer": layer, "z": z, "x": x, "y": y, "west": west, "south": south,
                "east": east, "north": north, "acquired": None}  # fmt: skip

    coarse = Tile(16, 35_000, 22_500)
    west, south, east, north = coarse.bounds
    map_a = {"id": "a", "layer": "map", "z": 16, "x": coarse.x, "y": coarse.y, "west": west, "south": south,
             "east": east, "north": north, "acquired": None}  # fmt: skip
    town_a = [of_zoom(1, "aerial", 17, 70_000), of_zoom(2, "aerial", 17, 70_001)]
    town_b = [of_zoom(3, "aerial", 17, 71_000), of_zoom(4, "aerial", 17, 71_001)]
    rows = [map_a, *town_a, *town_b, of_zoom(5, "map", 17, 71_000)]
    assert found(rows) == {(5, 3), (NO_MAP, 4)}, "the second town's other tile alone is unmapped"
    beside = [*rows, of_zoom(6, "map", 17, 70_002)]
    assert found(beside) == {(5, 3), (NO_MAP, 4)}, "the finer map begins beside the coarser tile, which shows something"
    within = [*rows, of_zoom(6, "map", 17, 70_001)]
    assert found(within) == {(5, 3), (NO_MAP, 4), (6, 2)}, "it ends in the middle of the coarser tile"
    around = [*rows, of_zoom(6, "map", 17, 69_997, 44_999), of_zoom(7, "map", 17, 70_001, 45_001)]
    assert found(around) == {(5, 3), (NO_MAP, 4), (NO_MAP, 1)}, (
        "it lies all around the first picture, and shows nothing"
    )


def test_ground_of_which_a_finer_map_shows_a_corner_is_mapped() -> None:
    tile = Tile(16, 35_000, 22_500)
    rows = []
    for number, (layer, tiled_as) in enumerate((("aerial", tile), ("map", tile.children()[0]))):
        west, south, east, north = tiled_as.bounds
        rows.append({"id": f"{number}", "layer": layer, "z": tiled_as.z, "x": tiled_as.x, "y": tiled_as.y, "west": west,
                     "south": south, "east": east, "north": north, "acquired": None})  # fmt: skip
    serving = Rows(rows)
    assert find_pairs(serving, serving.layers["map"], serving.layers["aerial"]).apart.tolist() == [0]


def test_finer_maps_are_near_across_the_antimeridian_too() -> None:
    """Of the first column of tiles the last is the neighbour."""
    last = 2**17 - 1
    west, south, east, north = Tile(16, 0, 22_500).bounds
    coarse = loose(0, "map", west) | {"south": south, "east": east, "north": north}
    picture, finer = (
        tiled(number, layer, 0) | dict(zip(("west", "south", "east", "north"), Tile(17, x, 45_000).bounds, strict=True))
        | {"x": x}
        for number, layer, x in ((1, "aerial", 0), (2, "map", last))
    )  # fmt: skip
    assert found([coarse, picture]) == set()
    assert found([coarse, picture, finer]) == {(NO_MAP, 1)}


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
def test_frames_of_one_ground_lie_together_whatever_turn_of_the_globe_they_are_told_on(turn: float) -> None:
    ours = loose(0, "map", 179.9951 + turn)
    serving = Rows([ours, loose(1, "aerial", 179.9951) | {"east": -179.9949}])
    assert np.abs(frames_m(serving, Pairs(np.array([0]), np.array([1])))).max() < 1e-3


_ROWS = st.lists(
    st.tuples(st.sampled_from(["map", "aerial"]), st.integers(0, 3), st.sampled_from([None, 1, 2, 3])), max_size=12
)


@settings(deadline=None)
@given(_ROWS)
def test_tiles_are_paired_as_by_hand(given_rows: list[tuple[str, int, int | None]]) -> None:
    rows = [tiled(number, *row) for number, row in enumerate(given_rows)]
    maps, aerials = ([n for n, row in enumerate(rows) if row["layer"] == layer] for layer in ("map", "aerial"))
    same = {(m, a) for m in maps for a in aerials if rows[m]["x"] == rows[a]["x"]}
    assert found(rows, all_dates=True, unmapped=False) == same

    def age(row: int) -> tuple[int, int]:
        return -1 if rows[row]["acquired"] is None else rows[row]["acquired"], row

    newest = {(m, max((a for n, a in same if n == m), key=age)) for m, _ in same}
    dates = {a: max(age(m)[0] for m, b in newest if b == a) for _, a in newest}
    newest = {(m, a) for m, a in newest if age(m)[0] in (-1, dates[a])}
    assert found(rows, unmapped=False) == newest
    bare = [a for a in aerials if not any(rows[m]["x"] == rows[a]["x"] for m in maps)] if maps else []
    latest = {(NO_MAP, max((a for a in bare if rows[a]["x"] == x), key=age)) for x in {rows[a]["x"] for a in bare}}
    assert found(rows) == newest | latest


@pytest.mark.parametrize(
    ("west", "width", "same"),
    [(12.0, 0.01, True), (12.0004, 0.01, True), (12.0011, 0.01, False), (12.0, 0.0115, False), (12.0, 0.0109, True)],
)
def test_boxes_must_be_the_same_to_nine_tenths_both_ways(west: float, width: float, same: bool) -> None:
    rows = [loose(0, "map", 12.0), loose(1, "aerial", west, width)]
    assert found(rows, unmapped=False) == ({(0, 1)} if same else set())


def test_a_box_is_paired_with_a_tile() -> None:
    tile = tiled(0, "aerial", 3)
    row = tile | {"id": "1", "layer": "map", "z": None, "x": None, "y": None}
    assert found([tile, row]) == {(1, 0)}
    assert found([tile | {"layer": "map"}, row | {"layer": "aerial"}]) == {(0, 1)}


def test_boxes_over_the_antimeridian_are_paired() -> None:
    rows = [loose(0, "map", 179.995) | {"east": -179.995}, loose(1, "aerial", 179.9951) | {"east": -179.9949}]
    assert found(rows) == {(0, 1)}


@pytest.mark.parametrize("layers", [("map", "aerial"), ("aerial", "map")])
def test_a_box_that_just_crosses_is_paired_with_one_that_just_does_not(layers: tuple[str, str]) -> None:
    rows = [loose(0, layers[0], 179.9999) | {"east": -179.9901}, loose(1, layers[1], -180.0) | {"east": -179.99}]
    assert found(rows) == {(layers.index("map"), layers.index("aerial"))}


def test_mapped_over_the_antimeridian_is_mapped() -> None:
    ground = loose(0, "map", 179.9) | {"east": -179.9}
    assert found([ground, loose(1, "aerial", -179.95), loose(2, "aerial", 179.95), loose(3, "aerial", 12.0)]) == {
        (NO_MAP, 3)
    }


def test_mapped_at_another_zoom_across_the_antimeridian_is_mapped() -> None:
    """A picture that crosses has its middle beyond 180, the map's box begins at -180."""
    ground = loose(0, "map", -180.0) | {"east": -179.0, "z": 9, "x": 0, "y": 1}
    picture = loose(1, "aerial", 179.9) | {"east": -179.5, "z": 11, "x": 0, "y": 1}
    assert found([ground, picture]) == set()


def test_a_photo_without_bounds_is_no_place() -> None:
    nowhere = dict.fromkeys(("z", "x", "y", "west", "south", "east", "north"))
    assert found([tiled(0, "map", 1), tiled(1, "aerial", 2) | nowhere]) == set()


def test_ids_of_pairs_tell_the_rows() -> None:
    serving = Rows([tiled(0, "map", 1), tiled(1, "aerial", 1), tiled(2, "aerial", 2)])
    names = pair_ids(serving, Pairs(np.array([0, NO_MAP]), np.array([1, 2])))
    assert names == [pair_id("0", "1"), pair_id(None, "2")]
    assert len({pair_id("a", "bc"), pair_id("ab", "c"), pair_id(None, "abc")}) == 3


@settings(deadline=None)
@given(st.floats(-179, 179), st.floats(-85, 85), st.integers(0, 10))
def test_ancestors_are_those_of_h3(lng: float, lat: float, resolution: int) -> None:
    import h3

    cell = cell_at(lng, lat, 10)
    expected = h3.str_to_int(h3.cell_to_parent(h3.int_to_str(cell), resolution))
    assert ancestors(np.array([cell], np.uint64), resolution).tolist() == [expected]
