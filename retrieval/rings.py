"""Rings of GeoJSON as shapely polygons that can be asked about any longitude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from geoanchor.errors import UsageError

Degrees = NDArray[np.float64]


def polygons(geometry: dict[str, Any]) -> list[Polygon]:
    """Valid shapely polygons of a GeoJSON Polygon or MultiPolygon, unwrapped over the antimeridian.

    Raises UsageError saying what is wrong with it.
    """
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list | tuple):
        raise UsageError(f"region: a GeoJSON Polygon or MultiPolygon with coordinates is needed, not {kind!r}")
    parts = [coordinates] if kind == "Polygon" else coordinates
    return [_polygon(part) for part in parts]


def _polygon(rings: Sequence[Any]) -> Polygon:
    if not isinstance(rings, list | tuple) or not rings:
        raise UsageError("region: a polygon without rings encloses nothing; give at least one ring of 4 points")
    shell, *holes = [_unwrapped(ring) for ring in rings]
    outline = Polygon(shell)
    polygon = Polygon(shell, [_beside(hole, outline) for hole in holes])
    if not polygon.is_valid:
        reason = shapely.is_valid_reason(polygon)
        raise UsageError(f"region: the polygon is not valid ({reason}); draw it without crossing or touching lines")
    return polygon


def _unwrapped(ring: Any) -> Degrees:
    """Points (n, 2) of a ring whose longitudes run on beyond 180 degrees instead of jumping."""
    try:
        points = np.array([point[:2] for point in ring], np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise UsageError("region: a ring must be a list of [lng, lat] pairs of numbers") from error
    if len(points) < 4 or not np.array_equal(points[0], points[-1]):
        raise UsageError(f"region: a ring needs at least 4 points, the last equal to the first; one has {len(points)}")
    if not (np.isfinite(points).all() and (np.abs(points) <= (180.0, 90.0)).all()):
        raise UsageError("region: a ring's points must be [lng, lat] with lng -180..180 and lat -90..90 degrees")
    steps = np.diff(points[:, 0])
    # A full turn in one step is the edge of a world map; it would be no edge at all if it crossed the antimeridian.
    crossing = (np.abs(steps) > 180.0) & (np.abs(steps) < 360.0)
    points[1:, 0] -= np.cumsum(np.where(crossing, np.copysign(360.0, steps), 0.0))
    return points if points[0, 0] == points[-1, 0] else _around_pole(points)


def _around_pole(points: Degrees) -> Degrees:
    """A ring that runs once round the world, closed over the pole that it is nearer to."""
    pole = math.copysign(90.0, points[:, 1].mean())
    corners = [(points[-1, 0], pole), (points[0, 0], pole), points[0]]
    return np.vstack([points, *corners])


def _beside(hole: Degrees, outline: Polygon) -> Degrees:
    """The hole, moved by whole turns to where it lies in its outline."""
    for turn in (0.0, 360.0, -360.0):
        moved: Degrees = hole + np.array((turn, 0.0))
        if outline.covers(Polygon(moved)):
            return moved
    return hole
