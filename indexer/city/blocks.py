"""What stands on a block: one function per use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from indexer.city.country import Country
from indexer.city.frame import place, rect
from indexer.city.lots import Ground, Row, apart, line_up, long_side, parts, scatter


class Plot(NamedTuple):
    """A block to be filled: its outline in metres, the habits, where to add; `new` is built between the two dates."""

    block: shapely.Polygon
    country: Country
    ground: Ground
    new: bool


Fill = Callable[[Plot], None]


def _levels(dice: np.random.Generator, low: int, high: int) -> str:
    return str(int(dice.integers(low, high + 1)))


def _stand(ground: Ground, shapes: np.ndarray, kind: str, storeys: tuple[int, int], new: bool) -> None:
    for shape in shapes:
        ground.build(shape, {"building": kind, "building:levels": _levels(ground.dice, *storeys)}, new)


def trees(ground: Ground, area: BaseGeometry, spacing: float, share: float) -> None:
    """Single trees in an area."""
    for point in scatter(area, spacing, share, ground.dice):
        ground.add(shapely.Point(point), {"natural": "tree"})


def houses(plot: Plot) -> None:
    """Detached houses with gardens; some with a pool."""
    block, country, ground, new = plot
    low, high = country.lot
    row = Row((low * 0.62, high * 0.66), country.house, low * 0.36, country.setback, notch=0.4, skip=0.06)
    shapes = line_up(block, row, ground.dice)
    _stand(ground, shapes, "house" if country.name == "B" else "detached", (1, 2), new)
    if len(shapes):
        _pools(block, shapes, country, ground)


def _pools(block: shapely.Polygon, shapes: np.ndarray, country: Country, ground: Ground) -> None:
    built = shapely.union_all(shapes)
    free = block.buffer(-country.setback).difference(shapely.buffer(built, 2.5))
    for point in scatter(free, 22, country.pools, ground.dice):
        pool = rect((float(point[0]), float(point[1])), 8, 4, long_side(block))
        if free.contains(pool):
            ground.add(pool, {"leisure": "swimming_pool"})


def terraces(plot: Plot) -> None:
    """Attached houses in rows."""
    block, country, ground, new = plot
    row = Row((5.5, 8.0), (9.0, 10.0), 0.0, max(3.0, country.setback * 0.5), skip=0.025)
    _stand(ground, line_up(block, row, ground.dice), "terrace", (2, 3), new)


def perimeter(plot: Plot) -> None:
    """A closed block around a court: attached apartment houses, or one building with a hole."""
    block, country, ground, new = plot
    inner = block.buffer(-13.5, join_style="mitre")
    if inner.area > 250 and ground.dice.random() < 0.3:
        ring = block.buffer(-1.5, join_style="mitre").difference(inner)
        if isinstance(ring, shapely.Polygon):
            tags = {"building": "apartments", "building:levels": _levels(ground.dice, *country.storeys)}
            ground.build(ring, tags, new)
            trees(ground, inner.buffer(-4), 11, 0.6)
            return
    row = Row((14.0, 26.0), (11.0, 13.5), 0.0, 1.5, notch=0.1, skip=0.02)
    _stand(ground, line_up(block, row, ground.dice), "apartments", country.storeys, new)
    if inner.area > 500:
        trees(ground, inner.buffer(-5), 12, 0.5)


def oldtown(plot: Plot) -> None:
    """Small attached houses of many widths right at the street."""
    block, ground, new = plot.block, plot.ground, plot.new
    row = Row((6.0, 13.0), (9.0, 14.0), 0.0, 0.8, notch=0.25, skip=0.03)
    _stand(ground, line_up(block, row, ground.dice), "residential", (2, 4), new)


def downtown(plot: Plot) -> None:
    """Large offices and shops that fill the block, some with a tall part."""
    block, ground, new = plot.block, plot.ground, plot.new
    row = Row((24.0, 46.0), (24.0, 40.0), 4.0, 3.0, notch=0.3, skip=0.12)
    for shape in line_up(block, row, ground.dice):
        tall = ground.dice.random() < 0.3
        levels = _levels(ground.dice, 9, 18) if tall else _levels(ground.dice, 2, 6)
        ground.build(shape, {"building": "office" if tall else "commercial", "building:levels": levels}, new)


def towers(plot: Plot) -> None:
    """Slabs and towers of flats on open lawn, all turned alike, with a car park."""
    block, country, ground, new = plot
    angle = long_side(block)
    slab = ground.dice.random() < 0.5
    size = (52.0, 13.0) if slab else (24.0, 22.0)
    left, bottom, right, top = block.bounds
    middle = ((left + right) / 2, (bottom + top) / 2)
    reach = max(right - left, top - bottom)
    steps = np.arange(-reach, reach, size[0] + 24), np.arange(-reach, reach, size[1] + 34)
    spots = place(np.stack(np.meshgrid(*steps), -1).reshape(-1, 2) + np.array([7.0, 5.0]), middle, angle)
    shapes = np.array([rect((float(x), float(y)), *size, angle) for x, y in spots], object)
    shapes = apart(shapes, block.buffer(-7))
    kept = list(shapes)
    if len(kept) > 3:
        lot = kept.pop(int(ground.dice.integers(len(kept)))).buffer(6, join_style="mitre")
        if block.contains(lot):
            ground.add(lot, {"amenity": "parking"})
    _stand(ground, np.array(kept, object), "apartments", (5, 9) if slab else (8, 16), new)
    free = block.buffer(-4).difference(shapely.buffer(shapely.union_all(shapes), 7))
    trees(ground, free, 12, 0.35 + country.trees * 0.3)


def works(plot: Plot) -> None:
    """Halls with yards; some roofs carry solar panels, some yards stacks of goods."""
    block, ground, new = plot.block, plot.ground, plot.new
    ground.add(block.buffer(-1), {"landuse": "industrial"})
    row = Row((34.0, 78.0), (26.0, 52.0), 9.0, 9.0, notch=0.2, skip=0.08)
    halls = line_up(block, row, ground.dice)
    yard = block.buffer(-12).difference(shapely.buffer(shapely.union_all(halls), 8)).buffer(-6).buffer(4)
    for piece in parts(yard, 700):
        if ground.dice.random() < 0.7:
            ground.add(
                piece, {"amenity": "parking"} if ground.dice.random() < 0.6 else {"landuse": "container_terminal"}
            )
    for shape in halls:
        kind = "warehouse" if ground.dice.random() < 0.4 else "industrial"
        ground.build(shape, {"building": kind, "building:levels": _levels(ground.dice, 1, 3)}, new)
        if ground.dice.random() < 0.28:
            ground.add(shape.buffer(-4, join_style="mitre"), {"power": "generator", "generator:source": "solar",
                                                              "location": "roof"})  # fmt: skip


def retail(plot: Plot) -> None:
    """A big box behind a car park."""
    block, ground, new = plot.block, plot.ground, plot.new
    ground.add(block.buffer(-1), {"landuse": "retail"})
    angle = long_side(block)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = shapely.get_coordinates(block) @ np.array([[cos, -sin], [sin, cos]])
    length, width = np.ptp(turned, axis=0)
    middle = tuple((turned.min(0) + turned.max(0)) / 2 @ np.array([[cos, sin], [-sin, cos]]))
    front = 1 if ground.dice.random() < 0.5 else -1
    for share in (0.94, 0.82, 0.7, 0.55):
        deep = width * share * 0.44
        hall = rect(_beside(middle, angle, front * width * share * 0.25), length * share * 0.9, deep, angle)
        lot = rect(_beside(middle, angle, -front * width * share * 0.25), length * share * 0.94, deep, angle)
        if block.buffer(-3).contains(hall) and block.buffer(-2).contains(lot):
            ground.build(hall, {"building": "retail", "shop": "supermarket", "building:levels": "2"}, new)
            ground.add(lot, {"amenity": "parking"})
            trees(ground, block.buffer(-3).difference(hall.union(lot).buffer(2.5)), 11, 0.5)
            return
    downtown(plot)


def _beside(middle: tuple[float, float], angle: float, off: float) -> tuple[float, float]:
    return middle[0] - math.sin(angle) * off, middle[1] + math.cos(angle) * off


def park(plot: Plot) -> None:
    """A green with trees, crossing paths and a pond or a playground."""
    block, ground = plot.block, plot.ground
    ground.add(block.buffer(-0.5), {"leisure": "park"})
    inner = block.buffer(-5)
    if inner.is_empty:
        return
    left, bottom, right, top = inner.bounds
    for a, b in (((left, bottom), (right, top)), ((left, top), (right, bottom))):
        for path in shapely.get_parts(inner.intersection(shapely.LineString([a, b]))):
            ground.add(path, {"highway": "footway"})
    center = inner.representative_point()
    pond = center.buffer(min(26.0, math.sqrt(inner.area) * 0.16))
    water = inner.area > 7000 and inner.contains(pond)
    if water:
        ground.add(pond, {"natural": "water", "water": "pond"})
    elif inner.contains(pond):
        ground.add(center.buffer(9), {"leisure": "playground"})
    trees(ground, inner.difference(pond), 11, 0.55)


def school(plot: Plot) -> None:
    """A school with its yard and a pitch."""
    block, ground = plot.block, plot.ground
    ground.add(block.buffer(-0.5), {"amenity": "school"})
    angle, side = long_side(block), math.sqrt(block.area)
    center = block.representative_point()
    inside = block.buffer(-4)
    for scale in (1.0, 0.8, 0.62, 0.48):
        w, d = min(side * 0.62, 85) * scale, min(side * 0.36, 48) * scale
        wing = np.array([(-w / 2, 3), (w / 2, 3), (w / 2, 3 + d), (w / 2 - 13 * scale, 3 + d), (w / 2 - 13 * scale,
                         16 * scale), (13 * scale - w / 2, 16 * scale), (13 * scale - w / 2, 3 + d), (-w / 2,
                             3 + d)])  # fmt: skip
        hall = shapely.Polygon(place(wing, (center.x, center.y), angle))
        field = rect(
            (center.x + math.sin(angle) * d * 0.75, center.y - math.cos(angle) * d * 0.75), w * 1.05, d * 1.1, angle
        )
        if inside.contains(hall) and inside.contains(field):
            ground.build(hall, {"building": "school", "building:levels": _levels(ground.dice, 2, 3)})
            ground.add(field, {"leisure": "pitch", "sport": "soccer"})
            trees(ground, inside.difference(hall.union(field).buffer(4)), 14, 0.4)
            return


def church(plot: Plot) -> None:
    """A church on a square, or a mosque in country C."""
    block, country, ground = plot.block, plot.country, plot.ground
    angle, center = long_side(block), block.representative_point()
    faith = {"A": "christian", "B": "christian", "C": "muslim"}[country.name]
    ground.add(
        block.buffer(-1), {"amenity": "grave_yard" if country.name == "A" else "place_of_worship", "religion": faith}
    )
    nave = np.array([(-17, -6), (5, -6), (5, -12), (13, -12), (13, -6), (19, -4), (21, 0), (19, 4), (13, 6), (13, 12),
                     (5, 12), (5, 6), (-17, 6)], float)  # fmt: skip
    hall = shapely.Polygon(place(nave, (center.x, center.y), angle))
    if block.buffer(-3).contains(hall):
        kind = "church" if faith == "christian" else "mosque"
        ground.build(hall, {"building": kind, "amenity": "place_of_worship", "religion": faith, "height": "14"})
        trees(ground, block.buffer(-4).difference(hall.buffer(6)), 10, 0.4)


def parking(plot: Plot) -> None:
    """A car park."""
    block, ground = plot.block, plot.ground
    ground.add(block.buffer(-2), {"amenity": "parking"})


def courts(plot: Plot) -> None:
    """Tennis courts side by side."""
    block, ground = plot.block, plot.ground
    ground.add(block.buffer(-1), {"leisure": "sports_centre"})
    angle, center = long_side(block), block.representative_point()
    shapes = [rect(tuple(place([(dx, dy)], (center.x, center.y), angle)[0]), 34, 17, angle)
              for dx in (-38.0, 0.0, 38.0) for dy in (-10.0, 10.0)]  # fmt: skip
    for shape in apart(np.array(shapes, object), block.buffer(-3)):
        ground.add(shape, {"leisure": "pitch", "sport": "tennis"})


def fields(plot: Plot) -> None:
    """Strips of farmland, now and then a farm, a meadow or an orchard."""
    block, country, ground = plot.block, plot.country, plot.ground
    angle = long_side(block) + (math.pi / 2 if ground.dice.random() < 0.5 else 0)
    middle = block.representative_point()
    widths = {"A": (35, 95), "B": (150, 260), "C": (28, 70)}[country.name]
    at = -600.0
    while at < 600:
        width = float(ground.dice.uniform(*widths))
        strip = rect(tuple(place([(0.0, at + width / 2)], (middle.x, middle.y), angle)[0]), 1400, width - 1.2, angle)
        kind = ("farmland", "farmland", "farmland", "meadow", "orchard")[int(ground.dice.integers(5))]
        for piece in shapely.get_parts(block.intersection(strip)):
            if isinstance(piece, shapely.Polygon) and piece.area > 60:
                ground.add(piece, {"landuse": kind})
        at += width
    if ground.dice.random() < 0.4:
        _farm(block, ground)


def _farm(block: shapely.Polygon, ground: Ground) -> None:
    point = scatter(block.buffer(-45), 60, 1.0, ground.dice)[:1]
    for x, y in point:
        yard = rect((float(x), float(y)), 62, 52, long_side(block))
        ground.add(yard, {"landuse": "farmyard"})
        row = Row((14.0, 26.0), (10.0, 14.0), 5.0, 3.0, skip=0.2)
        for n, shape in enumerate(line_up(yard, row, ground.dice)):
            ground.build(shape, {"building": "farm" if n == 0 else "barn"})


def wood(plot: Plot) -> None:
    """Forest with a clearing here and there."""
    block, ground = plot.block, plot.ground
    area: BaseGeometry = block.buffer(-2)
    for point in scatter(block.buffer(-50), 140, 0.3, ground.dice):
        area = area.difference(shapely.Point(point).buffer(float(ground.dice.uniform(18, 40))))
    for piece in shapely.get_parts(area):
        ground.add(piece, {"natural": "wood"} if ground.dice.random() < 0.4 else {"landuse": "forest"})


def scrub(plot: Plot) -> None:
    """Dry land with bushes."""
    block, ground = plot.block, plot.ground
    ground.add(block.buffer(-1), {"natural": "scrub"})
    trees(ground, block.buffer(-5), 34, 0.5)


FILLS: Mapping[str, Fill] = {
    "houses": houses, "terraces": terraces, "perimeter": perimeter, "oldtown": oldtown, "downtown": downtown,
    "towers": towers, "works": works, "retail": retail, "park": park, "school": school, "church": church,
    "parking": parking, "courts": courts, "fields": fields, "wood": wood, "scrub": scrub,
}  # fmt: skip
