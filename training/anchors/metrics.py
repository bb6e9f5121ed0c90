"""Geometry to numbers: what the labels of a tile are decided by."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from training.anchors.ground import Geometries, Ground
from training.anchors.network import Network, order
from training.anchors.rules import SHAPES, SIZES

METRICS_VERSION = "4"

_SIZE_M2 = (50.0, 150.0, 500.0, 2000.0)
"""Footprints at which small, medium, large and very_large begin."""
TOUCH_M = 0.5
"""Buildings nearer than this touch."""
_CORNER_M = 0.5
"""Tolerance (Douglas-Peucker) at which a building's corners are counted."""
_YARD_M, _VERGE_M, _FRONT_M = 10.0, 8.0, 12.0
"""Around buildings and around roads ground is not open; a building this near to a block's edge fronts it."""
_EVERY_M, _OF_SIDE = 2.0, 1 / 1000
"""Edges of blocks are probed in steps of this, or of this share of the tile's side where that is more."""
_SAME_M, _DRAWN_AGAIN = 0.02, 9
"""Centres nearer than this are of one building drawn again; so many of the nearest are looked at."""
_ROUND = 3
"""Segments to a quarter circle of a buffer: within 1 % of the area."""


def measure(ground: Ground, touch_m: float = TOUCH_M) -> dict[str, float]:
    """Numbers of one tile, rounded so that they can be kept; areas as shares of the tile's, lengths in metres.

    The same for the tile turned by a quarter, mirrored or moved.

    Args:
        touch_m: buildings nearer to each other than this touch; more than the usual where outlines are coarse.
    """
    found = _Measured(ground)
    numbers = {
        "area_m2": found.area,
        "side_m": math.sqrt(found.area),
        **found.stock(),
        **found.arrangement(touch_m),
        **Network(ground.roads, ground.levels, ground.roundabouts, ground.frame).measure(),
        **found.openness(),
        **found.blocks(),
        "construction_share": found.share(ground.sites),
        "cleared_share": found.share(ground.cleared),
        "water_share": found.share(ground.water),
    }
    return {name: round(float(value), 4) for name, value in numbers.items()}


class _Measured:
    """Buildings, open ground and blocks of one tile; what several numbers need is worked out once."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._frame = ground.frame
        shapely.prepare(self._frame)
        self.area = ground.frame.area
        self._centres = shapely.centroid(ground.buildings)
        self._own = shapely.contains(self._frame, self._centres) if len(ground.buildings) else np.zeros(0, bool)
        self._buildings = ground.buildings[self._own]
        self._areas = shapely.area(self._buildings)

    def share(self, shapes: Geometries) -> float:
        """Of the tile's area that lies under any of the shapes."""
        if not len(shapes):
            return 0.0
        inside = shapely.intersection(shapes[shapely.intersects(self._frame, shapes)], self._frame)
        return shapely.union_all(inside).area / self.area

    @cached_property
    def _roads(self) -> Geometries:
        """Those of the tile, cut at its edge."""
        roads: Geometries = shapely.intersection(self._ground.roads, self._frame)
        return roads[~shapely.is_empty(roads)]

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._ground.buildings)

    def stock(self) -> dict[str, float]:
        """How much is built, and the share of footprints in each class of size and shape."""
        total = self._areas.sum() or 1.0
        sizes = np.searchsorted(_SIZE_M2, self._areas, side="right")
        rectangle = shapely.oriented_envelope(self._buildings)
        shapes, angles = _shapes(self._buildings, self._areas, rectangle), _bearings(rectangle)
        numbers = {
            "buildings": float(len(self._buildings)),
            "built_share": self.share(self._ground.buildings),
            "building_order": order(angles, self._areas),
        }
        numbers |= {f"size_{name}": self._areas[sizes == n].sum() / total for n, name in enumerate(SIZES)}
        return numbers | {f"shape_{name}": self._areas[shapes == n].sum() / total for n, name in enumerate(SHAPES)}

    def arrangement(self, touch_m: float) -> dict[str, float]:
        """How the tile's buildings stand to each other and to those beside the tile (Clark & Evans 1954)."""
        n = len(self._buildings)
        if n == 0 or len(self._ground.buildings) < 2:
            return {"touching": 0.0, "clark_evans": 0.0}
        one, other = self._tree.query(self._buildings, predicate="dwithin", distance=touch_m)
        own = np.flatnonzero(self._own)
        touching = len(np.unique(one[own[one] != other])) / n
        spots = shapely.get_coordinates(self._centres)
        distances = KDTree(spots).query(spots[self._own], k=min(len(spots), _DRAWN_AGAIN))[0]
        # A building drawn twice has no neighbour at distance nought, whatever the last digits are.
        nearest = np.where(distances > _SAME_M, distances, np.inf).min(axis=1)
        nearest[np.isinf(nearest)] = 0.0
        return {"touching": touching, "clark_evans": nearest.mean() / (0.5 * math.sqrt(self.area / n))}

    def openness(self) -> dict[str, float]:
        """Ground away from buildings and roads, and how much of it hangs together."""
        reach = shapely.box(*_grown(self._frame.bounds, _YARD_M))
        near = self._ground.buildings[shapely.intersects(reach, self._ground.buildings)]
        # One by one and then joined takes half the time of buffering what is joined already.
        yards = shapely.buffer(near, _YARD_M, quad_segs=_ROUND)
        verges = shapely.buffer(self._roads, _VERGE_M, quad_segs=_ROUND)
        taken = shapely.union_all(np.concatenate((yards, verges)))
        parts = shapely.area(shapely.get_parts(self._frame.difference(taken)))
        total = parts.sum()
        return {"open_share": total / self.area, "open_largest": parts.max() / total if total > 0 else 0.0}

    def blocks(self) -> dict[str, float]:
        """Ground between roads: how far buildings line the edges of those blocks that have any; the largest."""
        lines = shapely.union_all([*self._roads, self._frame.exterior])
        blocks = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
        if not len(blocks):
            return {"perimeter_fill": 0.0, "largest_block": 1.0}
        largest = shapely.area(blocks).max() / self.area
        if not len(self._buildings):
            return {"perimeter_fill": 0.0, "largest_block": largest}
        peopled = np.unique(shapely.STRtree(blocks).query(self._centres[self._own], predicate="intersects")[1])
        return {"perimeter_fill": self._fill(shapely.boundary(blocks[peopled])), "largest_block": largest}

    def _fill(self, edges: Geometries) -> float:
        """Mean share of the edges that has a building within 12 m, told by a point every 2 m or so."""
        every = max(_EVERY_M, _OF_SIDE * math.sqrt(self.area))
        rings, owner = shapely.get_parts(shapely.segmentize(edges, every), return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        step = np.flatnonzero(np.diff(ring) == 0)
        edge = owner[ring[step]]
        middle = shapely.points((points[step] + points[step + 1]) / 2)
        length = np.linalg.norm(points[step + 1] - points[step], axis=1)
        fronted = np.zeros(len(step))
        fronted[self._tree.query(middle, predicate="dwithin", distance=_FRONT_M)[0]] = 1
        shares = np.bincount(edge, fronted * length) / np.bincount(edge, length)
        return float(shares.mean())


def _shapes(buildings: Geometries, areas: NDArray[np.float64], rectangle: Geometries) -> NDArray[np.int64]:
    """Class of each building, a position in SHAPES, by its outer ring."""
    rings = shapely.get_exterior_ring(buildings)
    outer = shapely.area(shapely.polygons(rings)) if len(rings) else np.zeros(0)
    safe = np.maximum(outer, 1e-9)
    long, short = _sides(rectangle)
    holes, full = 1 - areas / safe, outer / np.maximum(long * short, 1e-9)
    slender = short / np.maximum(long, 1e-9)
    corners = shapely.get_num_coordinates(shapely.simplify(rings, _CORNER_M)) - 1
    rules = [
        holes >= 0.10, (full >= 0.90) & (slender >= 0.40), (full >= 0.85) & (slender < 0.40),
        (full >= 0.55) & (full < 0.90) & (corners >= 6) & (corners <= 10),
    ]  # fmt: skip
    names = ("courtyard", "rectangular", "elongated", "l_or_u_shaped")
    return np.select(rules, [SHAPES.index(name) for name in names], SHAPES.index("complex"))


def _corners(rectangle: Geometries) -> NDArray[np.float64]:
    """(n, 5, 2): coordinates of rectangles; all zero for what degenerated to a line or point."""
    corners = np.zeros((len(rectangle), 5, 2))
    whole = shapely.get_num_coordinates(rectangle) == 5
    corners[whole] = shapely.get_coordinates(rectangle[whole]).reshape(-1, 5, 2)
    return corners


def _sides(rectangle: Geometries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longer and shorter side."""
    corners = _corners(rectangle)
    one, other = (np.linalg.norm(corners[:, i + 1] - corners[:, i], axis=-1) for i in (0, 1))
    return np.maximum(one, other), np.minimum(one, other)


def _bearings(rectangle: Geometries) -> NDArray[np.float64]:
    """Direction of a side, radians; a right angle more or less is all the same to R4."""
    corners = _corners(rectangle)
    along = corners[:, 1] - corners[:, 0]
    return np.arctan2(along[:, 1], along[:, 0])


def _grown(bounds: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    left, bottom, right, top = bounds
    return left - by, bottom - by, right + by, top + by
