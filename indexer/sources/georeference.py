"""Where the pixels of a picture lie on the earth: an affine map into a coordinate reference system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoanchor.errors import BadInput
from geoanchor.tiling import TILE_SIZE_PX, Bounds, Tile, distance_m, ground_resolution_m, tile_at, tiles_in, wrap_lng

Floats = NDArray[np.float64]
DEGREES = "EPSG:4326"
_EDGE_POINTS = 21
"""Points along each edge of an outline: edges that are straight in one projection bend in another."""


@dataclass(frozen=True, slots=True)
class Georeference:
    """An affine map from pixel corners to a CRS, and the size of the picture.

    Attributes:
        transform: a, b, c, d, e, f with x = a col + b row + c and y = d col + e row + f; rotation and shear are fine.
        crs: anything PROJ understands: "EPSG:32614", WKT.
        width, height: of the picture, pixels.
    """

    transform: tuple[float, float, float, float, float, float]
    crs: str
    width: int
    height: int

    def to_lnglat(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Degrees (lng, lat) of pixel positions; inf where the projection has none."""
        a, b, c, d, e, f = self.transform
        lng, lat = _transformer(self.crs, DEGREES).transform(a * cols + b * rows + c, d * cols + e * rows + f)
        return np.asarray(lng), np.asarray(lat)

    def to_pixels(self, lng: Floats, lat: Floats, turn: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Pixel positions (col, row) of degrees, `turn` added to the longitude; inf where the projection has none."""
        a, b, c, d, e, f = self.transform
        x, y = (np.asarray(axis) for axis in _transformer(DEGREES, self.crs).transform(lng, lat))
        x = x + turn
        scale = a * e - b * d
        with np.errstate(invalid="ignore"):
            return (e * (x - c) - b * (y - f)) / scale, (a * (y - f) - d * (x - c)) / scale

    @property
    def bounds(self) -> Bounds:
        """Box in degrees around the outline; crosses the antimeridian or holds a pole where the picture does."""
        along = np.linspace(0.0, 1.0, _EDGE_POINTS)
        cols, rows = _ring(along)
        lng, lat = self.to_lnglat(cols * self.width, rows * self.height)
        if not np.isfinite(lng + lat).all():
            return self._inner_bounds(along)
        lng = np.unwrap(lng, period=360.0)
        south, north = float(lat.min()), float(lat.max())
        # Walking around a pole turns once round the globe.
        if abs(lng[-1] - lng[0]) > 180.0 or np.ptp(lng) >= 360.0:
            polar = abs(lng[-1] - lng[0]) > 180.0
            southern = south + north < 0
            return Bounds(
                -180.0, -90.0 if polar and southern else south, 180.0, 90.0 if polar and not southern else north
            )
        west, east = float(lng.min()), float(lng.max())
        if west >= -180.0 and east <= 180.0:
            return Bounds(west, south, east, north)
        return Bounds(wrap_lng(west), south, wrap_lng(east), north)

    def _inner_bounds(self, along: Floats) -> Bounds:
        """Box around the part of the picture that the projection reaches, NaN where that is nothing."""
        cols, rows = np.meshgrid(along * self.width, along * self.height)
        lng, lat = self.to_lnglat(cols, rows)
        known = np.isfinite(lng) & np.isfinite(lat)
        if not known.any():
            return Bounds(math.nan, math.nan, math.nan, math.nan)
        lng, lat = lng[known], lat[known]
        return Bounds(float(lng.min()), float(lat.min()), float(lng.max()), float(lat.max()))

    @property
    def gsd_m(self) -> float:
        """Side in metres on the ground of the pixel at the centre (geometric mean of its two sides)."""
        col, row = self.width / 2, self.height / 2
        lng, lat = self.to_lnglat(np.array([col, col + 1, col]), np.array([row, row, row + 1]))
        if not np.isfinite(lng + lat).all():
            return math.nan
        across = distance_m(lng[0], lat[0], lng[1], lat[1])
        return math.sqrt(across * distance_m(lng[0], lat[0], lng[2], lat[2]))

    @property
    def crs_name(self) -> str | None:
        """The CRS as "EPSG:n" (or another authority's code), None where it has none."""
        return _crs_name(self.crs)

    @property
    def center(self) -> tuple[float, float]:
        """(lng, lat) of the middle pixel."""
        lng, lat = self.to_lnglat(np.array([self.width / 2]), np.array([self.height / 2]))
        return wrap_lng(float(lng[0])), float(lat[0])

    def tiles(self, zoom: int, size_px: int = TILE_SIZE_PX) -> list[Tile]:
        """Tiles that the outline itself covers by more than one tile pixel, row by row."""
        candidates = list(tiles_in(self.bounds, zoom))
        outlines = self._outlines(candidates)
        finite = np.isfinite(outlines).all(axis=(1, 2))
        # A neighbour that shares only an edge would hold a sliver of the picture and nothing else.
        margin_px = ground_resolution_m(zoom, self.center[1], size_px) / self.gsd_m
        margin_x, margin_y = min(margin_px, self.width / 4), min(margin_px, self.height / 4)
        inner = shapely.box(margin_x, margin_y, self.width - margin_x, self.height - margin_y)
        covered = np.zeros(len(candidates), bool)
        covered[finite] = shapely.intersects(shapely.polygons(outlines[finite]), inner)
        # At world scale a tile's outline may lie beyond the projection, or fold over, though the picture is within it.
        middle = tile_at(*self.center, zoom)
        return [tile for tile, keep in zip(candidates, covered, strict=True) if keep or tile == middle]

    def pixel_box(self, tile: Tile) -> tuple[float, float, float, float]:
        """Box (left, top, right, bottom) in pixels around a tile; the whole picture where the projection ends."""
        outline = self._outlines([tile])[0]
        if not np.isfinite(outline).all():
            return 0.0, 0.0, float(self.width), float(self.height)
        left, top = outline.min(axis=0)
        right, bottom = outline.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def turn(self, lng: Floats) -> Floats:
        """Whole turns, in degrees, from meridians to where the picture counts them (0..360, say); 0 in metres."""
        a, b, c, *_ = self.transform
        if not _is_geographic(self.crs):
            return np.zeros_like(lng)
        return np.asarray(360.0 * np.round((a * self.width / 2 + b * self.height / 2 + c - lng) / 360.0))

    def _outlines(self, tiles: Sequence[Tile]) -> Floats:
        """Outlines of tiles in pixels, (n, points, 2)."""
        x, y, z = np.array([(tile.x, tile.y, tile.z) for tile in tiles], np.float64).T[..., None]
        # From zoom 9 on, edges bend by less than half a pixel between corner and middle.
        u, v = _ring(np.linspace(0.0, 1.0, 3 if z.min() >= 9 else 9))
        lng = (x + u) / 2**z * 360.0 - 180.0
        lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + v) / 2**z))))
        turn = self.turn((x + 0.5) / 2**z * 360.0 - 180.0)
        cols, rows = self.to_pixels(lng.ravel(), lat.ravel(), np.broadcast_to(turn, lng.shape).ravel())
        return np.stack([cols, rows], axis=-1).reshape(len(tiles), u.size, 2)


def georeference(where: str, transform: Sequence[float], crs: str | None, width: int, height: int) -> Georeference:
    """A checked Georeference; numbers without a CRS are taken for degrees where they can be.

    Raises BadInput, naming `where`, when the transform is degenerate, no CRS is known, or PROJ cannot relate it to
    degrees.
    """
    a, b, c, d, e, f = (float(value) for value in transform)
    if not all(map(math.isfinite, (a, b, c, d, e, f))) or a * e - b * d == 0 or min(width, height) < 1:
        raise BadInput(where, "its georeference is degenerate (pixels of no size); write a proper one with gdal_edit")
    placed = Georeference((a, b, c, d, e, f), crs or DEGREES, width, height)
    if crs is None and not _fits_degrees(placed):
        raise BadInput(
            where, "has coordinates but no CRS; add a .prj file beside it or assign one with gdal_edit -a_srs"
        )
    try:
        known = all(map(math.isfinite, (*placed.bounds, placed.gsd_m))) and placed.gsd_m > 0
    except pyproj.exceptions.ProjError as error:
        raise BadInput(where, f"its CRS cannot be related to degrees ({str(error).splitlines()[0]})") from error
    if not known:
        raise BadInput(where, "its coordinates lie outside its CRS; assign the right CRS with gdal_edit -a_srs")
    return placed


def _fits_degrees(placed: Georeference) -> bool:
    a, b, c, d, e, f = placed.transform
    cols, rows = np.array([0, placed.width, 0, placed.width]), np.array([0, 0, placed.height, placed.height])
    lng, lat = a * cols + b * rows + c, d * cols + e * rows + f
    return bool(np.all(np.abs(lng) <= 180.0) and np.all(np.abs(lat) <= 90.0)) and abs(a) + abs(b) < 1.0


def _ring(along: Floats) -> tuple[Floats, Floats]:
    """A closed walk around the unit square, starting and ending at (0, 0)."""
    zero, one = np.zeros_like(along), np.ones_like(along)
    return (
        np.concatenate([along, one[1:], along[::-1][1:], zero[1:]]),
        np.concatenate([zero, along[1:], one[1:], along[::-1][1:]]),
    )


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=256)
def _crs_name(crs: str) -> str | None:
    authority = pyproj.CRS.from_user_input(crs).to_authority()
    return ":".join(authority) if authority else None


@lru_cache(maxsize=256)
def _is_geographic(crs: str) -> bool:
    return bool(pyproj.CRS.from_user_input(crs).is_geographic)
