"""The disagreeing part of a tile as polygons on the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geoanchor.tiling import Bounds, from_mercator, to_mercator

_DATE_LINE = 180.0
_FEWEST_CELLS = 4
"""Smaller parts are noise."""


def outline(cells: NDArray[np.bool_], bounds: Bounds) -> tuple[dict[str, Any] | None, float]:
    """The parts of a tile that are marked, and their share of it.

    Args:
        cells: (rows, columns), row 0 north. bounds: of the tile, degrees.
    Returns:
        A GeoJSON Polygon or MultiPolygon in degrees, None where no part has four cells or more; their share, 0..1.
    """
    rows, columns = np.nonzero(cells)
    merged = shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))
    # Without the corners of cells that lie on a straight edge.
    parts = [part for part in shapely.get_parts(merged.simplify(0)) if part.area >= _FEWEST_CELLS]
    if not parts:
        return None, 0.0
    shape = shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]
    placed = shapely.transform(shape, lambda points: on_ground(points / cells.shape[::-1], bounds))
    return mapping(shapely.transform(_within_the_world(placed), _rounded)), sum(
        part.area for part in parts
    ) / cells.size


def on_ground(points: NDArray[np.float64], bounds: Bounds) -> NDArray[np.float64]:
    """Points (n, 2) in a tile, shares of its width from the west and of its height from the north, in degrees.

    To 8 decimals; even in web mercator, as tiles are. Longitudes go on beyond 180 where the bounds cross it.
    """
    east = bounds.east if bounds.east >= bounds.west else bounds.east + 360.0
    _, bottom = to_mercator(0.0, bounds.south)
    _, top = to_mercator(0.0, bounds.north)
    lats = [from_mercator(0.0, top - row * (top - bottom))[1] for row in points[:, 1].tolist()]
    return _rounded(np.stack([bounds.west + points[:, 0] * (east - bounds.west), lats], axis=1))


def _within_the_world(shape: BaseGeometry) -> BaseGeometry:
    """A shape that goes on beyond 180 degrees, cut there, since no map program would draw it otherwise."""
    if shape.bounds[2] <= _DATE_LINE:
        return shape
    near, far = (shapely.intersection(shape, shapely.box(west, -90, west + 360.0, 90)) for west in (-180.0, 180.0))
    both = shapely.get_parts([near, shapely.transform(far, lambda points: points - (360.0, 0.0))])
    return shapely.MultiPolygon([part for part in both if part.geom_type == "Polygon"])


def _rounded(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(points, 8)
