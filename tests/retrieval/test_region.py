"""Regions that make no sense, and details of the cover; membership itself is checked in the index contract."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoanchor.errors import UsageError
from geoanchor.query import CellsRegion, PolygonRegion
from geoanchor.tiling import cell_at, distance_m
from retrieval.region import Places, disc_bounds, distances_m, region_rows
from retrieval.rings import polygons

NOWHERE = Places(np.empty(0, np.uint64), np.empty(0), np.empty(0))
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize(("geometry", "message"), [
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "not valid .Self-intersection"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "at least 4 points.* has 3"),
    ({"type": "Polygon", "coordinates": [SQUARE[:-1]]}, "last equal to the first"),
    ({"type": "Polygon", "coordinates": []}, "without rings"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 1], [0, 0]]]}, "pairs of numbers"),
    ({"type": "Polygon", "coordinates": [[0, 1, 2, 3]]}, "pairs of numbers"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [200, 0], [1, 1], [0, 0]]]}, "-180..180"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 1], [0, 0]]]}, "-180..180"),
    ({"type": "Polygon", "coordinates": [SQUARE, [[5, 5], [6, 5], [6, 6], [5, 5]]]}, "not valid"),
    ({"type": "Point", "coordinates": [0, 0]}, "Polygon or MultiPolygon"),
    ({"type": "Polygon"}, "Polygon or MultiPolygon"),
    ({}, "Polygon or MultiPolygon"),
    ({"type": "MultiPolygon", "coordinates": [[SQUARE], []]}, "without rings"),
])  # fmt: skip
def test_a_polygon_that_makes_no_sense_is_one_sentence(geometry: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        region_rows(PolygonRegion(geometry=geometry), NOWHERE)


@pytest.mark.parametrize("name", ["", "town", "8a2a1072b59fff", "ffffffffffffffff", "8a2a1072b59ffffg"])
def test_an_unknown_cell_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="is no H3 cell"):
        region_rows(CellsRegion(cells=(h3.latlng_to_cell(1, 1, 5), name)), NOWHERE)


def test_a_cell_may_be_written_in_capitals_and_named_twice() -> None:
    name = h3.latlng_to_cell(1, 1, 10)
    places = Places(np.array([h3.str_to_int(name)], np.uint64), np.array([1.0]), np.array([1.0]))
    assert region_rows(CellsRegion(cells=(name.upper(), name, name + " ")), places).tolist() == [0]


def test_heights_in_a_polygon_are_passed_over() -> None:
    assert polygons({"type": "Polygon", "coordinates": [[[*point, 120.0] for point in SQUARE]]})[0].area == 1


def test_an_empty_gallery_has_no_rows() -> None:
    assert region_rows(PolygonRegion(geometry={"type": "Polygon", "coordinates": [SQUARE]}), NOWHERE).tolist() == []
    assert region_rows(CellsRegion(cells=(h3.latlng_to_cell(1, 1, 5),)), NOWHERE).tolist() == []


points = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(points, points)
def test_distances_agree_with_the_scalar_words(a: tuple[float, float], b: tuple[float, float]) -> None:
    many = distances_m(*a, np.array([b[0]]), np.array([b[1]]))
    assert many[0] == pytest.approx(distance_m(*a, *b), abs=1e-3)


@given(points, points, st.floats(0, 2.1e7))
def test_a_disc_lies_in_its_box(centre: tuple[float, float], point: tuple[float, float], radius: float) -> None:
    west, south, east, north = disc_bounds(*centre, radius)
    if distance_m(*centre, *point) <= radius:
        lng, lat = point
        assert south <= lat <= north
        assert (west <= lng <= east) if west <= east else (lng >= west or lng <= east)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_cells_of_any_resolution_are_h3s_own(seed: int, resolution: int) -> None:
    """Points crowd around the cell's border, where its outline and its children's differ."""
    random = np.random.default_rng(seed)
    lng, lat = random.uniform(-180, 180), np.degrees(np.arcsin(random.uniform(-1, 1)))
    name = h3.latlng_to_cell(lat, lng, resolution)
    corners = np.array(h3.cell_to_boundary(name))
    middle = np.array(h3.cell_to_latlng(name))
    if np.abs(corners - middle).max() > 60:
        return  # around the antimeridian or a pole; the contract's regions cover those
    at = random.integers(0, len(corners), 80)
    share = random.uniform(0, 1, (80, 1))
    border = corners[at] * share + corners[(at + 1) % len(corners)] * (1 - share)
    lats, lngs = (middle + (border - middle) * random.normal(1, 0.03, (80, 1))).T
    lats, lngs = np.clip(lats, -90, 90), np.clip(lngs, -180, 180)
    cells = np.array([cell_at(x, y, 10) for x, y in zip(lngs, lats, strict=True)], np.uint64)
    order = np.argsort(cells, kind="stable")
    places = Places(cells[order], lngs[order], lats[order])
    truth = [i for i, row in enumerate(order.tolist()) if h3.latlng_to_cell(lats[row], lngs[row], resolution) == name]
    assert region_rows(CellsRegion(cells=(name,)), places).tolist() == truth
