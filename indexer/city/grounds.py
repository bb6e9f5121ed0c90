"""Areas: their material, and what is painted or standing on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import shapely
import skia
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature
from indexer.city.canvas import Sheet, add_ring, box_of, fill, path_of, shade, stroke
from indexer.city.frame import Points
from indexer.city.greenery import draw_stand
from indexer.city.hashing import chance, field
from indexer.city.looks import Rgb
from indexer.city.roofs import sun_vector
from indexer.city.surfaces import LEVELS, area_material, pitch_material
from indexer.city.textures import furrows_image, ground_color
from indexer.city.traffic import park_cars

Shape = tuple[Feature, BaseGeometry]


def draw_grounds(sheet: Sheet, shapes: list[Shape], seed: int) -> None:
    """Every area that is no building, from the ground up."""
    shapes = _one_water(shapes)
    found = [(LEVELS.get(m, 0), -g.area, f.id, m, f, g) for f, g in shapes if (m := area_material(f.tags))]
    for _, _, _, material, feature, geometry in sorted(found, key=lambda entry: entry[:3]):
        _area(sheet, material, feature, geometry, seed)


def _one_water(shapes: list[Shape]) -> list[Shape]:
    """Waters that touch are one: no shore shows where a river is cut into pieces."""
    wet = [s for s in shapes if area_material(s[0].tags) == "water"]
    if len(wet) < 2:
        return shapes
    whole = shapely.union_all(shapely.make_valid([geometry for _, geometry in wet]), grid_size=1e-3)
    ids = {id(feature) for feature, _ in wet}
    return [s for s in shapes if id(s[0]) not in ids] + [(wet[0][0], part) for part in shapely.get_parts(whole)]


def _area(sheet: Sheet, material: str, feature: Feature, geometry: BaseGeometry, seed: int) -> None:
    path = path_of(geometry)
    canvas = sheet.canvas
    if material == "field":
        _field(sheet, feature, geometry, path)
        return
    if material == "turf":
        material = pitch_material(feature.tags)
    if material == "water":
        canvas.drawPath(path, stroke(shade(ground_color(sheet.look, "land"), 0.8), 3.0 * sheet.scale))
    canvas.drawPath(path, sheet.ground(material))
    if material == "water":
        _shore(sheet, path)
    detail = _DETAILS.get(_detail_of(feature.tags))
    if detail and sheet.gsd < 3.5:
        canvas.save()
        canvas.clipPath(path, True)
        for part in shapely.get_parts(geometry):
            if isinstance(part, shapely.Polygon):
                detail(sheet, feature.id, part)
        canvas.restore()
    stand = _stand_of(feature.tags, material)
    if stand:
        draw_stand(sheet, stand, geometry, seed)


def _detail_of(tags: Mapping[str, str]) -> str:
    if tags.get("leisure") == "pitch":
        sport = tags.get("sport", "soccer")
        return sport if sport in ("tennis", "baseball") else "soccer" if pitch_material(tags) == "turf" else "court"
    if tags.get("amenity") == "parking":
        return "parking"
    if tags.get("plant:source") == "solar":
        return "solar"
    return {"container_terminal": "containers", "cemetery": "graves"}.get(tags.get("landuse", ""), "")


def _stand_of(tags: Mapping[str, str], material: str) -> str:
    if material == "forest" or material == "scrub":
        return "" if tags.get("power") else material
    if tags.get("landuse") == "orchard":
        return "orchard"
    if material == "garden" and tags.get("landuse") in ("residential", "allotments"):
        return "garden"
    return "grass" if material == "grass" and tags.get("leisure") in ("park", "garden", "golf_course") else ""


def _shore(sheet: Sheet, path: skia.Path) -> None:
    """Water is darker in the middle: shallow water shows along the bank."""
    canvas = sheet.canvas
    canvas.save()
    canvas.clipPath(path, True)
    for width, alpha in ((14.0, 26), (6.0, 38)):
        canvas.drawPath(path, stroke(shade(ground_color(sheet.look, "water"), 1.35), width * sheet.scale, alpha))
    canvas.drawPath(path, stroke((30, 38, 40), 1.6 * sheet.scale, 120))
    canvas.restore()


def _field(sheet: Sheet, feature: Feature, geometry: BaseGeometry, path: skia.Path) -> None:
    crops = sheet.look.palette.crops
    color = shade(crops[int(chance(feature.id, 1) * len(crops))], 0.94 + 0.12 * chance(feature.id, 2))
    if sheet.look.season in ("autumn", "winter"):
        color = _mix(color, ground_color(sheet.look, "soil"), 0.55)
    canvas = sheet.canvas
    canvas.drawPath(path, sheet.ground("soil", _step(color)))
    parts = [p for p in shapely.get_parts(geometry) if isinstance(p, shapely.Polygon)]
    if parts and sheet.gsd < 2.5:
        # Coarse steps of direction, so that the same textures serve neighbouring fields.
        angle = round(box_of(max(parts, key=lambda p: p.area))[1], 2)
        paint = skia.Paint(AntiAlias=True, BlendMode=skia.BlendMode.kSoftLight,
                           Shader=sheet.shader(furrows_image(), sheet.texel * 0.9, angle))  # fmt: skip
        canvas.drawPath(path, paint)
    canvas.drawPath(path, stroke(shade(color, 0.82), 1.2 * sheet.scale, 150))


def _step(color: Rgb) -> Rgb:
    r, g, b = (c // 6 * 6 for c in color)
    return r, g, b


def _mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


class _Box:
    """A polygon's own axes: u along its long side, v across, in ground metres from its centre."""

    def __init__(self, sheet: Sheet, polygon: shapely.Polygon) -> None:
        self.scale, self.side = sheet.scale, sheet.side
        self.center, angle, length, width = box_of(polygon)
        self.along = np.array([math.cos(angle), math.sin(angle)])
        self.across = np.array([-self.along[1], self.along[0]])
        self.length, self.width = length / sheet.scale, width / sheet.scale

    def at(self, u: float, v: float) -> Points:
        point: Points = self.center + (self.along * u + self.across * v) * self.scale
        return point

    def ring(self, u: float, v: float, length: float, width: float) -> Points:
        return np.array(
            [self.at(u + a * length / 2, v + b * width / 2) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        )

    def box(self, path: skia.Path, u: float, v: float, length: float, width: float) -> None:
        add_ring(path, self.ring(u, v, length, width))

    def grid(self, id: str, step: tuple[float, float], start: tuple[float, float]) -> tuple[Points, Points]:
        """Places in rows: (n, 2) sheet metres near the sheet, and (3, n) numbers in [0, 1) that stay theirs."""
        u, v = (np.arange(s - size / 2, size / 2 - s * 0.8, d)
                for size, d, s in zip((self.length, self.width), step, start, strict=True))  # fmt: skip
        ij = np.stack(np.meshgrid(np.arange(len(u)), np.arange(len(v))), -1).reshape(-1, 2)
        if not len(ij):
            return np.empty((0, 2)), np.empty((3, 0))
        offsets = u[ij[:, :1]] * self.along + v[ij[:, 1:]] * self.across
        spots = self.center + offsets * self.scale
        near = ((spots > -20 * self.scale) & (spots < self.side + 20 * self.scale)).all(1)
        ij, key = ij[near], int(chance(id) * 2**31)
        return spots[near], np.array([field(ij[:, 0], ij[:, 1], key + n) for n in range(3)])

    def line(self, path: skia.Path, *points: tuple[float, float]) -> None:
        path.addPoly([skia.Point(*self.at(u, v).tolist()) for u, v in points], False)


def _soccer(sheet: Sheet, _id: str, polygon: shapely.Polygon) -> None:
    box = _Box(sheet, polygon)
    stripes, lines = skia.Path(), skia.Path()
    step = box.length / 14
    for n in range(0, 14, 2):
        box.box(stripes, -box.length / 2 + (n + 0.5) * step, 0, step, box.width)
    sheet.canvas.drawPath(stripes, fill((255, 255, 210), 24))
    length, width = box.length - 5, box.width - 5
    box.box(lines, 0, 0, length, width)
    box.line(lines, (0, -width / 2), (0, width / 2))
    for side in (-1, 1):
        box.box(lines, side * (length / 2 - length * 0.08), 0, length * 0.16, width * 0.58)
        box.box(lines, side * (length / 2 - length * 0.026), 0, length * 0.052, width * 0.27)
    x, y = box.center.tolist()
    lines.addCircle(x, y, min(9.15, box.width * 0.14) * sheet.scale)
    sheet.canvas.drawPath(lines, stroke((236, 240, 232), max(0.3, sheet.gsd * 0.45) * sheet.scale, 200))


def _tennis(sheet: Sheet, id: str, polygon: shapely.Polygon) -> None:
    box = _Box(sheet, polygon)
    court = skia.Path()
    box.box(court, 0, 0, box.length * 0.72, box.width * 0.66)
    color: Rgb = ((150, 82, 60), (64, 96, 128), (84, 116, 80))[int(chance(id, 1) * 3)]
    sheet.canvas.drawPath(court, fill(color))
    box.line(court, (0, -box.width * 0.38), (0, box.width * 0.38))
    box.line(court, (-box.length * 0.2, 0), (box.length * 0.2, 0))
    sheet.canvas.drawPath(court, stroke((236, 238, 236), max(0.2, sheet.gsd * 0.4) * sheet.scale, 190))


def _court(sheet: Sheet, _id: str, polygon: shapely.Polygon) -> None:
    box, lines = _Box(sheet, polygon), skia.Path()
    box.box(lines, 0, 0, box.length - 3, box.width - 3)
    box.line(lines, (0, 1.5 - box.width / 2), (0, box.width / 2 - 1.5))
    sheet.canvas.drawPath(lines, stroke((232, 232, 226), max(0.2, sheet.gsd * 0.4) * sheet.scale, 180))


def _baseball(sheet: Sheet, _id: str, polygon: shapely.Polygon) -> None:
    """The corner with the right angle is home plate: sand infield with a lawn square, mound and foul lines."""
    ring = shapely.get_coordinates(polygon.exterior)[:-1]
    far = np.hypot(*(ring - shapely.get_coordinates(polygon.centroid)).T)
    n = int(np.argmax(far))
    home, a, b = ring[n], ring[(n + 1) % len(ring)], ring[n - 1]
    ea, eb = (p - home for p in (a, b))
    ea, eb = ea / math.hypot(*ea) * sheet.scale, eb / math.hypot(*eb) * sheet.scale
    canvas = sheet.canvas
    infield = skia.Path()
    middle = home + (ea + eb) * 13
    infield.addCircle(*middle.tolist(), 29 * sheet.scale)
    canvas.drawPath(infield, sheet.ground("clay", (186, 142, 102)))
    lawn = skia.Path()
    add_ring(
        lawn, np.array([home + (ea + eb) * 3, home + ea * 25 + eb * 3, home + (ea + eb) * 25, home + ea * 3 + eb * 25])
    )
    canvas.drawPath(lawn, sheet.ground("turf"))
    for p, r in ((home, 6.0), (home + (ea + eb) * 13, 3.0)):
        spot = skia.Path()
        spot.addCircle(*p.tolist(), r * sheet.scale)
        canvas.drawPath(spot, sheet.ground("clay", (186, 142, 102)))
    foul = skia.Path()
    foul.addPoly([skia.Point(*a.tolist()), skia.Point(*home.tolist()), skia.Point(*b.tolist())], False)
    canvas.drawPath(foul, stroke((240, 240, 236), max(0.3, sheet.gsd * 0.5) * sheet.scale, 210))


def _solar(sheet: Sheet, _id: str, polygon: shapely.Polygon) -> None:
    """Rows of panels that run east to west."""
    path = skia.Path()
    left, top, right, bottom = polygon.bounds
    step = 7.5 * sheet.scale
    for y in np.arange(top + step / 2, bottom, step):
        path.addRect(skia.Rect.MakeLTRB(left, y, right, y + step * 0.55))
    dark = path_of(polygon.buffer(-5 * sheet.scale))
    sheet.canvas.clipPath(dark, True)
    sheet.canvas.drawPath(path, fill((30, 32, 26), 120))
    sheet.canvas.translate(0, -1.2 * sheet.scale)
    sheet.canvas.drawPath(path, fill(ground_color(sheet.look, "panel")))
    sheet.canvas.drawPath(path, stroke((128, 138, 152), 0.3 * sheet.scale, 160))


_BOXES: tuple[Rgb, ...] = ((142, 66, 54), (58, 88, 128), (70, 112, 86), (186, 122, 58), (170, 170, 166), (112, 74, 66))


def _containers(sheet: Sheet, id: str, polygon: shapely.Polygon) -> None:
    box = _Box(sheet, polygon)
    spots, rolls = box.grid(id, (13.4, 2.7), (8.0, 3.0))
    keep = (rolls[0] < 0.8) & (rolls[2] < 0.85)
    spots, picks = spots[keep], (rolls[1][keep] * len(_BOXES)).astype(int)
    inside = shapely.contains_xy(polygon.buffer(-6 * sheet.scale), spots[:, 0], spots[:, 1])
    spots, picks = spots[inside], picks[inside]
    corners = box.ring(0, 0, 12.2, 2.4) - box.center
    drop = sun_vector(sheet.look, sheet.scale) * 5
    shadows = skia.Path()
    for spot in spots:
        add_ring(shadows, spot + corners + drop)
    sheet.canvas.drawPath(shadows, fill((18, 22, 30), 120))
    for n, color in enumerate(_BOXES):
        path = skia.Path()
        for spot in spots[picks == n]:
            add_ring(path, spot + corners)
        sheet.canvas.drawPath(path, fill(color))
        sheet.canvas.drawPath(path, stroke(shade(color, 0.7), 0.2 * sheet.scale))


def _graves(sheet: Sheet, id: str, polygon: shapely.Polygon) -> None:
    box, stones = _Box(sheet, polygon), skia.Path()
    spots, rolls = box.grid(id, (4.6, 2.6), (4.0, 4.0))
    corners = box.ring(0, 0, 1.9, 1.0) - box.center
    for spot in spots[rolls[0] < 0.75]:
        add_ring(stones, spot + corners)
    sheet.canvas.drawPath(stones, fill((186, 184, 178), 200))


def _parking(sheet: Sheet, id: str, polygon: shapely.Polygon) -> None:
    box = _Box(sheet, polygon)
    spots, rolls = box.grid(id, (2.7, 8.2), (2.5, 4.0))
    inside = shapely.contains_xy(polygon.buffer(-1.6 * sheet.scale), spots[:, 0], spots[:, 1])
    spots, rolls = spots[inside], rolls[:, inside]
    if sheet.gsd < 1.1:
        marks = skia.Path()
        a, b = box.at(-1.35, -2.4) - box.center, box.at(-1.35, 2.4) - box.center
        for (x0, y0), (x1, y1) in zip((spots + a).tolist(), (spots + b).tolist(), strict=True):
            marks.moveTo(x0, y0)
            marks.lineTo(x1, y1)
        sheet.canvas.drawPath(marks, stroke((198, 198, 194), 0.22 * sheet.scale, 150, square=True))
    if sheet.gsd < 2.0:
        full = rolls[0] < 0.62
        park_cars(
            sheet, spots[full], np.full(int(full.sum()), math.atan2(box.across[1], box.across[0])), rolls[1][full]
        )


_DETAILS: Mapping[str, Callable[[Sheet, str, shapely.Polygon], None]] = {
    "soccer": _soccer, "tennis": _tennis, "baseball": _baseball, "court": _court, "solar": _solar, "graves": _graves,
    "containers": _containers, "parking": _parking,
}  # fmt: skip
