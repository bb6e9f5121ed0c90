"""Anchors of raster maps: vectors are recovered from the classes of the pixels, then measured like any others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes, sieve
from rasterio.transform import Affine, from_bounds
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature
from geoanchor.structure import CLASS_OF
from geoanchor.tiling import EARTH_RADIUS_M, Bounds, ground_resolution_m
from indexer.render import find_style
from indexer.styles import LineSymbol
from training.anchors.ground import BUFFER_M, Geometries, ground_of
from training.anchors.metrics import TOUCH_M, measure
from training.anchors.schema import Anchor
from training.anchors.thinning import depths, thinned
from training.anchors.vectors import anchor_of

Classes = NDArray[np.uint8]
"""(h, w) numbers into `geoanchor.structure.CLASSES`, or VOID."""

_AREA_TAGS = {"building": {"building": "yes"}, "water": {"natural": "water"}, "green": {"landuse": "grass"}}
_SPECK_M2 = 12.0
"""Areas smaller than this are noise of the picture."""
_MARK_PX = 24
"""Pixels of an arrow or a letter on a road."""
_SPUR_M = 15.0
"""Dead ends of a thinned line shorter than this are bumps of the road's edge."""
_NARROW = 0.75
"""A minor road narrower than this share of what our own maps draw a residential street with is a service way."""
_THIN, _STREETS = 0.6, 0.75
"""The same where the scale is a guess: of the street that is broader than this share of the minor roads' length."""
_ROAD_PX = 2.0
"""What is narrower is a blend along the edge of something else."""
_MEETING_PX = 2.5
"""Buildings nearer than this touch: a picture puts an outline between them."""
_WOBBLE = 0.75
"""Pixels by which an outline strays from a straight wall; a centre line strays three times as far."""


def annotate_raster(classes: Classes, bounds: Bounds, id: str, *, to_scale: bool = False) -> Anchor:
    """The anchor of a map picture, deterministic.

    Args:
        classes: (h, w) uint8, as `models.palette.map_classes` reads them.
        bounds: of the picture, degrees; `square` makes some where only its size is known.
        to_scale: the bounds are known, no guess, so that a road's width in pixels tells what it is.
    """
    ground = ground_of(recovered(classes, bounds, to_scale=to_scale), bounds)
    return anchor_of(measure(ground, max(TOUCH_M, _MEETING_PX * _gsd(classes, bounds))), id, "raster")


def square(width_m: float, height_m: float) -> Bounds:
    """A box of that size, for pictures whose place is not known: it lies where the equator meets Greenwich."""
    dx, dy = (math.degrees(side / 2 / EARTH_RADIUS_M) for side in (width_m, height_m))
    return Bounds(-dx, -dy, dx, dy)


def recovered(classes: Classes, bounds: Bounds, *, to_scale: bool = False) -> list[Feature]:
    """Buildings, water and green as areas, roads as centre lines, with tags, degrees.

    Roads are carried on 50 m beyond the picture, so that none seems to end at its edge.
    """
    height, width = classes.shape
    transform = from_bounds(*bounds, width, height)
    gsd_m = _gsd(classes, bounds)
    areas = [
        Feature(f"{name}/{n}", area, tags)
        for name, tags in _AREA_TAGS.items()
        for n, area in enumerate(_areas(classes == CLASS_OF[name], transform, gsd_m))
    ]
    return areas + [
        Feature(f"road/{n}", line, {"highway": kind})
        for n, (line, kind) in enumerate(_roads(classes, transform, gsd_m, to_scale))
    ]


def _gsd(classes: Classes, bounds: Bounds) -> float:
    return math.radians(bounds.north - bounds.south) * EARTH_RADIUS_M / len(classes)


def _areas(mask: NDArray[np.bool_], transform: Affine, gsd_m: float) -> Iterator[BaseGeometry]:
    """Outlines of what hangs together, degrees, without the stairs of the pixels."""
    solid = _opened(mask)
    outlines = [_without_stairs(outline["coordinates"]) for outline, _ in shapes(solid.astype(np.uint8), solid)]
    smooth = shapely.simplify(np.array(outlines, object), _WOBBLE)
    for area in smooth[shapely.area(smooth) * gsd_m**2 >= _SPECK_M2]:
        yield _placed(area, transform)


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without what is one pixel thin: blends along the outlines of other things."""
    core = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]
    opened = np.zeros_like(mask)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            opened[rows, columns] |= core
    return opened


def _without_stairs(rings: Sequence[Sequence[tuple[float, float]]]) -> shapely.Polygon:
    """Along pixels' edges -> through the middles of those edges: a slanting wall is straight to a quarter pixel."""
    fine = [shapely.get_coordinates(shapely.segmentize(shapely.LinearRing(ring), 1.0)) for ring in rings]
    outer, *holes = [(xy[1:] + xy[:-1]) / 2 for xy in fine]
    return shapely.Polygon(outer, holes)


def _roads(classes: Classes, transform: Affine, gsd_m: float, to_scale: bool) -> Iterator[tuple[BaseGeometry, str]]:
    """Centre lines with their value of highway=*."""
    beyond = math.ceil(BUFFER_M / gsd_m)
    padded = np.pad(classes, beyond, mode="edge")
    mask = np.isin(padded, (CLASS_OF["minor_road"], CLASS_OF["major_road"]))
    # Cars, arrows, letters and JPEG leave holes and specks, and each hole would become a ring road.
    solid = sieve(mask.astype(np.uint8), max(_MARK_PX, math.ceil(_SPECK_M2 / gsd_m**2))) > 0
    lines = np.array(_without_spurs(_lines(thinned(solid)), _SPUR_M / gsd_m), object)
    at = [shapely.get_coordinates(line).astype(int).T[::-1] for line in lines]
    major = np.array([np.mean(padded[*where] == CLASS_OF["major_road"]) >= 0.5 for where in at], bool)
    depth = depths(solid)
    width = np.array([2 * np.median(depth[*where]) - 1 for where in at])
    least = _drawn_least(transform, gsd_m) if to_scale else _usual_least(width[~major], lines[~major])
    broad = major | (width >= max(_ROAD_PX, least))
    for line, is_major in zip(lines[broad], major[broad], strict=True):
        moved = shapely.transform(shapely.simplify(line, 3 * _WOBBLE), lambda xy: xy + (0.5 - beyond))
        yield _placed(moved, transform), "primary" if is_major else "residential"


def _drawn_least(transform: Affine, gsd_m: float) -> float:
    """Pixels that part roads from service ways, which the anchors leave out, on a map drawn for its scale."""
    symbol = find_style("standard").symbol("residential_road", 1)
    assert isinstance(symbol, LineSymbol)
    whole = symbol.width_px(math.log2(ground_resolution_m(0, transform.f) / gsd_m))
    return _NARROW * (whole - 2 * symbol.casing_px)


def _usual_least(widths: NDArray[np.float64], roads: Geometries) -> float:
    """The same by what the picture itself has most of, for one that was resized or whose scale nobody told."""
    if not len(roads):
        return 0.0
    return _THIN * float(np.quantile(widths, _STREETS, weights=shapely.length(roads), method="inverted_cdf"))


def _lines(skeleton: NDArray[np.bool_]) -> Geometries:
    """A thinned picture as lines of pixel positions (column, row), one between any two ends or forks."""
    pairs = np.concatenate([_links(skeleton, *step) for step in ((0, 1), (1, 0), (1, 1), (1, -1))])
    if not len(pairs):
        return np.zeros(0, object)
    return shapely.get_parts(shapely.line_merge(shapely.multilinestrings([shapely.LineString(pair) for pair in pairs])))


def _links(skeleton: NDArray[np.bool_], down: int, right: int) -> NDArray[np.float64]:
    """(n, 2, 2): pairs of (column, row) of neighbours in one direction.

    Diagonal neighbours that share a straight one are linked through it alone.
    """
    rows, columns = np.nonzero(skeleton)
    framed = np.pad(skeleton, 1)
    there = framed[rows + 1 + down, columns + 1 + right]
    if down and right:
        there &= ~(framed[rows + 1 + down, columns + 1] | framed[rows + 1, columns + 1 + right])
    rows, columns = rows[there], columns[there]
    ends = np.stack([np.stack([columns, rows], -1), np.stack([columns + right, rows + down], -1)], axis=1)
    return ends.astype(np.float64)


def _without_spurs(lines: Geometries, shortest: float) -> Sequence[BaseGeometry]:
    """The lines but for short dead ends, joined anew where that leaves only two."""
    if not len(lines):
        return []
    ends = np.stack([shapely.get_coordinates(shapely.get_point(lines, i)) for i in (0, -1)], axis=1)
    _, number, count = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True, return_counts=True)
    dangling = (count[number.reshape(-1, 2)] == 1).sum(axis=1) == 1
    kept = lines[~(dangling & (shapely.length(lines) < shortest))]
    return list(shapely.get_parts(shapely.line_merge(shapely.multilinestrings(kept))))


def _placed(shape: BaseGeometry, transform: Affine) -> BaseGeometry:
    """Pixels (column, row from the picture's corner) to degrees."""
    placed: BaseGeometry = shapely.transform(
        shape, lambda xy: np.stack([transform.c + transform.a * xy[:, 0], transform.f + transform.e * xy[:, 1]], -1)
    )
    return placed
