"""Which rows lie in a region: exact geometry, looked at only where it can matter.

Rows lie in H3 order, so a block of consecutive rows is a small patch of ground. Each block keeps the box of its points:
a block whose box is outside the region is skipped, one whose box is inside is taken whole, and only the rest is
checked point by point. The boxes come from the points themselves, so nothing is lost at cell borders, poles or the
antimeridian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import h3
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from geoanchor.errors import UsageError
from geoanchor.protocols import RowIds
from geoanchor.query import BoundsRegion, CellsRegion, PolygonRegion, RadiusRegion, Region
from geoanchor.tiling import MEAN_EARTH_RADIUS_M, Bounds, wrap_lng
from retrieval.rings import polygons

Degrees = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BLOCK = 128
"""Rows of a block: small enough to be a patch, large enough that boxes are few."""
_DOUBT = 0.02
"""Share of a cell's size near its border within which H3 itself is asked."""
_ROUNDING = 1 + 1e-6
"""More than a chord and an arc may differ by rounding; what is fetched by chord is checked by arc."""
_HEXAGON = 6
"""Corners of a cell whose edges are great circles; a cell over an edge of H3's icosahedron has more, and bulges."""


class Places:
    """Where rows lie, prepared for region filters.

    Args:
        cells: (g,) uint64 H3 cells of one resolution in ascending order, 0 (first) where a row has no position.
        lng, lat: (g,) float64 degrees; NaN where a row has no position.
    """

    def __init__(self, cells: NDArray[np.uint64], lng: Degrees, lat: Degrees) -> None:
        self.cells = cells
        self.lng = np.where(lng == 180.0, -180.0, lng)
        self.lat = lat
        self.resolution = h3.get_resolution(h3.int_to_str(int(cells[-1]))) if len(cells) and cells[-1] else None
        self._first = int(np.searchsorted(cells, 0, side="right"))
        starts = np.arange(self._first, len(cells), _BLOCK)
        self._starts = starts
        self._stops = np.append(starts[1:], len(cells))[: len(starts)]
        if len(starts):
            self._west = np.minimum.reduceat(self.lng, starts)
            self._east = np.maximum.reduceat(self.lng, starts)
            self._south = np.minimum.reduceat(lat, starts)
            self._north = np.maximum.reduceat(lat, starts)
        else:
            self._west = self._east = self._south = self._north = np.empty(0)

    @property
    def placed(self) -> RowIds:
        """Rows that have a position, ascending."""
        return np.arange(self._first, len(self.cells))

    def within(self, bounds: Bounds) -> RowIds:
        """Rows whose point lies in a box, edges included, ascending."""
        south, north = bounds.south, bounds.north
        met = (self._south <= north) & (self._north >= south) & _meets(bounds, self._west, self._east)
        blocks = np.flatnonzero(met)
        whole = (self._south[blocks] >= south) & (self._north[blocks] <= north)
        whole &= _holds_span(bounds, self._west[blocks], self._east[blocks])
        return self._rows(blocks, whole, lambda lng, lat: _in_bounds(bounds, lng, lat))

    def near(self, lng: float, lat: float, radius_m: float) -> RowIds:
        """Rows whose point lies within a great-circle distance, ascending."""
        rows = self.within(disc_bounds(lng, lat, radius_m))
        return rows[distances_m(lng, lat, self.lng[rows], self.lat[rows]) <= radius_m]

    def around(self, rows: RowIds, radius_m: float) -> tuple[RowIds, Degrees, RowIds]:
        """For each of some rows (n,) the rows within a great-circle distance of it, ascending, itself among them; alone
        where it has no position.

        Returns:
            near: (m,) rows, those of one row after those of another; apart: (m,) metres; starts: (n,) of each.
        """
        placed = rows >= self._first
        found: list[Any] = [[int(row)] for row in rows]
        points = unit_vectors(self.lng[rows[placed]], self.lat[rows[placed]])
        lists = self._tree.query_ball_point(points, _chord(radius_m), return_sorted=True) if placed.any() else []
        for at, near in zip(np.flatnonzero(placed).tolist(), lists, strict=True):
            found[at] = near
        sizes = np.fromiter(map(len, found), np.int64, len(found))
        near = np.fromiter(chain.from_iterable(found), np.int64, int(sizes.sum()))
        near[np.repeat(placed, sizes)] += self._first
        apart = self._apart_m(np.repeat(rows, sizes), near)
        kept = apart <= radius_m
        left = np.bincount(np.repeat(np.arange(len(rows)), sizes)[kept], minlength=len(rows))
        return near[kept], apart[kept], np.cumsum(left) - left

    def has_near(self, rows: RowIds, others: RowIds, radius_m: float) -> Mask:
        """For each of some rows (n,) whether one of the others lies within a great-circle distance, or a hair beyond
        it; a row without position is near itself alone."""
        from scipy.spatial import cKDTree

        found = np.isin(rows, others)
        placed, there = rows >= self._first, others[others >= self._first]
        points = np.asarray(self._tree.data)
        apart, _ = cKDTree(points[there - self._first]).query(
            points[rows[placed] - self._first], distance_upper_bound=_chord(radius_m)
        )
        found[placed] |= np.isfinite(apart)
        return found

    def _apart_m(self, rows: RowIds, others: RowIds) -> Degrees:
        """Great-circle distances in metres between rows that have a position; 0 from any row to itself."""
        apart, two = np.zeros(len(rows)), rows != others
        points = np.asarray(self._tree.data)
        way = points[rows[two] - self._first] - points[others[two] - self._first]
        half_chord = np.sqrt(np.einsum("ij,ij->i", way, way)) / 2
        apart[two] = 2 * MEAN_EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, half_chord))
        return apart

    @cached_property
    def _tree(self) -> Any:
        """Positions on the unit sphere of the rows that have one."""
        from scipy.spatial import cKDTree

        return cKDTree(unit_vectors(self.lng[self._first :], self.lat[self._first :]))

    def inside(self, polygon: Polygon) -> RowIds:
        """Rows whose point lies in a polygon or on its edge, ascending; longitudes may run beyond 180 degrees."""
        shapely.prepare(polygon)
        rows = [self._inside_shifted(polygon, shift) for shift in _shifts(polygon)]
        return rows[0] if len(rows) == 1 else np.unique(np.concatenate(rows))

    def _inside_shifted(self, polygon: Polygon, shift: float) -> RowIds:
        west, south, east, north = polygon.bounds
        met = (self._south <= north) & (self._north >= south)
        met &= (self._west + shift <= east) & (self._east + shift >= west)
        blocks = np.flatnonzero(met)
        boxes = shapely.box(
            self._west[blocks] + shift, self._south[blocks], self._east[blocks] + shift, self._north[blocks]
        )
        whole = shapely.covers(polygon, boxes)
        touched = whole | shapely.intersects(polygon, boxes)
        return self._rows(
            blocks[touched], whole[touched], lambda lng, lat: shapely.intersects_xy(polygon, lng + shift, lat)
        )

    def _rows(self, blocks: RowIds, whole: Mask, check: Callable[[Degrees, Degrees], Mask]) -> RowIds:
        """Rows of the blocks, those of a block that is not `whole` only where `check` holds."""
        sizes = self._stops[blocks] - self._starts[blocks]
        rows = _ranges(self._starts[blocks], sizes)
        doubtful = np.repeat(~whole, sizes)
        unsure = rows[doubtful]
        kept = ~doubtful
        kept[doubtful] = check(self.lng[unsure], self.lat[unsure])
        return rows[kept]


def region_rows(region: Region, places: Places) -> RowIds:
    """Sorted positions (n,) int64 of the rows whose centre lies in a region, edges included.

    Raises UsageError when the region makes no sense: a self-crossing or too short ring, an unknown cell name.
    """
    match region:
        case BoundsRegion(bounds=bounds):
            return places.within(bounds)
        case RadiusRegion(lng=lng, lat=lat, radius_m=radius_m):
            return places.near(lng, lat, radius_m)
        case PolygonRegion(geometry=geometry):
            return _union([places.inside(polygon) for polygon in polygons(geometry)])
        case CellsRegion(cells=names):
            return _cell_rows(names, places)


def distances_m(lng: float | Degrees, lat: float | Degrees, lngs: Degrees, lats: Degrees) -> Degrees:
    """Great-circle (haversine) distances in metres from one point to many, or from each to each, degrees."""
    phi, phis = np.radians(lat), np.radians(lats)
    half = np.sin((phis - phi) / 2) ** 2 + np.cos(phi) * np.cos(phis) * np.sin(np.radians(lngs - lng) / 2) ** 2
    return np.asarray(2 * MEAN_EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, np.sqrt(half))))


def _chord(radius_m: float) -> float:
    """Straight distance through a sphere of radius 1 between points that lie so far apart, or a hair more."""
    return 2 * math.sin(min(radius_m * _ROUNDING / MEAN_EARTH_RADIUS_M, math.pi) / 2)


def disc_bounds(lng: float, lat: float, radius_m: float) -> Bounds:
    """A box in degrees that holds every point within `radius_m` metres; all longitudes where it reaches a pole."""
    angle = radius_m / MEAN_EARTH_RADIUS_M * (1 + 1e-9) + 1e-12
    south, north = lat - math.degrees(angle), lat + math.degrees(angle)
    if south <= -90 or north >= 90:
        return Bounds(-180.0, max(south, -90.0), 180.0, min(north, 90.0))
    width = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(lat))))) * (1 + 1e-9) + 1e-9
    if width >= 180:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(wrap_lng(lng - width), south, wrap_lng(lng + width), north)


def _shifts(polygon: Polygon) -> Iterator[float]:
    """Whole turns that bring points of -180..180 degrees into the polygon's own range."""
    west, _, east, _ = polygon.bounds
    yield from (turn for turn in (-360.0, 0.0, 360.0) if west <= 180.0 + turn and east >= -180.0 + turn)


def _crosses(bounds: Bounds) -> tuple[bool, float]:
    """Whether a box runs over the antimeridian, and its east edge; rows have longitudes -180 to below 180."""
    if bounds.west <= bounds.east == 180.0:
        return True, -180.0
    return bounds.west > bounds.east, bounds.east


def _meets(bounds: Bounds, west: Degrees, east: Degrees) -> Mask:
    over, edge = _crosses(bounds)
    return (east >= bounds.west) | (west <= edge) if over else (east >= bounds.west) & (west <= edge)


def _holds_span(bounds: Bounds, west: Degrees, east: Degrees) -> Mask:
    over, edge = _crosses(bounds)
    return (west >= bounds.west) | (east <= edge) if over else (west >= bounds.west) & (east <= edge)


def _in_bounds(bounds: Bounds, lng: Degrees, lat: Degrees) -> Mask:
    return (lat >= bounds.south) & (lat <= bounds.north) & _meets(bounds, lng, lng)


def _cell_rows(names: Sequence[str], places: Places) -> RowIds:
    unknown = [name for name in names if not h3.is_valid_cell(name)]
    if unknown:
        raise UsageError(f"region: {unknown[0]!r} is no H3 cell; give names such as '8a2a1072b59ffff'")
    # H3 reads capitals and trailing blanks too.
    names = sorted({h3.int_to_str(h3.str_to_int(name)) for name in names})
    own = np.array([h3.str_to_int(name) for name in names if h3.get_resolution(name) == places.resolution], np.uint64)
    first, last = (np.searchsorted(places.cells, own, side=side) for side in ("left", "right"))
    others = (name for name in names if h3.get_resolution(name) != places.resolution)
    return _union([_ranges(first, last - first), *(_rows_in_cell(name, places) for name in others)])


def _rows_in_cell(name: str, places: Places) -> RowIds:
    """Rows whose point lies in a cell of another resolution than the column's.

    A parent's outline is not that of its children, so the points decide: those clearly on one side of every edge by
    geometry, those near an edge by H3 itself.
    """
    lat, lng = h3.cell_to_latlng(name)
    border = np.array(h3.cell_to_boundary(name))
    reach = float(distances_m(lng, lat, border[:, 1], border[:, 0]).max())
    rows = places.near(lng, lat, reach * (1 + _DOUBT))
    corners = unit_vectors(border[:, 1], border[:, 0])
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    depth = (unit_vectors(places.lng[rows], places.lat[rows]) @ normals.T).min(axis=1) * MEAN_EARTH_RADIUS_M / reach
    doubt = _DOUBT if len(border) == _HEXAGON else np.inf
    kept: Mask = depth > doubt
    resolution = h3.get_resolution(name)
    for i in np.flatnonzero(np.abs(depth) <= doubt):
        row = rows[i]
        kept[i] = h3.latlng_to_cell(places.lat[row], places.lng[row], resolution) == name
    return rows[kept]


def unit_vectors(lng: Degrees, lat: Degrees) -> Degrees:
    """Unit vectors (n, 3) of points in degrees."""
    lam, phi = np.radians(lng), np.radians(lat)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)


def _ranges(starts: RowIds, sizes: RowIds) -> RowIds:
    """start, start + 1, ... of each range, one after the other."""
    ends = np.cumsum(sizes)
    rows: RowIds = np.arange(ends[-1] if len(ends) else 0)
    rows += np.repeat(starts - ends + sizes, sizes)
    return rows


def _union(parts: Sequence[RowIds]) -> RowIds:
    if not parts:
        return np.empty(0, np.int64)
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
