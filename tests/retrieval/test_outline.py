"""Disagreeing cells as polygons on the ground."""

import numpy as np
import pytest

from geoanchor.tiling import Bounds, Tile
from retrieval.outline import outline


def test_an_outline_has_corners_and_nothing_between_them() -> None:
    cells = np.zeros((20, 20), bool)
    cells[4:10, 3:15] = True
    cells[6:8, 5:7] = False
    shape, share = outline(cells, Bounds(11.0, 48.0, 11.2, 48.2))
    assert shape is not None
    assert [len(ring) for ring in shape["coordinates"]] == [5, 5]
    assert share == pytest.approx(68 / 400)


def test_outlines_at_the_antimeridian_stay_small() -> None:
    from shapely.geometry import shape

    cells = np.zeros((20, 20), bool)
    cells[4:10, 3:20] = True
    last = Tile(15, 2**15 - 1, 18_000).bounds
    west, south, east, north = shape(outline(cells, last)[0]).bounds
    assert (east, west) == (180.0, pytest.approx(last.west + 0.15 * (180 - last.west)))
    across, share = outline(cells, Bounds(179.99, south, -179.99, north))
    assert share == pytest.approx(102 / 400)
    assert across is not None
    assert across["type"] == "MultiPolygon"
    near, far = (part.bounds for part in shape(across).geoms)
    assert near[::2] == pytest.approx((179.993, 180.0))
    assert far[::2] == pytest.approx((-180.0, -179.99))
