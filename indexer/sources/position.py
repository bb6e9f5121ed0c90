"""Positions in a table, whichever of the usual columns they are written in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geoanchor.errors import BadInput, UsageError
from geoanchor.tiling import Bounds, Tile

_LNG, _LAT = ("lng", "lon", "longitude"), ("lat", "latitude")
_BOX = (("west", "south", "east", "north"), ("xmin", "ymin", "xmax", "ymax"), ("minx", "miny", "maxx", "maxy"))
_ADDRESS = ("z", "x", "y")


@dataclass(frozen=True, slots=True)
class Position:
    """Where one row lies, as far as is known."""

    tile: Tile | None = None
    bounds: Bounds | None = None
    point: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Positions of all rows: tiles (n, 3) int64, boxes (n, 4) or points (n, 2) float64 degrees; NaN where unknown."""

    tiles: NDArray[np.int64] | None = None
    boxes: NDArray[np.float64] | None = None
    points: NDArray[np.float64] | None = None

    def at(self, row: int) -> Position:
        """Position of one row."""
        # Columns may be called z, x and y and hold heights and metres.
        if self.tiles is not None and (found := _of_tile(*self.tiles[row].tolist())).tile:
            return found
        bounds = _box(*self.boxes[row].tolist()) if self.boxes is not None else None
        point = _point(*self.points[row].tolist()) if self.points is not None else None
        if bounds is not None and bounds.west == bounds.east and bounds.south == bounds.north:
            return Position(point=point or bounds.center)
        return Position(bounds=bounds, point=point or (bounds.center if bounds else None))


def read_positions(table: pa.Table, where: str) -> Positions:
    """Positions from columns z, x, y; or west.. / xmin.. / bbox; or lng, lat; or a geometry in WKB (GeoParquet).

    Rows without position are fine; `where` names the table in messages.
    Raises BadInput when such columns hold something else.
    """
    names = {name.lower(): name for name in reversed(table.column_names)}
    try:
        return Positions(_tiles(table, names), _boxes(table, names), _points(table, names))
    except (pa.ArrowException, ValueError, TypeError, shapely.errors.ShapelyError, CRSError) as error:
        raise BadInput(where, f"its positions cannot be read ({error})") from error


def _tiles(table: pa.Table, names: dict[str, str]) -> NDArray[np.int64] | None:
    if not all(name in names for name in _ADDRESS):
        return None
    numbers = _numbers(table, [names[name] for name in _ADDRESS], -1)
    whole = np.abs(numbers) < 2**53
    return np.where(whole & (numbers == np.rint(numbers)), numbers, -1).astype(np.int64)


def _points(table: pa.Table, names: dict[str, str]) -> NDArray[np.float64] | None:
    lng = next((names[name] for name in _LNG if name in names), None)
    lat = next((names[name] for name in _LAT if name in names), None)
    return _numbers(table, [lng, lat], np.nan) if lng and lat else None


def _boxes(table: pa.Table, names: dict[str, str]) -> NDArray[np.float64] | None:
    for box in _BOX:
        if all(name in names for name in box):
            return _numbers(table, [names[name] for name in box], np.nan)
    if "geometry" in names:
        return _geometry_boxes(table, names["geometry"])
    if "bbox" not in names:
        return None
    column = table[names["bbox"]].combine_chunks()
    if pa.types.is_struct(column.type):
        parts = pa.table({field.name: column.field(field.name) for field in column.type})
        return _boxes(parts, {name.lower(): name for name in parts.column_names})
    unknown = (math.nan,) * 4
    return np.array([row or unknown for row in column.to_pylist()], np.float64).reshape(-1, 4)


def _geometry_boxes(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        shapes = shapely.from_wkt(column.to_numpy(zero_copy_only=False))
    else:
        shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    crs = _crs(table, name)
    if crs is not None and not crs.equals(CRS.from_epsg(4326), ignore_axis_order=True):
        to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
        shapes = shapely.transform(shapes, lambda points: np.column_stack(to_degrees.transform(*points.T)))
    return np.asarray(shapely.bounds(shapes), np.float64)


def _crs(table: pa.Table, name: str) -> CRS | None:
    """CRS of a GeoParquet column; None (longitude, latitude) where the file names none."""
    described = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
    crs = described.get("columns", {}).get(name, {}).get("crs")
    return CRS.from_user_input(crs) if crs else None


def _numbers(table: pa.Table, names: list[str], missing: float) -> NDArray[np.float64]:
    columns = [pa.compute.fill_null(table[name].cast(pa.float64()), missing).to_numpy() for name in names]
    return np.column_stack(columns)


def _of_tile(z: int, x: int, y: int) -> Position:
    try:
        tile = Tile(z, x, y)
    except UsageError:
        return Position()
    return Position(tile, tile.bounds, tile.center)


def _box(west: float, south: float, east: float, north: float) -> Bounds | None:
    fits = abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90
    return Bounds(west, south, east, north) if fits else None


def _point(lng: float, lat: float) -> tuple[float, float] | None:
    return (lng, lat) if abs(lng) <= 180 and abs(lat) <= 90 else None
