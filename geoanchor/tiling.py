"""Addresses on the web-mercator grid, their bounds and ground sampling distance, and H3 cells.

Degrees are WGS 84 (EPSG:4326) in the order lng, lat; metres are web mercator (EPSG:3857). The two boxes are different
types with different field names, so that mixing them fails loudly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import h3

from geoanchor.errors import UsageError

EARTH_RADIUS_M = 6_378_137.0
"""Radius of the web-mercator sphere (WGS 84 semi-major axis), metres."""
MEAN_EARTH_RADIUS_M = 6_371_008.8
"""Mean radius used for great-circle distances, metres."""
MAX_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
"""Latitude at which the web-mercator square ends, degrees."""
MAX_ZOOM = 30
TILE_SIZE_PX = 256
_HALF_WORLD_M = math.pi * EARTH_RADIUS_M


class Bounds(NamedTuple):
    """A box in degrees: west, south, east, north; west > east means that it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    @property
    def center(self) -> tuple[float, float]:
        """Centre as (lng, lat), lng in [-180, 180)."""
        width = (self.east - self.west) % 360.0 if self.east != self.west else 0.0
        if self.east - self.west == 360.0:
            width = 360.0
        return wrap_lng(self.west + width / 2), (self.south + self.north) / 2

    def parts(self) -> tuple[Bounds, ...]:
        """The box itself, or the two that it is cut into at the antimeridian."""
        if self.west > self.east:
            return self._replace(east=180.0), self._replace(west=-180.0)
        return (self,)

    def holds(self, lng: float, lat: float) -> bool:
        """Whether a point lies in it, edges included."""
        crosses = self.west > self.east
        inside = lng >= self.west or lng <= self.east if crosses else self.west <= lng <= self.east
        return inside and self.south <= lat <= self.north


class MercatorBounds(NamedTuple):
    """A box in web-mercator metres: left, bottom, right, top."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """An address z/x/y on the web-mercator grid (y grows southwards), never pixels.

    Raises UsageError when z is outside 0..30 or x, y outside 0..2^z - 1.
    """

    z: int
    x: int
    y: int

    def __post_init__(self) -> None:
        side = 1 << self.z if 0 <= self.z <= MAX_ZOOM else 0
        if not (0 <= self.x < side and 0 <= self.y < side):
            raise UsageError(
                f"tile {self.z}/{self.x}/{self.y} does not exist: z must be 0..{MAX_ZOOM}, x and y 0..2^z - 1"
            )

    def __str__(self) -> str:
        return f"{self.z}/{self.x}/{self.y}"

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees."""
        return Bounds(
            _tile_lng(self.x, self.z),
            _tile_lat(self.y + 1, self.z),
            _tile_lng(self.x + 1, self.z),
            _tile_lat(self.y, self.z),
        )

    @property
    def bounds_mercator(self) -> MercatorBounds:
        """Left, bottom, right, top in web-mercator metres."""
        side = 2 * _HALF_WORLD_M / (1 << self.z)
        left = -_HALF_WORLD_M + self.x * side
        top = _HALF_WORLD_M - self.y * side
        return MercatorBounds(left, top - side, left + side, top)

    @property
    def center(self) -> tuple[float, float]:
        """(lng, lat) of the tile's centre on the mercator plane, degrees."""
        return _tile_lng(self.x + 0.5, self.z), _tile_lat(self.y + 0.5, self.z)

    def gsd_m(self, size_px: int = TILE_SIZE_PX) -> float:
        """Metres on the ground per pixel at the tile's centre when it is drawn `size_px` wide."""
        return ground_resolution_m(self.z, self.center[1], size_px)

    def cell(self, resolution: int) -> int:
        """H3 cell (uint64 as int) of the tile's centre."""
        return cell_at(*self.center, resolution)

    def parent(self, z: int | None = None) -> Tile:
        """The tile at zoom `z` (default one less) that contains this one."""
        steps = 1 if z is None else self.z - z
        if not 0 <= steps <= self.z:
            raise UsageError(f"tile {self} has no parent at zoom {self.z - steps}")
        return Tile(self.z - steps, self.x >> steps, self.y >> steps)

    def children(self) -> tuple[Tile, Tile, Tile, Tile]:
        """The four tiles one zoom deeper, in row-major order."""
        z, x, y = self.z + 1, self.x * 2, self.y * 2
        return Tile(z, x, y), Tile(z, x + 1, y), Tile(z, x, y + 1), Tile(z, x + 1, y + 1)


def _tile_lng(x: float, z: int) -> float:
    return x / (1 << z) * 360.0 - 180.0


def _tile_lat(y: float, z: int) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / (1 << z)))))


def wrap_lng(lng: float) -> float:
    """The same meridian in [-180, 180)."""
    return lng if -180.0 <= lng < 180.0 else (lng + 180.0) % 360.0 - 180.0


def unwrap_lng(lng: float, middle: float) -> float:
    """The same meridian within half a turn of another one; it may lie beyond 180 degrees."""
    return lng + 360.0 * round((middle - lng) / 360.0)


def around(boxes: Iterable[Bounds]) -> Bounds:
    """The smallest box that holds all the boxes, of which there is at least one; it may cross the antimeridian."""
    boxes = list(boxes)
    spans = sorted((part.west, part.east) for box in boxes for part in box.parts())
    west, reach = spans[0]
    east = max(end for _, end in spans)
    # The widest gap between neighbours is what the box leaves out: the one over the antimeridian, or another.
    widest = west + 360.0 - east
    for start, end in spans:
        if start - reach > widest:
            widest, west, east = start - reach, start, reach
        reach = max(reach, end)
    return Bounds(west, min(box.south for box in boxes), east, max(box.north for box in boxes))


def tile_at(lng: float, lat: float, z: int) -> Tile:
    """The tile at zoom `z` that holds a point; latitudes beyond the mercator square take its edge row."""
    side = 1 << z
    x = math.floor((wrap_lng(lng) + 180.0) / 360.0 * side)
    sin_lat = math.sin(math.radians(max(-MAX_LATITUDE, min(MAX_LATITUDE, lat))))
    y = math.floor((0.5 - math.atanh(sin_lat) / (2 * math.pi)) * side)
    return Tile(z, min(x, side - 1), max(0, min(y, side - 1)))


def tiles_in(bounds: Bounds, z: int) -> Iterator[Tile]:
    """Tiles at zoom `z` whose interior meets `bounds` (degrees), row by row; crosses the antimeridian."""
    # A box that ends exactly on a tile edge must not take in the next tile.
    eps = 1e-9
    top = tile_at(0.0, bounds.north - eps, z).y
    bottom = tile_at(0.0, bounds.south + eps, z).y
    for y in range(top, max(bottom, top) + 1):
        for part in bounds.parts():
            first = tile_at(min(part.west + eps, 180.0 - eps), 0.0, z).x
            last = tile_at(max(min(part.east - eps, 180.0 - eps), -180.0), 0.0, z).x
            for x in range(first, max(last, first) + 1):
                yield Tile(z, x, y)


def ground_resolution_m(z: int, lat: float, size_px: int = TILE_SIZE_PX) -> float:
    """Metres on the ground per pixel of a `size_px` tile at zoom `z` and latitude `lat`."""
    return 2 * _HALF_WORLD_M * math.cos(math.radians(lat)) / (size_px * (1 << z))


def zoom_for_gsd(gsd_m: float, lat: float, size_px: int = TILE_SIZE_PX) -> int:
    """The zoom whose pixels are nearest in size (on a log scale) to `gsd_m` metres at latitude `lat`."""
    if not gsd_m > 0:
        raise UsageError(f"a ground sampling distance must be above 0 m, not {gsd_m}")
    exact = math.log2(ground_resolution_m(0, lat, size_px) / gsd_m)
    return max(0, min(MAX_ZOOM, round(exact)))


def to_mercator(lng: float, lat: float) -> tuple[float, float]:
    """Web-mercator metres (x, y) of a point in degrees."""
    lat = max(-MAX_LATITUDE, min(MAX_LATITUDE, lat))
    return math.radians(lng) * EARTH_RADIUS_M, math.atanh(math.sin(math.radians(lat))) * EARTH_RADIUS_M


def from_mercator(x: float, y: float) -> tuple[float, float]:
    """Degrees (lng, lat) of a point in web-mercator metres."""
    return math.degrees(x / EARTH_RADIUS_M), math.degrees(math.atan(math.sinh(y / EARTH_RADIUS_M)))


def distance_m(lng_a: float, lat_a: float, lng_b: float, lat_b: float) -> float:
    """Great-circle (haversine) distance in metres between two points in degrees."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(lng_b - lng_a) / 2) ** 2
    return 2 * MEAN_EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))


def cell_at(lng: float, lat: float, resolution: int) -> int:
    """H3 cell (uint64 as int) that holds a point in degrees."""
    return int(h3.str_to_int(h3.latlng_to_cell(lat, lng, resolution)))


@cache
def cell_name(cell: int) -> str:
    """H3's own hexadecimal name of a cell."""
    return str(h3.int_to_str(cell))


def cell_outline(name: str) -> list[tuple[float, float]]:
    """Corners (lng, lat) of an H3 cell, not closed."""
    return [(lng, lat) for lat, lng in h3.cell_to_boundary(name)]
