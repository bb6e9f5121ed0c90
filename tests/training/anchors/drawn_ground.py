"""Grounds drawn by hand, metres about (0, 0), a frame of 200 m."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from training.anchors.ground import Ground

FRAME = shapely.box(-100, -100, 100, 100)
Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def ground(
    buildings: Sequence[BaseGeometry] = (), roads: Sequence[BaseGeometry] = (), levels: Sequence[int] | None = None,
    frame: shapely.Polygon = FRAME, water: Sequence[BaseGeometry] = (),
) -> Ground:  # fmt: skip
    nothing = np.zeros(0, object)
    return Ground(
        frame, np.array([*buildings, None], object)[:-1], np.array([*roads, None], object)[:-1],
        np.array(levels or [0] * len(roads), np.int64), np.zeros(len(roads), np.bool_), nothing, nothing,
        np.array([*water, None], object)[:-1],
    )  # fmt: skip


def box(x: float, y: float, width: float, height: float) -> shapely.Polygon:
    return shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def houses(step: float = 25.0, size: float = 10.0, jitter: float = 0.0) -> list[shapely.Polygon]:
    rng = np.random.default_rng(3)
    ticks = np.arange(-140, 141, step)
    return [box(x + jitter * rng.normal(), y + jitter * rng.normal(), size, size) for x in ticks for y in ticks]


def terraces() -> list[shapely.Polygon]:
    return [box(x, y, 6, 10) for y in (-75, -25, 25, 75) for x in np.arange(-138, 139, 6)]


def grid_roads(step: float = 80.0) -> list[shapely.LineString]:
    ticks = np.arange(-120, 121, step)
    return [shapely.LineString([(-160, t), (160, t)]) for t in ticks] + [
        shapely.LineString([(t, -160), (t, 160)]) for t in ticks
    ]


def turned(degrees: float) -> Change:
    a = math.radians(degrees)
    matrix = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    return lambda xy: xy @ matrix


QUARTERS: list[Change] = [
    lambda xy: np.column_stack((-xy[:, 1], xy[:, 0])),
    lambda xy: -xy,
    lambda xy: np.column_stack((-xy[:, 0], xy[:, 1])),
    lambda xy: np.column_stack((xy[:, 1], xy[:, 0])),
]
"""Turns by a quarter and a half, and two mirrors: they make all eight of D4."""
