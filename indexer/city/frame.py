"""A town's own plane, and the random numbers that belong to places in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoanchor.tiling import Bounds, from_mercator, to_mercator

Points = NDArray[np.floating[Any]]
"""(n, 2) metres in the town's plane, or degrees where said so."""

_EARTH_RADIUS_M = 6_378_137.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Metres around an origin, turned by `angle` radians; linear in web mercator, true to scale at the origin."""

    lng: float
    lat: float
    angle: float

    @property
    def stretch(self) -> float:
        """Web-mercator metres for one metre on the ground at the origin."""
        return 1.0 / math.cos(math.radians(self.lat))

    def to_degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) metres -> (n, 2) lng, lat."""
        x0, y0 = to_mercator(self.lng, self.lat)
        cos, sin = math.cos(self.angle) * self.stretch, math.sin(self.angle) * self.stretch
        x = x0 + points[:, 0] * cos - points[:, 1] * sin
        y = y0 + points[:, 0] * sin + points[:, 1] * cos
        lat = np.degrees(np.arctan(np.sinh(y / _EARTH_RADIUS_M)))
        return np.column_stack([np.degrees(x / _EARTH_RADIUS_M), lat])

    def to_metres(self, lng: float, lat: float) -> tuple[float, float]:
        """The town's metres of a point in degrees; the short way round where that crosses the antimeridian."""
        x0, y0 = to_mercator(self.lng, self.lat)
        x, y = to_mercator(self.lng + (lng - self.lng + 180.0) % 360.0 - 180.0, lat)
        dx, dy = (x - x0) / self.stretch, (y - y0) / self.stretch
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def window(self, bounds: Bounds) -> tuple[float, float, float, float]:
        """The box in metres (left, bottom, right, top) that holds a box in degrees."""
        corners = [
            self.to_metres(lng, lat) for lng in (bounds.west, bounds.east) for lat in (bounds.south, bounds.north)
        ]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def square(self, side_m: float) -> Bounds:
        """A north-up square around the origin, in degrees."""
        x0, y0 = to_mercator(self.lng, self.lat)
        half = side_m / 2 * self.stretch
        west, south = from_mercator(x0 - half, y0 - half)
        east, north = from_mercator(x0 + half, y0 + half)
        return Bounds(west, south, east, north)


def dice(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone, whatever was asked before."""
    return np.random.default_rng([k & 0xFFFFFFFF for k in key])


def rect(center: tuple[float, float], length: float, width: float, angle: float = 0.0) -> shapely.Polygon:
    """A rectangle around `center`, `length` along `angle` (radians)."""
    return shapely.Polygon(place([(-length / 2, -width / 2), (length / 2, -width / 2), (length / 2, width / 2),
                                  (-length / 2, width / 2)], center, angle))  # fmt: skip


def place(points: list[tuple[float, float]] | Points, center: tuple[float, float], angle: float) -> Points:
    """Turn points by `angle` around 0, 0 and move them to `center`."""
    cos, sin = math.cos(angle), math.sin(angle)
    placed: Points = np.asarray(points, float) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(center)
    return placed


def ellipse(center: tuple[float, float], length: float, width: float, angle: float, power: float = 2.0) -> Points:
    """Outline of a (super)ellipse, 40 corners; a higher power is boxier."""
    turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.sign(cos) * np.abs(cos) ** (2 / power) * length / 2
    y = np.sign(sin) * np.abs(sin) ** (2 / power) * width / 2
    return place(np.column_stack([x, y]), center, angle)
