"""The sea: OpenStreetMap maps only its edge, as lines with the water on their right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.tiling import Bounds

_STEP_DEGREES = 1e-6
"""How far to the side of a coast its water is looked for: about 0.1 m."""
_CERTAIN = 0.9
"""Share of a face's coast that must have it on the right for the face to be sea."""


def sea_of(coastlines: Sequence[BaseGeometry], frame: Bounds) -> list[BaseGeometry]:
    """Polygons of sea inside `frame` (degrees), largest first; none where the coast does not divide the frame.

    A coast that ends inside the frame, because the extract was cut there, is led on to the frame's nearest edge.

    Args:
        coastlines: lines in degrees with the sea on their right hand.
    """
    box = shapely.box(*frame)
    lines = shapely.get_parts(shapely.intersection(np.array(coastlines, dtype=object), box))
    lines = lines[(shapely.get_type_id(lines) == shapely.GeometryType.LINESTRING) & ~shapely.is_empty(lines)]
    if not len(lines):
        return []
    coast = shapely.union_all(lines)
    edges = shapely.union_all([coast, box.boundary, *_loose_ends(coast, box.boundary)])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(edges)))
    right, left, length = _sides(lines)
    sea = [face for face in faces if _is_sea(face, right, left, length)]
    return sorted(sea, key=lambda face: -face.area)


def _loose_ends(coast: BaseGeometry, edge: BaseGeometry) -> list[BaseGeometry]:
    """Straight lines from where a coast stops inside the frame to the frame's edge."""
    ends = shapely.get_parts(shapely.boundary(shapely.line_merge(coast)))
    return [shapely.shortest_line(end, edge) for end in ends if shapely.distance(end, edge) > 0]


def _sides(lines: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.float64]]:
    """Points just to the right and to the left of every segment's middle, and the segments' lengths."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    same = line[1:] == line[:-1]
    start, end = xy[:-1][same], xy[1:][same]
    along = end - start
    length = np.hypot(*along.T)
    start, along, length = start[length > 0], along[length > 0], length[length > 0]
    aside = np.column_stack((along[:, 1], -along[:, 0])) / length[:, None] * _STEP_DEGREES
    middle = start + along / 2
    return shapely.points(middle + aside), shapely.points(middle - aside), length


def _is_sea(
    face: BaseGeometry, right: NDArray[np.object_], left: NDArray[np.object_], length: NDArray[np.float64]
) -> bool:
    shapely.prepare(face)
    wet = float(length[shapely.contains(face, right)].sum())
    dry = float(length[shapely.contains(face, left)].sum())
    return wet > 0 and wet >= _CERTAIN * (wet + dry)
