"""The roads of one tile as a network: junctions, dead ends, direction."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray

from training.anchors.ground import Geometries

MERGE_M = 15.0
"""Nodes nearer than this are one: the two sides of a dual carriageway, a staggered crossing."""
_GRID_M = 0.05
"""A road that ends this near to another meets it."""
_EXIT_M = 25.0
_EXIT_RAD = math.radians(30.0)
"""Ways whose directions this far out differ by less leave a node as one: the two sides of a dual carriageway."""


class Network:
    """Road lines of a tile and its surroundings; asked for numbers once.

    Args:
        roads: lines in metres. levels: of each; lines of different levels cross without meeting.
        roundabouts: whether each is part of one. frame: the tile.
    """

    def __init__(
        self, roads: Geometries, levels: NDArray[np.int64], roundabouts: NDArray[np.bool_], frame: shapely.Polygon
    ) -> None:
        self._roads, self._levels, self._roundabouts = roads, levels, roundabouts
        self._frame = frame

    def measure(self) -> dict[str, float]:
        """Length, number of lines, direction, junctions and dead ends within the tile."""
        inside = shapely.intersection(self._roads, self._frame)
        merged = shapely.line_merge(shapely.union_all(inside))
        lines = shapely.get_parts(merged) if len(inside) else inside
        lines = lines[shapely.get_dimensions(lines) == 1]
        degrees = self._degrees()
        junctions = degrees[degrees >= 3]
        return {
            "road_m": float(shapely.length(lines).sum()),
            "road_lines": float(len(lines)),
            "road_order": _order(lines),
            "roundabouts": float(shapely.intersects(self._roads[self._roundabouts], self._frame).any()),
            "junctions": float(len(junctions)),
            "node_degree_max": float(degrees.max(initial=0)),
            "crossing_share": float((junctions == 4).mean()) if len(junctions) else 0.0,
            "dead_end_share": float((degrees == 1).mean()) if len(degrees) else 0.0,
        }

    def _degrees(self) -> NDArray[np.int64]:
        """Ways that leave each node of the tile: dead ends 1, junctions from 3; nodes of degree 2 are left out."""
        edges = self._edges()
        if not len(edges):
            return np.zeros(0, np.int64)
        ends = np.concatenate((shapely.get_point(edges, 0), shapely.get_point(edges, -1)))
        cluster = _clusters(ends)
        start, stop = np.split(cluster, 2)
        # What links a node with itself over a short way is inside the junction; over a long one, a loop with two ends.
        real = (start != stop) | (shapely.length(edges) > 2 * MERGE_M)
        xy = shapely.get_coordinates(ends)
        count = cluster.max() + 1
        weight = np.bincount(cluster, minlength=count).astype(np.float64)
        middle = np.column_stack([np.bincount(cluster, xy[:, i], count) / weight for i in (0, 1)])
        within = np.asarray(shapely.contains_properly(self._frame, shapely.points(middle)))
        out = shapely.get_coordinates(_outward(edges))
        bearing = np.arctan2(*(out - middle[cluster]).T[::-1])
        kept = np.concatenate((real, real)) & within[cluster]
        exits = [_exits(bearing[kept & (cluster == c)]) for c in np.unique(cluster[kept])]
        return np.array([n for n in exits if n == 1 or n >= 3], np.int64)

    def _edges(self) -> Geometries:
        """The lines cut where they meet, level by level, and joined where only two do."""
        by_level = (self._roads[self._levels == n] for n in np.unique(self._levels))
        noded = [shapely.get_parts(shapely.union_all(roads, grid_size=_GRID_M)) for roads in by_level]
        if not noded:
            return np.zeros(0, object)
        edges = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(np.concatenate(noded))))
        return edges[shapely.length(edges) > 0]


def _outward(edges: Geometries) -> Geometries:
    """A point of each edge 25 m along from its start, then from its end; the other end of a shorter one."""
    return np.concatenate((shapely.line_interpolate_point(edges, _EXIT_M),
                           shapely.line_interpolate_point(shapely.reverse(edges), _EXIT_M)))  # fmt: skip


def _clusters(points: Geometries) -> NDArray[np.int64]:
    """Number of the cluster of each point; points within 15 m of each other are in one, through others too."""
    one, other = shapely.STRtree(points).query(points, predicate="dwithin", distance=MERGE_M)
    label = np.arange(len(points))
    while True:
        lower = label.copy()
        np.minimum.at(lower, one, label[other])
        if (lower == label).all():
            return np.unique(label, return_inverse=True)[1]
        label = lower


def _exits(bearings: NDArray[np.float64]) -> int:
    """How many ways leave a node, those in nearly one direction counted once."""
    if len(bearings) < 2:
        return len(bearings)
    turned = np.sort(bearings)
    gaps = np.diff(turned, append=turned[0] + 2 * math.pi)
    return max(1, int((gaps >= _EXIT_RAD).sum()))


def _order(lines: Geometries) -> float:
    """R4 of the straight pieces by length: 1 for a grid, however it is turned."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    step = np.diff(xy, axis=0)[np.diff(line) == 0]
    return order(np.arctan2(step[:, 1], step[:, 0]), np.linalg.norm(step, axis=1))


def order(angles: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """R4 = |sum w e^(4 i angle)| / sum w, 0..1: 1 where all directions agree up to quarter turns; 0 for nothing."""
    total = weights.sum()
    return float(abs((weights * np.exp(4j * angles)).sum()) / total) if total > 0 else 0.0
