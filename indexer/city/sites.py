"""What stands on a site: stadium, airport, port, lake and the other single purposes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import shapely

from indexer.city import blocks
from indexer.city.cell import strip
from indexer.city.frame import dice, ellipse, place, rect
from indexer.city.lots import Ground, Item, scatter
from indexer.city.plan import DISTRICT_M, Plan, Site


class _Yard:
    """A site's own plane: x along its long side, y across, in metres from its centre."""

    def __init__(self, plan: Plan, site: Site) -> None:
        self.plan, self.site = plan, site
        self.dice = dice(*plan.key, 30, round(site.center[0]), round(site.center[1]))
        self.ground = Ground(self.dice)
        self.inside = site.ground.buffer(-6)
        self.half = (site.length / 2 - 6, site.width / 2 - 6)

    def box(self, x: float, y: float, length: float, width: float, turn: float = 0.0) -> shapely.Polygon:
        cx, cy = place([(x, y)], self.site.center, self.site.angle)[0]
        return rect((float(cx), float(cy)), length, width, self.site.angle + turn)

    def spot(self, x: float, y: float) -> tuple[float, float]:
        cx, cy = place([(x, y)], self.site.center, self.site.angle)[0]
        return float(cx), float(cy)

    def oval(self, x: float, y: float, length: float, width: float, power: float = 2.0) -> shapely.Polygon:
        return shapely.Polygon(ellipse(self.spot(x, y), length, width, self.site.angle, power))

    def shape(self, points: list[tuple[float, float]]) -> shapely.Polygon:
        return shapely.Polygon(place(points, self.site.center, self.site.angle))

    def line(self, *points: tuple[float, float]) -> shapely.LineString:
        return shapely.LineString(place(list(points), self.site.center, self.site.angle))


def _stadium(y: _Yard) -> None:
    y.ground.add(y.inside, {"landuse": "recreation_ground"})
    bowl = y.oval(0, 0, 186, 150, 2.6)
    ring = bowl.difference(y.oval(0, 0, 128, 92, 3.0))
    y.ground.add(ring, {"building": "stadium", "leisure": "stadium", "sport": "soccer", "height": "22"})
    y.ground.add(y.box(0, 0, 105, 68), {"leisure": "pitch", "sport": "soccer"})
    for x in (-1, 1):
        lot = y.inside.difference(bowl.buffer(7)).intersection(y.box(x * (y.half[0] - 14), 0, 26, 2 * y.half[1]))
        if isinstance(lot, shapely.Polygon):
            y.ground.add(lot, {"amenity": "parking"})
    blocks.trees(y.ground, y.inside.difference(bowl.buffer(9)), 13, 0.3)


def _airport(y: _Yard) -> None:
    length, depth = y.half
    y.ground.add(y.inside, {"aeroway": "aerodrome"})
    y.ground.add(y.line((60 - length, -depth + 60), (length - 60, -depth + 60)), {"aeroway": "runway", "width": "45"})
    taxi = -depth + 175
    y.ground.add(y.line((80 - length, taxi), (length - 80, taxi)), {"aeroway": "taxiway", "width": "18"})
    for x in (90 - length, -150.0, 150.0, length - 90):
        y.ground.add(y.line((x, taxi), (x, -depth + 60)), {"aeroway": "taxiway", "width": "18"})
    y.ground.add(y.box(0, taxi + 75, 620, 110), {"aeroway": "apron"})
    y.ground.build(y.box(0, depth - 90, 330, 34), {"building": "terminal", "aeroway": "terminal", "height": "16"})
    for x in (-430.0, -520.0, 430.0, 520.0):
        y.ground.build(y.box(x, depth - 100, 70, 58), {"building": "hangar", "height": "14"})
    y.ground.add(y.box(0, depth - 36, 420, 56), {"amenity": "parking"})
    for n in range(9):
        if y.dice.random() < 0.75:
            y.ground.add(_plane(y, -260 + n * 65.0, taxi + 92), {"aeroway": "aircraft"})


def _plane(y: _Yard, x: float, at: float) -> shapely.Polygon:
    half = [(0, 19), (2, 15), (2.2, 5), (17, -5), (17, -8), (2.2, -4), (1.6, -13), (6.5, -17), (6.5, -19), (0, -18)]
    outline = half + [(-px, py) for px, py in half[-2:0:-1]]
    return y.shape([(x + px, at + py) for px, py in outline])


def _river(y: _Yard, beyond: float) -> shapely.Polygon:
    """The river beside a site, widened by `beyond` metres."""
    u = np.arange(-18, 19) * 30.0 + y.site.center[0]
    row = round(y.site.center[1] / DISTRICT_M)
    return strip(y.plan.river(u, row), y.plan.river_width(u) / 2 + beyond)


def _port(y: _Yard) -> None:
    length, depth = y.half
    toward = -float(y.site.side)
    quay = _river(y, 1.0)
    dry = y.inside.difference(quay)
    y.ground.add(dry, {"landuse": "port"})
    shore = quay.exterior
    for x in np.arange(-length + 50, length - 49, 120):
        bank = shore.interpolate(shore.project(shapely.Point(y.spot(float(x), toward * depth))))
        y.ground.add(rect((bank.x, bank.y), 14, 56, y.site.angle), {"man_made": "pier"})
    dry = dry.buffer(-5)
    for n, x in enumerate(np.arange(-length + 45, length - 44, 92)):
        stacks = y.box(float(x), toward * 16, 78, 40).intersection(dry)
        if n % 3 and isinstance(stacks, shapely.Polygon):
            y.ground.add(stacks, {"landuse": "container_terminal"})
        for hall, kind in ((y.box(float(x), toward * (24 - depth), 72, 36), "warehouse"),
                           (y.box(float(x), toward * 14, 46, 26), "industrial")):  # fmt: skip
            if dry.contains(hall) and (n % 3 == 0 or kind == "warehouse"):
                y.ground.build(hall, {"building": kind, "building:levels": "2"})


def _beach(y: _Yard) -> None:
    ground = y.site.ground.buffer(-5).difference(_river(y, 0.0))
    y.ground.add(ground, {"landuse": "grass"})
    for sand in shapely.get_parts(ground.intersection(_river(y, 24.0))):
        y.ground.add(sand, {"natural": "beach", "surface": "sand"})
    blocks.trees(y.ground, ground.difference(_river(y, 30.0)).buffer(-3), 10, 0.5)


def _lake(y: _Yard) -> None:
    turn = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    waves = [0.07 * math.sin(1 + k) * np.sin(k * turn + y.dice.random() * 6.28) for k in (2, 3, 5)]
    wobble = 1 + np.sum(waves, axis=0)
    shore = np.column_stack([np.cos(turn) * y.half[0] * 0.84, np.sin(turn) * y.half[1] * 0.84]) * wobble[:, None]
    water = shapely.Polygon(place(shore, y.site.center, y.site.angle))
    y.ground.add(y.site.ground.buffer(-5), {"landuse": "grass"})
    beach = water.buffer(9).difference(water).intersection(y.box(y.half[0] * 0.5, y.half[1] * 0.5, 160, 120))
    if isinstance(beach, shapely.Polygon):
        y.ground.add(beach, {"natural": "beach", "surface": "sand"})
    y.ground.add(water, {"natural": "water", "water": "lake"})
    blocks.trees(y.ground, y.site.ground.buffer(-9).difference(water.buffer(7)), 10, 0.5)


def _park(y: _Yard) -> None:
    y.ground.add(y.inside.buffer(1), {"leisure": "park"})
    pond = y.oval(y.half[0] * 0.3, -y.half[1] * 0.2, 90, 58, 2.2)
    y.ground.add(pond, {"natural": "water", "water": "pond"})
    loop = y.oval(0, 0, y.half[0] * 1.6, y.half[1] * 1.6)
    y.ground.add(loop.exterior, {"highway": "footway"})
    for a, b in (((-1, -1), (1, 1)), ((-1, 1), (1, -1))):
        path = y.line((a[0] * y.half[0], a[1] * y.half[1]), (b[0] * y.half[0], b[1] * y.half[1])).difference(
            pond.buffer(3)
        )
        for piece in shapely.get_parts(path):
            y.ground.add(piece, {"highway": "footway"})
    grove = y.oval(-y.half[0] * 0.45, y.half[1] * 0.35, 95, 80)
    y.ground.add(grove, {"natural": "wood"})
    y.ground.add(y.oval(-y.half[0] * 0.4, -y.half[1] * 0.55, 34, 26), {"leisure": "playground"})
    blocks.trees(y.ground, y.inside.difference(pond.buffer(4)), 13, 0.45)


def _sports(y: _Yard) -> None:
    y.ground.add(y.inside, {"leisure": "sports_centre"})
    y.ground.add(y.box(-75, 35, 105, 68), {"leisure": "pitch", "sport": "soccer"})
    diamond = [(0.0, 0.0)] + [(82 * math.cos(a), 82 * math.sin(a)) for a in np.linspace(0, math.pi / 2, 12)]
    y.ground.add(
        y.shape([(22 + px, -y.half[1] + 14 + py) for px, py in diamond]), {"leisure": "pitch", "sport": "baseball"}
    )
    for n in range(4):
        y.ground.add(y.box(-118 + n * 22.0, -52, 17, 34), {"leisure": "pitch", "sport": "tennis"})
    y.ground.add(y.box(88, y.half[1] - 22, 46, 30), {"amenity": "parking"})
    y.ground.build(y.box(-8, -54, 26, 16), {"building": "yes", "building:levels": "1"})


def _tanks(y: _Yard) -> None:
    y.ground.add(y.inside, {"landuse": "industrial"})
    radius = (16.0, 13.0, 20.0)[int(y.dice.integers(3))]
    for x in np.arange(-y.half[0] + 26, y.half[0] - 60, radius * 2 + 14):
        for v in np.arange(-y.half[1] + 26, y.half[1] - 20, radius * 2 + 14):
            if y.dice.random() < 0.85:
                tank = shapely.Point(y.spot(float(x), float(v))).buffer(radius * (0.75 + 0.25 * y.dice.random()), 12)
                y.ground.build(tank, {"building": "storage_tank", "man_made": "storage_tank", "height": "12"})
    y.ground.build(y.box(y.half[0] - 24, 0, 30, 60), {"building": "industrial", "building:levels": "2"})


def _solar(y: _Yard) -> None:
    y.ground.add(y.inside.buffer(-4), {"power": "plant", "plant:source": "solar", "landuse": "industrial"})


def _cemetery(y: _Yard) -> None:
    y.ground.add(y.inside.buffer(1), {"landuse": "cemetery"})
    y.ground.add(y.line((-y.half[0], 0), (y.half[0], 0)), {"highway": "footway"})
    y.ground.add(y.line((0, -y.half[1]), (0, y.half[1])), {"highway": "footway"})
    y.ground.build(y.box(14, 12, 16, 10), {"building": "chapel", "height": "8"})
    for point in scatter(y.inside.difference(y.box(14, 12, 24, 18)), 12, 0.4, y.dice):
        y.ground.add(shapely.Point(point), {"natural": "tree"})


def _hospital(y: _Yard) -> None:
    y.ground.add(y.inside, {"amenity": "hospital"})
    cross = [
        (-55, -9),
        (-9, -9),
        (-9, -45),
        (9, -45),
        (9, -9),
        (55, -9),
        (55, 9),
        (9, 9),
        (9, 45),
        (-9, 45),
        (-9, 9),
        (-55, 9),
    ]
    y.ground.build(
        y.shape([(px - 20.0, py + 5.0) for px, py in cross]), {"building": "hospital", "building:levels": "7"}
    )
    y.ground.add(y.box(74, 10, 44, 90), {"amenity": "parking"})
    y.ground.add(y.oval(-80, -52, 22, 22), {"aeroway": "helipad"})
    blocks.trees(y.ground, y.inside.difference(y.box(0, 5, 210, 110)), 11, 0.5)


def _wastewater(y: _Yard) -> None:
    y.ground.add(y.inside, {"man_made": "wastewater_plant"})
    for x in (-50.0, -8.0, 34.0):
        for v in (-26.0, 18.0):
            y.ground.add(y.oval(x, v, 34, 34), {"natural": "water", "water": "wastewater", "man_made": "basin"})
    y.ground.build(y.box(66, -4, 18, 60), {"building": "industrial", "building:levels": "1"})


_BUILDERS: Mapping[str, Callable[[_Yard], None]] = {
    "stadium": _stadium, "airport": _airport, "port": _port, "beach": _beach, "lake": _lake, "park": _park,
    "sports": _sports, "tanks": _tanks, "solar": _solar, "cemetery": _cemetery, "hospital": _hospital,
    "wastewater": _wastewater,
}  # fmt: skip


def build_site(plan: Plan, site: Site) -> list[Item]:
    """Features of one site, metres."""
    yard = _Yard(plan, site)
    _BUILDERS[site.kind](yard)
    return yard.ground.items
