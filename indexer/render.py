"""Draws vector features as map tiles, in several cartographic styles.

Every line and outline is drawn from the whole neighbourhood of a tile, in the pixel grid of the world, so that tiles join
without seams. Sizes follow the effective zoom: a 512 px tile of zoom 16 looks like four 256 px tiles of zoom 17.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
import skia
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import EARTH_RADIUS_M, TILE_SIZE_PX, Bounds, Tile, from_mercator
from indexer.cartography import MapClass, Stage, classify
from indexer.styles import STYLES, AreaSymbol, LineSymbol, Style

__all__ = ["STYLES", "drawable", "render_map"]

MARGIN_PX = 32
"""How far beyond a tile's edge features are still looked for: more than half the widest line at common zooms."""

Ring = NDArray[np.float64]
"""(n, 2) pixels."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A feature's part ready to be drawn: its class, its outline in pixels and its place in the drawing order."""

    kind: MapClass
    rings: tuple[Ring, ...]
    closed: bool
    area: float
    level: int
    id: str


def render_map(features: FeatureSource, tile: Tile, size_px: int = TILE_SIZE_PX, style: str = "standard") -> Pixels:
    """A map tile.

    Args:
        features: what to draw; asked for the tile's box and a margin.
        tile: any address; size_px: side of the picture; style: name of one of `STYLES`.
    Returns:
        uint8 (size_px, size_px, 3) RGB, the same for the same features in any order.
    Raises:
        UsageError: an unknown style or a size below 1.
    """
    look = find_style(style)
    if size_px < 1:
        raise UsageError(f"a tile must be at least 1 px wide, not {size_px}")
    found = features.features(_margin_bounds(tile, MARGIN_PX / size_px))
    zoom = tile.z + math.log2(size_px / TILE_SIZE_PX)
    canvas_pixels = np.empty((size_px, size_px, 4), np.uint8)
    canvas = skia.Surface(canvas_pixels, skia.kRGBA_8888_ColorType).getCanvas()
    canvas.clear(_color(look.background))
    _draw(canvas, sorted(_shapes(found, tile, size_px), key=_order), look, zoom)
    return np.ascontiguousarray(canvas_pixels[:, :, :3])


def find_style(name: str) -> Style:
    """The style of that name, or a UsageError that lists them all."""
    if name not in STYLES:
        raise UsageError(f"no map style {name!r}; styles: {', '.join(STYLES)}")
    return STYLES[name]


def drawable(feature: Feature, style: Style, zoom: float) -> bool:
    """Whether a feature leaves a mark on the map at that zoom."""
    dimension = shapely.get_dimensions(feature.geometry)
    kind = classify(feature.tags, dimension)
    return kind is not None and _symbol(style, kind, dimension, zoom) is not None


def _symbol(style: Style, kind: MapClass, dimension: int, zoom: float) -> AreaSymbol | LineSymbol | None:
    symbols: dict[int, dict[str, AreaSymbol | LineSymbol]] = {0: style.points, 1: style.lines, 2: style.areas}  # type: ignore[dict-item]
    symbol = symbols[dimension].get(kind.name)
    return symbol if symbol and zoom >= symbol.min_zoom else None


def _margin_bounds(tile: Tile, share: float) -> Bounds:
    left, bottom, right, top = tile.bounds_mercator
    margin = (right - left) * share
    west, south = from_mercator(left - margin, bottom - margin)
    east, north = from_mercator(right + margin, top + margin)
    return Bounds(max(west, -180.0), south, min(east, 180.0), north)


def _color(value: str) -> int:
    return 0xFF000000 | int(value[1:], 16)


def _order(shape: _Shape) -> tuple[float, ...]:
    return (shape.kind.stage, -shape.area if shape.kind.stage is Stage.GROUND else shape.kind.rank, shape.kind.rank)


# -- geometry ---------------------------------------------------------------------------------------------------------


def _to_pixels(coordinates: NDArray[np.float64], tile: Tile, size_px: int) -> Ring:
    left, bottom, right, top = tile.bounds_mercator
    scale = size_px / (right - left)
    x = (np.radians(coordinates[:, 0]) * EARTH_RADIUS_M - left) * scale
    y = (top - np.arctanh(np.sin(np.radians(coordinates[:, 1]))) * EARTH_RADIUS_M) * scale
    return np.column_stack((x, y))


def _shapes(features: Sequence[Feature], tile: Tile, size_px: int) -> Iterator[_Shape]:
    """Parts of features in pixels, projected all at once."""
    parts, owner = shapely.get_parts([feature.geometry for feature in features], return_index=True)
    if not len(parts):
        return
    dimensions = shapely.get_dimensions(parts)
    kinds = [classify(features[i].tags, int(dim)) for i, dim in zip(owner, dimensions, strict=True)]
    wanted = [i for i, kind in enumerate(kinds) if kind is not None]
    rings, ring_part = _rings(parts[wanted])
    coordinates, ring_of = shapely.get_coordinates(rings, return_index=True)
    pixels = _to_pixels(coordinates, tile, size_px)
    pieces = np.split(pixels, np.flatnonzero(np.diff(ring_of)) + 1)
    by_part: dict[int, list[Ring]] = defaultdict(list)
    for part, piece in zip(ring_part, pieces, strict=True):
        by_part[int(part)].append(piece)
    areas = shapely.area(parts[wanted])
    for position, outline in by_part.items():
        i = wanted[position]
        feature, kind = features[owner[i]], kinds[i]
        assert kind is not None
        yield _Shape(
            kind, tuple(outline), bool(dimensions[i] == 2), float(areas[position]), _level(feature), feature.id
        )


def _rings(parts: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    is_area = shapely.get_dimensions(parts) == 2
    positions = np.arange(len(parts))
    rings, ring_of = shapely.get_rings(parts[is_area], return_index=True)
    every = np.concatenate((rings, parts[~is_area]))
    part = np.concatenate((positions[is_area][ring_of], positions[~is_area]))
    return every, part


def _level(feature: Feature) -> int:
    try:
        level = int(float(feature.tags.get("layer", 0)))
    except ValueError:
        level = 0
    if feature.tags.get("bridge", "no") != "no":
        return max(1, level)
    if feature.tags.get("tunnel", "no") != "no":
        return min(-1, level)
    return level


# -- drawing ----------------------------------------------------------------------------------------------------------


def _draw(canvas: skia.Canvas, shapes: Sequence[_Shape], style: Style, zoom: float) -> None:
    by_stage: dict[Stage, list[_Shape]] = defaultdict(list)
    for shape in shapes:
        by_stage[shape.kind.stage].append(shape)
    for stage in (Stage.GROUND, Stage.WATER, Stage.STRUCTURE):
        _draw_plain(canvas, by_stage[stage], style, zoom)
    areas, ways = [s for s in by_stage[Stage.WAY] if s.closed], [s for s in by_stage[Stage.WAY] if not s.closed]
    _draw_ways(canvas, [way for way in ways if way.level < 0], style, zoom, alpha=110)
    _draw_plain(canvas, by_stage[Stage.BUILDING], style, zoom)
    _draw_plain(canvas, by_stage[Stage.BARRIER] + areas, style, zoom)
    for level in sorted({way.level for way in ways if way.level >= 0}):
        _draw_ways(canvas, [way for way in ways if way.level == level], style, zoom)
    _draw_points(canvas, by_stage[Stage.POINT], style, zoom)


def _draw_plain(canvas: skia.Canvas, shapes: Iterable[_Shape], style: Style, zoom: float) -> None:
    """Areas and lines without levels, in the order given."""
    for shape in shapes:
        symbol = _symbol(style, shape.kind, 2 if shape.closed else 1, zoom)
        path = _path((shape,))
        if isinstance(symbol, AreaSymbol):
            canvas.drawPath(path, _paint(symbol.fill))
            if symbol.outline and zoom >= symbol.min_zoom + 1.5:
                canvas.drawPath(path, _paint(symbol.outline, symbol.outline_px))
        elif symbol:
            canvas.drawPath(path, _paint(symbol.color, symbol.width_px(zoom)))


def _draw_ways(canvas: skia.Canvas, shapes: Iterable[_Shape], style: Style, zoom: float, alpha: int = 255) -> None:
    """Roads and rails of one level: every casing first, then every fill, so that crossings join."""
    by_kind: dict[MapClass, list[_Shape]] = defaultdict(list)
    for shape in shapes:
        by_kind[shape.kind].append(shape)
    drawn = [(_symbol(style, kind, 1, zoom), _path(group)) for kind, group in by_kind.items()]
    for symbol, path in drawn:
        if isinstance(symbol, LineSymbol) and symbol.casing:
            canvas.drawPath(path, _paint(symbol.casing, symbol.width_px(zoom), alpha=alpha))
    for symbol, path in drawn:
        if isinstance(symbol, LineSymbol):
            width = symbol.width_px(zoom)
            inner = max(width - 2 * symbol.casing_px, width * 0.6) if symbol.casing else width
            canvas.drawPath(path, _paint(symbol.color, inner, symbol.dash, alpha))


def _draw_points(canvas: skia.Canvas, shapes: Iterable[_Shape], style: Style, zoom: float) -> None:
    for shape in shapes:
        symbol = _symbol(style, shape.kind, 0, zoom)
        if isinstance(symbol, LineSymbol):
            x, y = shape.rings[0][0]
            canvas.drawCircle(float(x), float(y), symbol.width_px(zoom) / 2, _paint(symbol.color))


def _paint(color: str, width_px: float = 0.0, dash: tuple[float, ...] = (), alpha: int = 255) -> skia.Paint:
    paint = skia.Paint(AntiAlias=True, Color=_color(color))
    paint.setAlpha(alpha)
    if width_px > 0:
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width_px)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        paint.setStrokeCap(skia.Paint.kButt_Cap if dash else skia.Paint.kRound_Cap)
    if dash:
        paint.setPathEffect(skia.DashPathEffect.Make([part * width_px for part in dash], 0.0))
    return paint


def _path(shapes: Iterable[_Shape]) -> skia.Path:
    path = skia.Path()
    path.setFillType(skia.PathFillType.kEvenOdd)
    for shape in shapes:
        for ring in shape.rings:
            (x, y), *rest = ring.tolist()
            path.moveTo(x, y)
            for x, y in rest:
                path.lineTo(x, y)
            if shape.closed:
                path.close()
    return path
