"""The sea lies to the right of a coastline."""

from __future__ import annotations

import pytest
import shapely

from geoanchor.tiling import Bounds
from indexer.coast import sea_of

FRAME = Bounds(0.0, 0.0, 1.0, 1.0)
EAST = shapely.Point(0.8, 0.5)


def test_the_sea_is_on_the_right_hand() -> None:
    northwards = shapely.LineString([(0.5, -0.2), (0.45, 0.5), (0.5, 1.2)])
    (sea,) = sea_of([northwards], FRAME)
    assert sea.contains(EAST)
    assert sea.area == pytest.approx(0.525, abs=0.01)
    (other,) = sea_of([northwards.reverse()], FRAME)
    assert not other.contains(EAST)
    assert sea.area + other.area == pytest.approx(1.0)


def test_an_island_is_a_hole_and_a_coast_in_pieces_is_one() -> None:
    island = shapely.Point(0.75, 0.5).buffer(0.1).exterior.normalize()
    ring = shapely.LineString(island.coords)
    ring = ring if shapely.is_ccw(ring) else ring.reverse()
    pieces = [shapely.LineString([(0.5, -0.2), (0.5, 0.4)]), shapely.LineString([(0.5, 0.4), (0.5, 1.2)]), ring]
    (sea,) = sea_of(pieces, FRAME)
    assert sea.contains(shapely.Point(0.55, 0.5))
    assert not sea.contains(shapely.Point(0.75, 0.5))
    assert sea.area == pytest.approx(0.5 - 0.0314, abs=0.002)


def test_a_coast_cut_off_inside_the_frame_is_led_to_its_edge() -> None:
    (sea,) = sea_of([shapely.LineString([(0.5, 0.1), (0.5, 0.9)])], FRAME)
    assert sea.area == pytest.approx(0.5)


def test_no_coast_in_the_frame_means_no_sea() -> None:
    assert sea_of([shapely.LineString([(5, 5), (6, 6)])], FRAME) == []
