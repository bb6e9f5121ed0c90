"""The grid against mercantile, its round trips, and H3 and great-circle facts."""

from __future__ import annotations

import math

import h3
import mercantile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoanchor import tiling
from geoanchor.errors import UsageError
from geoanchor.tiling import Bounds, Tile


@st.composite
def tiles(draw: st.DrawFn, max_zoom: int = 22) -> Tile:
    z = draw(st.integers(0, max_zoom))
    return Tile(z, draw(st.integers(0, 2**z - 1)), draw(st.integers(0, 2**z - 1)))


@given(tiles())
def test_bounds_agree_with_mercantile(tile: Tile) -> None:
    theirs = mercantile.bounds(mercantile.Tile(tile.x, tile.y, tile.z))
    assert tile.bounds == pytest.approx((theirs.west, theirs.south, theirs.east, theirs.north), abs=1e-9)
    box = mercantile.xy_bounds(mercantile.Tile(tile.x, tile.y, tile.z))
    assert tile.bounds_mercator == pytest.approx((box.left, box.bottom, box.right, box.top), abs=1e-3)


@given(tiles())
def test_centre_gives_back_the_tile(tile: Tile) -> None:
    assert tiling.tile_at(*tile.center, tile.z) == tile


@given(tiles(max_zoom=29))
def test_children_and_parent(tile: Tile) -> None:
    children = tile.children()
    assert len(set(children)) == 4
    assert {child.parent() for child in children} == {tile}


@given(st.floats(-180, 179.999), st.floats(-85, 85), st.integers(0, 22))
def test_tile_at_agrees_with_mercantile(lng: float, lat: float, z: int) -> None:
    theirs = mercantile.tile(lng, lat, z)
    ours = tiling.tile_at(lng, lat, z)
    # On an edge the two may round to different sides.
    assert abs(ours.x - theirs.x) <= 1
    assert abs(ours.y - theirs.y) <= 1
    west, south, east, north = ours.bounds
    assert west - 1e-9 <= lng <= east + 1e-9
    assert south - 1e-9 <= lat <= north + 1e-9


@given(tiles(max_zoom=12))
def test_a_tiles_own_bounds_hold_just_that_tile(tile: Tile) -> None:
    assert list(tiling.tiles_in(tile.bounds, tile.z)) == [tile]


def test_tiles_in_crosses_the_antimeridian() -> None:
    found = set(tiling.tiles_in(Bounds(179.0, -1.0, -179.0, 1.0), 8))
    assert {tile.x for tile in found} == {0, 255}
    assert found == set(tiling.tiles_in(Bounds(179.0, -1.0, 180.0, 1.0), 8)) | set(
        tiling.tiles_in(Bounds(-180.0, -1.0, -179.0, 1.0), 8)
    )


def degrees(least: float, most: float) -> st.SearchStrategy[float]:
    """To a tenth of a metre: of slivers of a hair's width the two think differently."""
    return st.floats(least, most).map(lambda angle: round(angle, 6))


def test_a_sliver_beyond_an_edge_takes_in_no_tile() -> None:
    assert list(tiling.tiles_in(Bounds(0.0, -2e-10, 1.0, 1.0), 3)) == [Tile(3, 4, 3)]


@given(degrees(-179, 178), degrees(-80, 79), degrees(0.01, 1), degrees(0.01, 1), st.integers(3, 11))
def test_tiles_in_agrees_with_mercantile(west: float, south: float, width: float, height: float, z: int) -> None:
    theirs = {Tile(t.z, t.x, t.y) for t in mercantile.tiles(west, south, west + width, south + height, z)}
    assert set(tiling.tiles_in(Bounds(west, south, west + width, south + height), z)) == theirs


@pytest.mark.parametrize("address", [(-1, 0, 0), (31, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_impossible_addresses_are_refused(address: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Tile(*address)


def test_ground_sampling_distance() -> None:
    assert tiling.ground_resolution_m(0, 0.0) == pytest.approx(156543.033928, abs=1e-5)
    assert Tile(17, 0, 65536).gsd_m() == pytest.approx(1.194, abs=1e-3)
    assert Tile(17, 0, 65536).gsd_m(512) == pytest.approx(0.597, abs=1e-3)
    assert tiling.zoom_for_gsd(0.6, 0.0) == 18
    with pytest.raises(UsageError, match="above 0"):
        tiling.zoom_for_gsd(0, 0)


@given(st.floats(-180, 180), st.floats(-85, 85))
def test_mercator_round_trip(lng: float, lat: float) -> None:
    assert tiling.from_mercator(*tiling.to_mercator(lng, lat)) == pytest.approx((lng, lat), abs=1e-9)


def test_centre_of_a_box_across_the_antimeridian() -> None:
    assert Bounds(179, -1, -179, 1).center == pytest.approx((-180, 0))
    assert Bounds(-180, -90, 180, 90).center == pytest.approx((0, 0))
    assert Bounds(10, 0, 10, 0).center == pytest.approx((10, 0))


def test_a_box_is_cut_at_the_antimeridian() -> None:
    assert Bounds(179, -1, -179, 1).parts() == (Bounds(179, -1, 180, 1), Bounds(-180, -1, -179, 1))
    for whole in (Bounds(10, -1, 11, 1), Bounds(-180, -90, 180, 90), Bounds(10, 0, 10, 0)):
        assert whole.parts() == (whole,)


def test_a_box_holds_its_edges() -> None:
    box, across = Bounds(10, -1, 11, 1), Bounds(179, -1, -179, 1)
    assert all(box.holds(*point) for point in ((10, -1), (11, 1), (10.5, 0)))
    assert all(across.holds(*point) for point in ((179, 0), (180, 0), (-180, 0), (-179, 1)))
    assert not any(box.holds(*point) for point in ((9.9, 0), (11.1, 0), (10.5, 1.1), (10.5, -1.1)))
    assert not any(across.holds(*point) for point in ((178.9, 0), (-178.9, 0), (0, 0), (179.5, 1.1)))


def test_unwrapped_longitudes_lie_near_the_middle() -> None:
    assert tiling.unwrap_lng(-179, 179) == 181
    assert tiling.unwrap_lng(179, -180) == -181
    assert [tiling.unwrap_lng(lng, 0) for lng in (-180, -10, 180)] == [-180, -10, 180]


def test_the_box_around_boxes_takes_the_shorter_way_round() -> None:
    west, east = Bounds(178, -3, 179, -2), Bounds(-179, 4, -178, 5)
    assert tiling.around([west]) == west
    assert tiling.around([west, east]) == Bounds(178, -3, -178, 5)
    assert tiling.around([west, Bounds(179.5, 0, -179.5, 1), east]) == Bounds(178, -3, -178, 5)
    assert tiling.around([Bounds(-20, 0, -10, 1), Bounds(10, 0, 20, 1)]) == Bounds(-20, 0, 20, 1)
    assert tiling.around([Bounds(0, 0, 90, 1), Bounds(5, 0, 6, 1), Bounds(-100, 0, -90, 1)]) == Bounds(-100, 0, 90, 1)
    assert tiling.around([Bounds(-180, 0, 10, 1), Bounds(10, 0, 180, 1)]) == Bounds(-180, 0, 180, 1)


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(0, 300)), min_size=1, max_size=5), st.data())
def test_the_box_around_boxes_holds_them(spans: list[tuple[float, float]], data: st.DataObject) -> None:
    def within_range(lng: float) -> float:
        return lng - 360 if lng > 180 else lng

    boxes = [Bounds(west, 0, within_range(west + width), 1) for west, width in spans]
    found = tiling.around(boxes)
    west, width = data.draw(st.sampled_from(spans))
    lng = within_range(west + data.draw(st.floats(0, 1)) * width)
    assert any(found.holds(lng + nudge, 0.5) for nudge in (0, -1e-9, 1e-9))


def test_distances_of_known_pairs() -> None:
    quarter = math.pi / 2 * tiling.MEAN_EARTH_RADIUS_M
    assert tiling.distance_m(0, 0, 90, 0) == pytest.approx(quarter)
    assert tiling.distance_m(0, 0, 123, 90) == pytest.approx(quarter)
    assert tiling.distance_m(179.5, 0, -179.5, 0) == pytest.approx(tiling.distance_m(0, 0, 1, 0))


def test_cells_are_h3s_own() -> None:
    cell = tiling.cell_at(8.54, 47.37, 10)
    assert tiling.cell_name(cell) == h3.latlng_to_cell(47.37, 8.54, 10)
    assert Tile(17, 68650, 45880).cell(9) == tiling.cell_at(*Tile(17, 68650, 45880).center, 9)
