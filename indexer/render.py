"""Draws vector features as map tiles, in several cartographic styles.

A tile is drawn from everything in and around it, so that tiles join without seams. Sizes follow the effective zoom: a
512 px tile of zoom 16 looks like four 256 px tiles of zoom 17.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely
import skia
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import EARTH_RADIUS_M, MAX_LATITUDE, TILE_SIZE_PX, Bounds, Tile, from_mercator
from indexer.cartography import MapClass, Stage, classify
from indexer.styles import STRUCTURE, STYLES, AreaSymbol, LineSymbol, Style, Symbol

__all__ = ["STYLES", "drawable", "find_style", "render_map", "render_structure"]

_CLIP_LEVELS = 4
"""Geometries are cut at the box of the tile's ancestor this many zooms up: large ones stay cheap and exact, and dashes
keep their phase from tile to tile."""
_TUNNEL_ALPHA = 90
_OUTLINE_ZOOMS = 1.5
"""Outlines begin this many zooms after their area."""

Ring = NDArray[np.float64]
"""(n, 2) pixels."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A part of a feature, ready to be drawn.

    Attributes:
        kind, symbol: what it is and how it looks; rings: its outline in pixels.
        size: area in square degrees; level: 0 on the ground, above it for bridges, below for tunnels.
    """

    kind: MapClass
    symbol: Symbol
    rings: tuple[Ring, ...]
    size: float
    level: int
    id: str


def render_map(features: FeatureSource, tile: Tile, size_px: int = TILE_SIZE_PX, style: str = "standard") -> Pixels:
    """A map tile, without text.

    Args:
        features: what to draw; asked for the tile's box and a margin.
        tile: any address; size_px: side of the picture; style: name of one of `STYLES`.
    Returns:
        uint8 (size_px, size_px, 3) RGB, the same for the same features in any order.
    Raises:
        UsageError: an unknown style or a size below 1.
    """
    return _rendered(features, tile, size_px, find_style(style))


def render_structure(features: FeatureSource, tile: Tile, size_px: int = TILE_SIZE_PX) -> NDArray[np.uint8]:
    """The class of structure in each pixel of a map tile, roads as wide as maps draw them.

    Returns:
        uint8 (size_px, size_px) numbers into `geoanchor.structure.CLASSES`.
    Raises:
        UsageError: a size below 1.
    """
    return np.ascontiguousarray(_rendered(features, tile, size_px, STRUCTURE)[:, :, 0])


def _rendered(features: FeatureSource, tile: Tile, size_px: int, look: Style) -> Pixels:
    if size_px < 1:
        raise UsageError(f"a tile must be at least 1 px wide, not {size_px}")
    zoom = max(0.0, tile.z + math.log2(size_px / TILE_SIZE_PX))
    found = features.features(_margin_bounds(tile, look.reach_px(zoom) / size_px))
    picture = np.empty((size_px, size_px, 4), np.uint8)
    brush = _Brush(skia.Surface(picture, skia.kRGBA_8888_ColorType).getCanvas(), zoom, look.smooth)
    brush.canvas.clear(_color(look.background))
    _draw(brush, sorted(_shapes(found, tile, size_px, look, zoom), key=_order))
    return np.ascontiguousarray(picture[:, :, :3])


def find_style(name: str) -> Style:
    """The style of that name, or a UsageError that lists them all."""
    if name not in STYLES:
        raise UsageError(f"no map style {name!r}; styles: {', '.join(STYLES)}")
    return STYLES[name]


def drawable(feature: Feature, style: Style, zoom: float) -> bool:
    """Whether a feature leaves a mark on the map at that zoom."""
    return _look_up(feature, int(shapely.get_dimensions(feature.geometry)), style, zoom) is not None


def _look_up(feature: Feature, dimension: int, style: Style, zoom: float) -> tuple[MapClass, Symbol] | None:
    kind = classify(feature.tags, dimension)
    symbol = style.symbol(kind.name, dimension) if kind else None
    return (kind, symbol) if kind and symbol and zoom >= symbol.min_zoom else None


# -- geometry ---------------------------------------------------------------------------------------------------------


def _margin_bounds(tile: Tile, share: float) -> Bounds:
    left, bottom, right, top = tile.bounds_mercator
    margin = (right - left) * share
    west, south = from_mercator(left - margin, bottom - margin)
    east, north = from_mercator(right + margin, top + margin)
    return Bounds(max(west, -180.0), south, min(east, 180.0), north)


def _shapes(features: Sequence[Feature], tile: Tile, size_px: int, style: Style, zoom: float) -> Iterator[_Shape]:
    """What is to be drawn, projected all at once."""
    parts, owner = shapely.get_parts([feature.geometry for feature in features], return_index=True)
    dimensions = shapely.get_dimensions(parts)
    found = [_look_up(features[i], int(d), style, zoom) for i, d in zip(owner, dimensions, strict=True)]
    drawn = [i for i, look in enumerate(found) if look is not None]
    sizes = shapely.area(parts[drawn])
    for position, rings in _outlines(_clipped(parts[drawn], tile), tile, size_px).items():
        i = drawn[position]
        feature, look = features[owner[i]], found[i]
        assert look is not None
        yield _Shape(*look, tuple(rings), float(sizes[position]), _level(feature), feature.id)


def _clipped(parts: NDArray[np.object_], tile: Tile) -> NDArray[np.object_]:
    frame = _margin_bounds(tile.parent(max(0, tile.z - _CLIP_LEVELS)), 0.1)
    west, south, east, north = shapely.bounds(parts).T
    beyond = (west < frame.west) | (south < frame.south) | (east > frame.east) | (north > frame.north)
    parts[beyond] = shapely.clip_by_rect(parts[beyond], *frame)
    return parts


def _outlines(parts: NDArray[np.object_], tile: Tile, size_px: int) -> dict[int, list[Ring]]:
    """Rings and lines in pixels, by position in `parts`."""
    simple, whole = shapely.get_parts(shapely.orient_polygons(parts), return_index=True)
    is_area = shapely.get_dimensions(simple) == 2
    rings, area = shapely.get_rings(simple[is_area], return_index=True)
    lines = np.concatenate((rings, simple[~is_area]))
    part = np.concatenate((whole[is_area][area], whole[~is_area]))
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    pieces = np.split(_to_pixels(coordinates, tile, size_px), np.flatnonzero(np.diff(line)) + 1)
    outlines: dict[int, list[Ring]] = defaultdict(list)
    for owner, piece in zip(part[np.unique(line)], pieces, strict=False):
        outlines[int(owner)].append(piece)
    return outlines


def _to_pixels(coordinates: NDArray[np.float64], tile: Tile, size_px: int) -> Ring:
    left, _, right, top = tile.bounds_mercator
    scale = size_px / (right - left)
    latitude = np.radians(np.clip(coordinates[:, 1], -MAX_LATITUDE, MAX_LATITUDE))
    x = (np.radians(coordinates[:, 0]) * EARTH_RADIUS_M - left) * scale
    y = (top - np.arctanh(np.sin(latitude)) * EARTH_RADIUS_M) * scale
    return np.column_stack((x, y))


def _level(feature: Feature) -> int:
    try:
        level = int(float(feature.tags.get("layer", 0)))
    except (ValueError, OverflowError):
        level = 0
    if feature.tags.get("bridge", "no") != "no":
        return max(1, level)
    if feature.tags.get("tunnel", "no") != "no":
        return min(-1, level)
    return level


# -- drawing ----------------------------------------------------------------------------------------------------------


def _order(shape: _Shape) -> tuple[float, float, int, str]:
    """Ground from large to small, all else by rank; the id settles ties, so that input order never shows."""
    rank = shape.kind.rank
    return shape.kind.stage, -shape.size if shape.kind.stage is Stage.GROUND else rank, rank, shape.id


@dataclass(frozen=True, slots=True)
class _Brush:
    """What is drawn on, at which zoom, and whether edges are smooth; without that, tunnels are not seen either."""

    canvas: skia.Canvas
    zoom: float
    smooth: bool

    def paint(self, color: str, width_px: float = 0.0, dash: tuple[float, ...] = ()) -> skia.Paint:
        """Of an area, or of a line where a width is given."""
        paint = skia.Paint(AntiAlias=self.smooth, Color=_color(color))
        if width_px > 0:
            paint.setStyle(skia.Paint.kStroke_Style)
            paint.setStrokeWidth(width_px)
            paint.setStrokeJoin(skia.Paint.kRound_Join)
            paint.setStrokeCap(skia.Paint.kButt_Cap if dash else skia.Paint.kRound_Cap)
        if dash:
            paint.setPathEffect(skia.DashPathEffect.Make([part * width_px for part in dash], 0.0))
        return paint


def _draw(brush: _Brush, shapes: Sequence[_Shape]) -> None:
    stages: dict[Stage, list[_Shape]] = defaultdict(list)
    for shape in shapes:
        stages[shape.kind.stage].append(shape)
    ways: dict[int, list[_Shape]] = defaultdict(list)
    for way in stages[Stage.WAY]:
        ways[way.level].append(way)
    for stage in (Stage.GROUND, Stage.WATER, Stage.STRUCTURE):
        _draw_plain(brush, stages[stage])
    tunnels = [way for level in sorted(ways) if level < 0 for way in ways[level]]
    if tunnels and brush.smooth:
        brush.canvas.saveLayerAlpha(None, _TUNNEL_ALPHA)
        _draw_ways(brush, tunnels)
        brush.canvas.restore()
    for stage in (Stage.BUILDING, Stage.BARRIER):
        _draw_plain(brush, stages[stage])
    for level in sorted(ways):
        if level >= 0:
            _draw_ways(brush, ways[level], bridges=level > 0)
    _draw_points(brush, stages[Stage.POINT])


def _draw_plain(brush: _Brush, shapes: Iterable[_Shape]) -> None:
    """Areas and lines without levels, in the order given."""
    for _, neighbours in groupby(shapes, key=lambda shape: (shape.kind, type(shape.symbol))):
        # As one path, areas that share an edge meet without a hairline of what lies below.
        group = list(neighbours)
        symbol, path = group[0].symbol, _path(group)
        if isinstance(symbol, LineSymbol):
            brush.canvas.drawPath(path, brush.paint(symbol.color, symbol.width_px(brush.zoom)))
            continue
        brush.canvas.drawPath(path, brush.paint(symbol.fill))
        if symbol.outline and brush.zoom >= symbol.min_zoom + _OUTLINE_ZOOMS:
            brush.canvas.drawPath(path, brush.paint(symbol.outline, symbol.outline_px))


def _draw_ways(brush: _Brush, shapes: Iterable[_Shape], bridges: bool = False) -> None:
    """Roads and rails of one level: every casing first, then every fill, so that crossings join."""
    groups: dict[MapClass, list[_Shape]] = defaultdict(list)
    for shape in shapes:
        groups[shape.kind].append(shape)
    drawn = [(group[0].symbol, _path(group)) for group in groups.values()]
    for symbol, path in drawn:
        if isinstance(symbol, LineSymbol) and symbol.casing:
            paint = brush.paint(symbol.casing, symbol.width_px(brush.zoom))
            # A bridge's edges end where it ends: a round cap would draw a bow across the road that leads on from it.
            paint.setStrokeCap(skia.Paint.kButt_Cap if bridges else skia.Paint.kRound_Cap)
            brush.canvas.drawPath(path, paint)
    for symbol, path in drawn:
        if isinstance(symbol, LineSymbol):
            width = symbol.width_px(brush.zoom)
            inner = max(width - 2 * symbol.casing_px, 0.6 * width) if symbol.casing else width
            brush.canvas.drawPath(path, brush.paint(symbol.color, inner, symbol.dash))


def _draw_points(brush: _Brush, shapes: Iterable[_Shape]) -> None:
    for shape in shapes:
        if isinstance(shape.symbol, LineSymbol):
            x, y = shape.rings[0][0].tolist()
            brush.canvas.drawCircle(x, y, shape.symbol.width_px(brush.zoom) / 2, brush.paint(shape.symbol.color))


def _color(value: str) -> int:
    return 0xFF000000 | int(value[1:], 16)


def _path(shapes: Iterable[_Shape]) -> skia.Path:
    path = skia.Path()
    for shape in shapes:
        for ring in shape.rings:
            (x, y), *rest = ring.tolist()
            path.moveTo(x, y)
            for x, y in rest:
                path.lineTo(x, y)
            if isinstance(shape.symbol, AreaSymbol):
                path.close()
    return path
