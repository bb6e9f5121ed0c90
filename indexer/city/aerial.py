"""render_aerial: any vector features as they might look from the air.

Everything is fixed to the world, textures by position and decoration by feature id, so that tiles join at every zoom,
and the same features always give the same picture. It is a drawing and never to be passed off as imagery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
import skia
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import TILE_SIZE_PX, Tile
from indexer.city.canvas import PAD_PX, Sheet, fill, path_of, stroke
from indexer.city.greenery import draw_trees
from indexer.city.grounds import draw_grounds
from indexer.city.hashing import chance
from indexer.city.looks import LOOKS, Look, Palette
from indexer.city.roofs import buildings_of, cast, draw_buildings, shadow_reach, sun_vector
from indexer.city.textures import SIDE, ground_color, noise, tone_image
from indexer.city.traffic import draw_ways

__all__ = ["LOOKS", "Look", "Palette", "render_aerial"]

MARGIN_M = 20.0
"""How far beyond the tile features are asked for, besides the longest shadow, ground metres."""


def render_aerial(
    features: FeatureSource, tile: Tile, size_px: int = TILE_SIZE_PX, look: Look = LOOKS["generic"], seed: int = 0
) -> Pixels:
    """An aerial picture drawn from vector features.

    Args:
        features: what there is; asked for the tile's box and a margin.
        tile: any address, sensibly zoom 15 to 20; size_px: side of the picture.
        look: sun, season, colours and camera; seed: of what no feature says (gardens, forests, sensor noise).
    Returns:
        uint8 (size_px, size_px, 3) RGB, the same bit for bit for the same arguments.
    Raises:
        UsageError: a size below 1.
    """
    if size_px < 1:
        raise UsageError(f"a tile must be at least 1 px wide, not {size_px}")
    sheet = Sheet(tile, size_px, look)
    shapes = _shapes(sheet, features.features(sheet.window(MARGIN_M + shadow_reach(look))))
    areas = [s for s in shapes if s[1].geom_type in ("Polygon", "MultiPolygon")]
    roofed = [s for s in areas if s[0].tags.get("building", "no") != "no"]
    open_air = [s for s in areas if s[0].tags.get("building", "no") == "no" and not _is_line(s[0])]
    sheet.canvas.drawPaint(sheet.ground("land"))
    draw_grounds(sheet, _near(sheet, open_air, 10.0), seed)
    draw_ways(sheet, _near(sheet, shapes, 30.0))
    sheet.wash(tone_image(), sheet.texel * 9)
    draw_buildings(sheet, buildings_of(roofed, sheet))
    _roof_panels(sheet, _near(sheet, areas, 2.0))
    _aircraft(sheet, _near(sheet, areas, 30.0))
    _single_trees(sheet, _near(sheet, shapes, 20.0))
    return _exposed(sheet, tile, size_px, seed)


def _near(
    sheet: Sheet, shapes: list[tuple[Feature, BaseGeometry]], reach_m: float
) -> list[tuple[Feature, BaseGeometry]]:
    near = sheet.near(np.array([geometry for _, geometry in shapes], object), reach_m)
    return [shape for shape, keep in zip(shapes, near.tolist(), strict=True) if keep]


def _is_line(feature: Feature) -> bool:
    """Rings that stand for a line, such as a roundabout, come as areas from some sources."""
    return "highway" in feature.tags and feature.tags.get("area") != "yes" and "place" not in feature.tags


def _shapes(sheet: Sheet, features: Sequence[Feature]) -> list[tuple[Feature, BaseGeometry]]:
    """Features in sheet metres, in the order of their ids."""
    ordered = sorted(features, key=lambda f: f.id)
    moved = shapely.transform(np.array([f.geometry for f in ordered], object), sheet.to_sheet)
    shapes = []
    for feature, geometry in zip(ordered, moved, strict=True):
        if geometry.geom_type == "LinearRing":
            geometry = shapely.LineString(geometry.coords)
        shapes.append((feature, geometry))
    return shapes


def _roof_panels(sheet: Sheet, areas: list[tuple[Feature, BaseGeometry]]) -> None:
    """Solar panels on roofs: a dark grid."""
    scale = sheet.scale
    for feature, geometry in areas:
        if feature.tags.get("generator:source") != "solar":
            continue
        path = path_of(geometry)
        sheet.canvas.save()
        sheet.canvas.clipPath(path, True)
        sheet.canvas.drawPath(path, fill(ground_color(sheet.look, "panel")))
        grid = skia.Path()
        left, top, right, bottom = geometry.bounds
        for y in np.arange(top, bottom, 3.4 * scale):
            grid.addPoly([skia.Point(left, y), skia.Point(right, y)], False)
        for x in np.arange(left, right, 8.0 * scale):
            grid.addPoly([skia.Point(x, top), skia.Point(x, bottom)], False)
        sheet.canvas.drawPath(grid, stroke((150, 154, 158), 0.7 * scale, 200, square=True))
        sheet.canvas.restore()


def _aircraft(sheet: Sheet, areas: list[tuple[Feature, BaseGeometry]]) -> None:
    for feature, geometry in areas:
        if feature.tags.get("aeroway") == "aircraft":
            shadow = skia.Path()
            shadow.setFillType(skia.PathFillType.kWinding)
            for part in shapely.get_parts(geometry):
                cast(shadow, part, sun_vector(sheet.look, sheet.scale) * 5)
            sheet.canvas.drawPath(shadow, fill((18, 22, 34), 120))
            sheet.canvas.drawPath(path_of(geometry), fill((238, 239, 240)))
            sheet.canvas.drawPath(path_of(geometry), stroke((150, 156, 166), 0.4 * sheet.scale))


def _single_trees(sheet: Sheet, shapes: list[tuple[Feature, BaseGeometry]]) -> None:
    points: list[tuple[float, float]] = []
    radii: list[float] = []
    picks: list[float] = []
    for feature, geometry in shapes:
        kind = feature.tags.get("natural")
        if kind == "tree" and isinstance(geometry, shapely.Point):
            points.append((geometry.x, geometry.y))
        elif kind == "tree_row" and isinstance(geometry, shapely.LineString):
            steps = np.arange(3.0, geometry.length / sheet.scale, 8.0) * sheet.scale
            points += [(p.x, p.y) for p in shapely.line_interpolate_point(geometry, steps)]
        for n in range(len(points) - len(radii)):
            radii.append((2.2 + 2.6 * chance(feature.id, n)) * sheet.scale)
            picks.append(chance(feature.id, n + 1000))
    if points and sheet.gsd < 5:
        draw_trees(sheet, np.array(points), np.array(radii), np.array(picks))


def _exposed(sheet: Sheet, tile: Tile, size_px: int, seed: int) -> Pixels:
    """What the air and the camera do: haze, blur, noise of the sensor."""
    look = sheet.look
    picture = sheet.read().astype(np.float32)
    if look.blur:
        for axis in (0, 1):
            picture = picture * (1 - 2 * look.blur) + look.blur * (
                np.roll(picture, 1, axis) + np.roll(picture, -1, axis)
            )
    picture = picture[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX]
    picture = picture * (1 - look.haze) + np.array([188, 196, 206], np.float32) * look.haze
    if look.noise:
        picture = picture + _grain(tile, size_px, seed) * look.noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _grain(tile: Tile, size_px: int, seed: int) -> NDArray[np.float32]:
    """Noise (size, size, 3) that belongs to the pixels of the world, mostly grey."""
    rows = (np.arange(size_px) + tile.y * size_px + seed * 37) % SIDE
    columns = (np.arange(size_px) + tile.x * size_px + seed * 101) % SIDE
    grey = noise(20, 0.25)[np.ix_(rows, columns)]
    tint = np.stack([noise(21 + n, 0.4)[np.ix_(rows, columns)] for n in range(3)], -1)
    grain: NDArray[np.float32] = grey[..., None] * 0.85 + tint * math.sqrt(1 - 0.85**2)
    return grain
