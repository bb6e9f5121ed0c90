"""Stands buildings along the edge of a block, without overlaps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from indexer.city.frame import Points

When = Literal["always", "built", "demolished"]
"""At both dates, only at date 1, only at date 0."""

Shapes = NDArray[np.object_]
"""(n,) shapely polygons."""


@dataclass(frozen=True, slots=True)
class Item:
    """A feature in the making: metres instead of degrees."""

    geometry: BaseGeometry
    tags: Mapping[str, str]
    when: When = "always"


@dataclass(slots=True)
class Ground:
    """Collects what stands on one cell or site."""

    dice: np.random.Generator
    items: list[Item] = field(default_factory=list)

    def add(self, geometry: BaseGeometry, tags: Mapping[str, str], when: When = "always") -> None:
        """Add one feature; nothing where the geometry is empty."""
        if not geometry.is_empty:
            self.items.append(Item(geometry, tags, when))

    def build(self, geometry: BaseGeometry, tags: Mapping[str, str], new: bool = False) -> None:
        """Add a building; a few are built and a few demolished between the two dates."""
        draw = self.dice.random()
        self.add(geometry, tags, "built" if new or draw < 0.02 else "demolished" if draw < 0.035 else "always")


@dataclass(frozen=True, slots=True)
class Row:
    """How buildings line an edge, metres.

    Attributes:
        frontage, depth: (least, most); gap: between neighbours; setback: from the edge.
        notch: share of buildings with a corner cut out (L shapes).
        skip: share of places left empty.
        trim: how far from the start of each edge the first one stands (None: setback and depth).
    """

    frontage: tuple[float, float]
    depth: tuple[float, float]
    gap: float
    setback: float
    notch: float = 0.0
    skip: float = 0.0


def parts(geometry: BaseGeometry, least_area: float) -> list[shapely.Polygon]:
    """The polygons of a geometry that are at least so many square metres, in a stable order."""
    found = [p for p in shapely.get_parts(geometry) if isinstance(p, shapely.Polygon) and p.area >= least_area]
    return sorted(found, key=lambda p: p.bounds)


def edges(block: shapely.Polygon, shortest: float) -> list[tuple[Points, Points, float]]:
    """(start, unit vector, length) of a block's sides, inside to the left."""
    ring = np.asarray(shapely.simplify(block.exterior, 1.5).coords)
    if not shapely.is_ccw(shapely.LinearRing(ring)):
        ring = ring[::-1]
    steps = np.diff(ring, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    return [(a, s / n, float(n)) for a, s, n in zip(ring[:-1], steps, lengths, strict=True) if n >= shortest]


def line_up(block: shapely.Polygon, row: Row, dice: np.random.Generator) -> Shapes:
    """Buildings along every side of a block that lie inside it and touch no other.

    Returns (n,) polygons in order of place.
    """
    outlines: list[Points] = []
    for start, along, length in edges(block, row.frontage[0] + 2 * row.setback):
        inward = np.array([-along[1], along[0]])
        at = row.setback
        while True:
            w = float(dice.uniform(*row.frontage))
            if at + w > length - row.setback:
                break
            d = float(dice.uniform(*row.depth))
            shape = _outline(w, d, dice.random() < row.notch, bool(dice.random() < 0.5))
            if dice.random() >= row.skip:
                base = start + along * at + inward * row.setback
                outlines.append(base + shape[:, :1] * along + shape[:, 1:] * inward)
            at += w + row.gap
    if not outlines:
        return np.array([], object)
    return apart(np.array([shapely.Polygon(o) for o in outlines], object), block.buffer(-row.setback * 0.6))


def _outline(w: float, d: float, notched: bool, left: bool) -> Points:
    if not notched:
        return np.array([(0, 0), (w, 0), (w, d), (0, d)], float)
    x, y = w * 0.55, d * 0.58
    points = np.array([(0, 0), (w, 0), (w, y), (x, y), (x, d), (0, d)], float)
    if left:
        points = np.column_stack([w - points[:, 0], points[:, 1]])[::-1]
    return points


def apart(shapes: Shapes, inside: BaseGeometry, clearance: float = -0.2) -> Shapes:
    """Those that lie inside and do not overlap an earlier one; a negative clearance lets walls be shared."""
    shapely.prepare(inside)
    shapes = shapes[shapely.contains(inside, shapes)]
    if len(shapes) < 2:
        return shapes
    tree = shapely.STRtree(shapely.buffer(shapes, clearance, join_style="mitre"))
    first, second = tree.query(tree.geometries, predicate="intersects")
    dropped: set[int] = set()
    for a, b in sorted(zip(first.tolist(), second.tolist(), strict=True)):
        if a < b and a not in dropped:
            dropped.add(b)
    return shapes[[n for n in range(len(shapes)) if n not in dropped]]


def long_side(block: shapely.Polygon) -> float:
    """Direction of a block's longest side, radians."""
    _, along, _ = max(edges(block, 0.0), key=lambda side: side[2])
    return math.atan2(along[1], along[0])


def scatter(area: BaseGeometry, spacing: float, share: float, dice: np.random.Generator) -> Points:
    """(n, 2) points in an area, about `spacing` apart, a share of them kept."""
    if area.is_empty:
        return np.empty((0, 2))
    left, bottom, right, top = area.bounds
    nx, ny = max(1, int((right - left) / spacing)), max(1, int((top - bottom) / spacing))
    grid = np.stack(np.meshgrid(np.arange(nx), np.arange(ny)), -1).reshape(-1, 2) + dice.random((nx * ny, 2))
    points = grid * spacing + (left, bottom)
    keep = dice.random(len(points)) < share
    return points[keep & shapely.contains_xy(area, points[:, 0], points[:, 1])]
