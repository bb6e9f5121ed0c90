"""Buildings from above: shadow, roof shape, roof material and what stands on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
import skia
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature
from indexer.city.canvas import Sheet, add_line, box_of, fill, path_of, shade, stroke
from indexer.city.frame import Points
from indexer.city.hashing import chance
from indexer.city.looks import Look, Rgb
from indexer.city.textures import stain_image

PITCHED = frozenset(("house", "detached", "terrace", "semidetached_house", "residential", "farm", "church", "chapel",
                     "barn", "cabin", "farm_auxiliary", "bungalow", "hut", "shed", "train_station", "school",
                         "yes"))  # fmt: skip
STOREYS: Mapping[str, float] = {
    "house": 2, "detached": 2, "terrace": 2.5, "apartments": 4.5, "residential": 3, "office": 6, "commercial": 4,
    "retail": 2, "industrial": 2.5, "warehouse": 2.5, "garage": 1, "garages": 1, "shed": 1, "hut": 1, "church": 5,
    "cathedral": 9, "school": 3, "hospital": 6, "hotel": 6, "stadium": 7, "barn": 2, "roof": 1.2, "greenhouse": 1.2,
        "hangar": 4,
}  # fmt: skip
STOREY_M = 3.1
TALLEST_M = 60.0
"""Shadows grow no longer than those of such a building, so that a tile need not know its wide surroundings."""


@dataclass(frozen=True, slots=True)
class Building:
    """A footprint in sheet metres with what is known or guessed of it; height in ground metres."""

    id: str
    tags: Mapping[str, str]
    footprint: shapely.Polygon
    height: float


def _number(text: str) -> float | None:
    try:
        value = float(text.split()[0].replace(",", "."))
    except (ValueError, IndexError):
        return None
    return value if 0 < value < 900 else None


def height_of(tags: Mapping[str, str], area_m2: float, id: str) -> float:
    """Metres: tagged, from storeys, or guessed from kind and size."""
    tagged = _number(tags.get("height", ""))
    if tagged:
        return tagged
    levels = _number(tags.get("building:levels", ""))
    if levels:
        return levels * STOREY_M + 1.5
    usual = STOREYS.get(tags.get("building", "yes"), 1.0 if area_m2 < 35 else 2.4 if area_m2 < 300 else 3.4)
    return usual * STOREY_M * (0.85 + 0.3 * chance(id, 1)) + 1


def buildings_of(features: list[tuple[Feature, BaseGeometry]], sheet: Sheet) -> list[Building]:
    """Everything with a roof, lowest first."""
    found = []
    for feature, geometry in features:
        for part in (geometry,) if geometry.geom_type == "Polygon" else shapely.get_parts(geometry):
            if isinstance(part, shapely.Polygon) and part.area > 2:
                area = part.area / sheet.scale**2
                found.append(Building(feature.id, feature.tags, part, height_of(feature.tags, area, feature.id)))
    return sorted(found, key=lambda b: (b.height, b.id))


def sun_vector(look: Look, scale: float) -> Points:
    """Where the shadow of one metre of height ends, sheet metres."""
    reach = scale / math.tan(math.radians(look.sun_elevation))
    azimuth = math.radians(look.sun_azimuth)
    return np.array([-math.sin(azimuth), math.cos(azimuth)]) * reach


def shadow_reach(look: Look) -> float:
    """Ground metres from a building to the end of the longest shadow."""
    return TALLEST_M / math.tan(math.radians(look.sun_elevation))


def cast(path: skia.Path, polygon: shapely.Polygon, shift: Points) -> None:
    """Add the ground that a footprint's outline sweeps; every piece winds the same way, so that they unite."""
    sx, sy = float(shift[0]), float(shift[1])
    for n, ring in enumerate((polygon.exterior, *polygon.interiors)):
        if len(ring.coords) > 40:
            ring = ring.simplify(0.4)
        points = shapely.get_coordinates(ring).tolist()
        away = 1 if shapely.is_ccw(ring) == (n == 0) else -1
        for (ax, ay), (bx, by) in pairwise(points):
            # Edges that face the sun sweep only the building itself.
            if away * ((bx - ax) * sy - (by - ay) * sx) < 0:
                path.moveTo(ax, ay)
                quad = ((bx, by), (bx + sx, by + sy), (ax + sx, ay + sy))
                for x, y in quad if away > 0 else ((ax + sx, ay + sy), (bx + sx, by + sy), (bx, by)):
                    path.lineTo(x, y)
                path.close()


def draw_buildings(sheet: Sheet, buildings: list[Building]) -> None:
    """Shadows of the low ones, their roofs, then the same for the tall ones, so that towers shade their neighbours."""
    sun = sun_vector(sheet.look, sheet.scale)
    for low, high in ((0.0, 9.0), (9.0, 16.0), (16.0, math.inf)):
        group = [b for b in buildings if low <= b.height < high]
        shadows, roofs = skia.Path(), skia.Path()
        shadows.setFillType(skia.PathFillType.kWinding)
        for building in group:
            cast(shadows, building.footprint, sun * min(building.height, TALLEST_M))
        if group:
            sheet.canvas.drawPath(shadows, fill((18, 22, 34), 128))
        shown = sheet.near(np.array([b.footprint for b in group], object), 2.0)
        for building in (b for b, near in zip(group, shown.tolist(), strict=True) if near):
            outline = path_of(building.footprint)
            _roof(sheet, building, outline)
            roofs.addPath(outline)
        if group:
            roofs.setFillType(skia.PathFillType.kEvenOdd)
            sheet.wash(stain_image(), sheet.texel * 0.8, roofs)


def _pick(colors: tuple[Rgb, ...], id: str) -> Rgb:
    color = colors[int(chance(id, 2) * len(colors))]
    return shade(color, 0.93 + 0.14 * chance(id, 3))


def _is_pitched(sheet: Sheet, building: Building, area: float) -> bool:
    kind = building.tags.get("building", "yes")
    shape = building.tags.get("roof:shape")
    if shape:
        return shape != "flat"
    if kind == "apartments" or kind in ("hotel", "school"):
        return building.height < 20 and sheet.look.palette.pitched[0][0] > 135 and chance(building.id, 4) < 0.75
    return kind in PITCHED and area < (900 if kind != "yes" else 420)


def _roof(sheet: Sheet, building: Building, outline: skia.Path) -> None:
    area = building.footprint.area / sheet.scale**2
    kind = building.tags.get("building", "yes")
    canvas = sheet.canvas
    if kind == "stadium":
        _bowl(sheet, building, outline)
    elif building.tags.get("man_made") == "storage_tank":
        canvas.drawPath(outline, fill((214, 213, 208)))
        canvas.drawPath(
            path_of(building.footprint.buffer(-2 * sheet.scale)), stroke((176, 174, 168), 0.7 * sheet.scale)
        )
    elif _is_pitched(sheet, building, area):
        _pitched(sheet, building, outline)
    else:
        _flat(sheet, building, outline, area)


def _pitched(sheet: Sheet, building: Building, outline: skia.Path) -> None:
    color = _pick(sheet.look.palette.pitched, building.id)
    shape = building.footprint
    canvas = sheet.canvas
    box = box_of(shape)
    full = shape.area / max(box[2] * box[3], 1e-9)
    sun = -sun_vector(sheet.look, 1.0)
    sun /= math.hypot(*sun)
    plain = full > 0.86 and not shape.interiors
    canvas.save()
    if full < 0.99:
        canvas.clipPath(outline, True)
    canvas.drawPath(outline, fill(color))
    if plain:
        _gable(sheet, box, color, sun, hipped=chance(building.id, 5) < 0.35)
    else:
        _facets(sheet, shape, color, sun)
    canvas.restore()
    if sheet.gsd < 1.0:
        canvas.drawPath(outline, stroke(shade(color, 0.62), 0.35 * sheet.scale, 150))


def _gable(sheet: Sheet, box: tuple[Points, float, float, float], color: Rgb, sun: Points, hipped: bool) -> None:
    (x, y), angle, length, width = box
    ux, uy = math.cos(angle), math.sin(angle)
    half, side = length / 2, width / 2
    end = half - side if hipped else half
    along, across = 0.24 * (ux * sun[0] + uy * sun[1]), 0.24 * (ux * sun[1] - uy * sun[0])

    def at(u: float, v: float) -> tuple[float, float]:
        return x + ux * u - uy * v, y + uy * u + ux * v

    for sign in (1, -1):
        _polygon(sheet, (at(-half, side * sign), at(half, side * sign), at(end, 0), at(-end, 0)),
                 shade(color, 1.0 + across * sign))  # fmt: skip
        if hipped:
            _polygon(
                sheet,
                (at(half * sign, side), at(half * sign, -side), at(end * sign, 0)),
                shade(color, 1.0 + along * sign),
            )
    ridge = skia.Path()
    add_line(ridge, (at(-end, 0), at(end, 0)))
    sheet.canvas.drawPath(ridge, stroke(shade(color, 1.16), 0.4 * sheet.scale, 150, square=True))


def _facets(sheet: Sheet, shape: shapely.Polygon, color: Rgb, sun: Points) -> None:
    """One sloped face along every outer and inner edge, as deep as half the wing."""
    for n, ring in enumerate((shape.exterior, *shape.interiors)):
        turn = 1 if shapely.is_ccw(ring) == (n == 0) else -1
        points = shapely.get_coordinates(ring).tolist()
        for (ax, ay), (bx, by) in pairwise(points):
            length = math.hypot(bx - ax, by - ay)
            if length < 0.8 * sheet.scale:
                continue
            ux, uy = (bx - ax) / length, (by - ay) / length
            deep = min(6.2 * sheet.scale, length * 0.5)
            ix, iy = -uy * turn * deep, ux * turn * deep
            tx, ty = ux * deep, uy * deep
            light = 1.0 - 0.24 * (-uy * sun[0] + ux * sun[1]) * turn
            _polygon(
                sheet,
                ((ax, ay), (bx, by), (bx + ix - tx, by + iy - ty), (ax + ix + tx, ay + iy + ty)),
                shade(color, light),
            )


def _polygon(sheet: Sheet, points: Sequence[Sequence[float]], color: Rgb) -> None:
    path = skia.Path()
    add_line(path, points)
    path.close()
    sheet.canvas.drawPath(path, fill(color))


def _flat(sheet: Sheet, building: Building, outline: skia.Path, area: float) -> None:
    kind = building.tags.get("building", "yes")
    color = _pick(sheet.look.palette.flat, building.id)
    if kind in ("industrial", "warehouse", "retail") and chance(building.id, 6) < 0.25:
        color = _pick(((122, 146, 168), (150, 118, 104), (128, 150, 128), (226, 226, 224)), building.id)
    canvas, scale = sheet.canvas, sheet.scale
    canvas.drawPath(outline, fill(color))
    canvas.save()
    canvas.clipPath(outline, True)
    canvas.drawPath(outline, stroke(shade(color, 0.72), 2.2 * scale, 120, square=True))
    canvas.drawPath(outline, stroke(shade(color, 1.14), 1.0 * scale, 220, square=True))
    if area > 500 and kind in ("industrial", "warehouse", "retail", "hangar"):
        _seams(sheet, building, color)
    if area > 160:
        _plant(sheet, building, color, area)
    canvas.restore()


def _seams(sheet: Sheet, building: Building, color: Rgb) -> None:
    center, angle, length, width = box_of(building.footprint)
    path = skia.Path()
    step = (7.0 + 6 * chance(building.id, 7)) * sheet.scale
    along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    for at in np.arange(-length / 2 + step, length / 2, step):
        a, b = center + along * at - across * width / 2, center + along * at + across * width / 2
        path.addPoly([skia.Point(*a.tolist()), skia.Point(*b.tolist())], False)
    sheet.canvas.drawPath(path, stroke(shade(color, 0.86), 0.6 * sheet.scale, 170, square=True))


def _plant(sheet: Sheet, building: Building, color: Rgb, area: float) -> None:
    """Air handling, hatches and skylights on a flat roof, with their little shadows."""
    center, angle, length, width = box_of(building.footprint)
    along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    drop = sun_vector(sheet.look, sheet.scale) * 1.4
    for n in range(min(9, 2 + int(area / 260))):
        u, v = (chance(building.id, 20 + n) - 0.5) * 0.8, (chance(building.id, 40 + n) - 0.5) * 0.7
        at = center + along * (u * length) + across * (v * width)
        a, b = (
            along * (1.0 + 1.6 * chance(building.id, 60 + n)) * sheet.scale,
            across * (1.0 + chance(building.id, 80 + n)) * sheet.scale,
        )
        box = [at - a - b, at + a - b, at + a + b, at - a + b]
        _polygon(sheet, [(p + drop).tolist() for p in box], shade(color, 0.62))
        _polygon(sheet, [p.tolist() for p in box], shade(color, 1.12 if n % 3 else 0.8))


def _bowl(sheet: Sheet, building: Building, outline: skia.Path) -> None:
    """A ring of stands under a light roof: radial girders, dark seats along the inner edge."""
    canvas, scale = sheet.canvas, sheet.scale
    canvas.drawPath(outline, fill((206, 206, 204)))
    canvas.save()
    canvas.clipPath(outline, True)
    seats = ((92, 104, 132), (138, 82, 76), (96, 116, 96))[int(chance(building.id, 8) * 3)]
    for ring in building.footprint.interiors:
        canvas.drawPath(path_of(shapely.Polygon(ring)), stroke(seats, 17 * scale))
        canvas.drawPath(path_of(shapely.Polygon(ring)), stroke((150, 150, 148), 2.5 * scale))
    rays = skia.Path()
    points = shapely.get_coordinates(building.footprint.exterior)
    middle = shapely.get_coordinates(building.footprint.centroid)[0]
    for p in points[:-1]:
        rays.addPoly([skia.Point(*p.tolist()), skia.Point(*(middle + (p - middle) * 0.5).tolist())], False)
    canvas.drawPath(rays, stroke((172, 172, 172), 0.8 * scale, 190))
    canvas.drawPath(outline, stroke((236, 236, 234), 2.4 * scale))
    canvas.restore()
