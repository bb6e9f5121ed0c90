"""The sheet a tile is drawn on: web-mercator metres from the tile's corner, textures that stay put in the world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
import skia
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.image import Pixels
from geoanchor.tiling import EARTH_RADIUS_M, Bounds, Tile, from_mercator
from indexer.city.frame import Points
from indexer.city.looks import Look, Rgb
from indexer.city.textures import GRAIN, SIDE, SMOOTH, ground_color, ground_image

PAD_PX = 3
"""Pixels drawn beyond every edge, so that the blur joins."""


class Sheet:
    """A skia canvas for one tile; x grows east and y south, both in web-mercator metres from the tile's corner.

    Attributes:
        scale: web-mercator metres for one metre on the ground; gsd: ground metres a pixel.
        canvas: to draw on; corner: (left, top) of the tile, web-mercator metres.
    """

    def __init__(self, tile: Tile, size_px: int, look: Look) -> None:
        box = tile.bounds_mercator
        self.corner = (box.left, box.top)
        self.side = box.right - box.left
        self.look = look
        self.scale = 1.0 / math.cos(math.radians(tile.center[1]))
        # Textures keep their size over whole bands of latitude, so that they join from row to row.
        self.texel = 0.55 * round(self.scale, 1)
        self.gsd = self.side / size_px / self.scale
        self.pixels = np.zeros((size_px + 2 * PAD_PX, size_px + 2 * PAD_PX, 4), np.uint8)
        self._surface = skia.Surface(self.pixels, skia.kRGBA_8888_ColorType)
        self.canvas = self._surface.getCanvas()
        zoom = size_px / self.side
        self.canvas.translate(PAD_PX, PAD_PX)
        self.canvas.scale(zoom, zoom)
        east, north = look.shift_m
        self.canvas.translate(east * self.scale, -north * self.scale)

    def window(self, margin_m: float) -> Bounds:
        """The box in degrees that holds the sheet and a margin in ground metres."""
        reach = margin_m * self.scale + PAD_PX * self.gsd * self.scale
        left, top = self.corner
        west, south = from_mercator(left - reach, top - self.side - reach)
        east, north = from_mercator(left + self.side + reach, top + reach)
        return Bounds(west, south, east, north)

    def near(self, geometries: NDArray[np.object_], reach_m: float) -> NDArray[np.bool_]:
        """Which of (n,) geometries in sheet metres may show, drawn up to `reach_m` ground metres beyond themselves."""
        reach = (reach_m + PAD_PX * self.gsd + math.hypot(*self.look.shift_m)) * self.scale
        low_x, low_y, high_x, high_y = shapely.bounds(geometries).reshape(-1, 4).T
        limit = self.side + reach
        return (high_x > -reach) & (high_y > -reach) & (low_x < limit) & (low_y < limit)

    def to_sheet(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) lng, lat -> (n, 2) sheet metres."""
        x = np.radians(degrees[:, 0]) * EARTH_RADIUS_M - self.corner[0]
        y = self.corner[1] - np.arctanh(np.sin(np.radians(degrees[:, 1]))) * EARTH_RADIUS_M
        return np.column_stack([x, y])

    def shader(self, image: skia.Image, texel: float, turn: float = 0.0) -> skia.Shader:
        """A repeating picture fixed to the world, `texel` sheet metres a pixel, turned by `turn` radians."""
        period = texel * SIDE
        matrix = skia.Matrix()
        if turn:
            # Anchored where the turned pattern repeats: at the world's own origin, reduced along the turned axes.
            x, y = -self.corner[0], self.corner[1]
            cos, sin = math.cos(turn), math.sin(turn)
            u, v = (x * cos + y * sin) % period, (y * cos - x * sin) % period
            matrix.setTranslate(u * cos - v * sin, u * sin + v * cos)
            matrix.preRotate(math.degrees(turn))
        else:
            matrix.setTranslate(-self.corner[0] % period, self.corner[1] % period)
        matrix.preScale(texel, texel)
        return image.makeShader(skia.TileMode.kRepeat, skia.TileMode.kRepeat, SMOOTH, matrix)

    def ground(self, material: str, color: Rgb | None = None) -> skia.Paint:
        """Paint of a ground material."""
        color = color or ground_color(self.look, material)
        grain = GRAIN.get(material, (2.6, 3.4, 0.6))
        return skia.Paint(AntiAlias=True, Shader=self.shader(ground_image(color, grain), self.texel))

    def wash(self, image: skia.Image, texel: float, path: skia.Path | None = None) -> None:
        """Lay a grey picture over a path or over everything: its middle grey changes nothing."""
        paint = skia.Paint(AntiAlias=True, Shader=self.shader(image, texel), BlendMode=skia.BlendMode.kSoftLight)
        if path is None:
            self.canvas.drawPaint(paint)
        else:
            self.canvas.drawPath(path, paint)

    def read(self) -> Pixels:
        """(h, w, 3) with the padding still on."""
        self._surface.flushAndSubmit()
        return self.pixels[..., :3]


def fill(color: Rgb, alpha: int = 255) -> skia.Paint:
    """Plain paint for areas."""
    return skia.Paint(AntiAlias=True, Color=skia.Color(*color, alpha))


def stroke(color: Rgb, width: float, alpha: int = 255, dash: Sequence[float] = (), square: bool = False) -> skia.Paint:
    """Plain paint for lines; width and dashes in sheet metres."""
    paint = skia.Paint(
        AntiAlias=True, Color=skia.Color(*color, alpha), Style=skia.Paint.kStroke_Style, StrokeWidth=width
    )
    paint.setStrokeJoin(skia.Paint.kRound_Join)
    paint.setStrokeCap(skia.Paint.kButt_Cap if dash or square else skia.Paint.kRound_Cap)
    if dash:
        paint.setPathEffect(skia.DashPathEffect.Make(list(dash), 0.0))
    return paint


def shade(color: Rgb, factor: float) -> Rgb:
    """A lighter (above 1) or darker colour."""
    r, g, b = (max(0, min(255, round(c * factor))) for c in color)
    return r, g, b


def path_of(geometry: BaseGeometry) -> skia.Path:
    """A path of any geometry in sheet metres; holes stay open."""
    path = skia.Path()
    path.setFillType(skia.PathFillType.kEvenOdd)
    for part in (geometry,) if geometry.geom_type in ("Polygon", "LineString") else shapely.get_parts(geometry):
        if isinstance(part, shapely.Polygon):
            for ring in (part.exterior, *part.interiors):
                add_ring(path, shapely.get_coordinates(ring)[:-1])
        elif isinstance(part, shapely.LineString):
            add_line(path, shapely.get_coordinates(part).tolist())
    return path


def add_ring(path: skia.Path, points: Points) -> None:
    """Close a ring of points into a path."""
    add_line(path, points.tolist())
    path.close()


def add_line(path: skia.Path, points: Sequence[Sequence[float]]) -> None:
    """Add a line through (x, y) points to a path."""
    path.moveTo(*points[0])
    for x, y in points[1:]:
        path.lineTo(x, y)


def box_of(polygon: shapely.Polygon) -> tuple[Points, float, float, float]:
    """(centre, direction in radians, length, width) of the box along a polygon's longest side; length >= width."""
    ring = shapely.get_coordinates(polygon.exterior)
    points = ring.tolist()
    steps = [(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(points)]
    squares = [x * x + y * y for x, y in steps]
    # The first of equally long sides, so that rounding cannot turn the box from tile to tile.
    longest = max(squares) * (1 - 1e-6)
    dx, dy = next(step for step, square in zip(steps, squares, strict=True) if square >= longest)
    angle = math.atan2(dy, dx)
    cos, sin = math.cos(angle), math.sin(angle)
    us, vs = [x * cos + y * sin for x, y in points], [y * cos - x * sin for x, y in points]
    u, v = (max(us) + min(us)) / 2, (max(vs) + min(vs)) / 2
    length, width = max(us) - min(us), max(vs) - min(vs)
    center = np.array([u * cos - v * sin, u * sin + v * cos])
    if width > length * (1 + 1e-6):
        return center, angle + math.pi / 2, width, length
    return center, angle, length, width
