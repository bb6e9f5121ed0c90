"""The town's plan: river, railway and motorway as functions of the seed, sites with their own ground, the lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import shapely

from indexer.city.country import Country
from indexer.city.frame import Points, dice, ellipse, rect

DISTRICT_M = 5880.0
"""Side of the square in which every kind of site occurs: one town and its country."""
STEP_M = 30.0
"""Spacing of the points of river, railway and motorway."""
RUN_M = 840.0
"""Length of one river, railway or motorway feature."""
QUAY_M = 22.0
"""From the bank to the middle of the road along it."""

_RIVER, _RAIL, _MOTORWAY, _SITES, _NODE, _EDGE, _CLASS = range(7)


@dataclass(frozen=True, slots=True)
class Site:
    """Ground with one purpose that cuts through the lattice; the road around it keeps the net connected.

    Attributes:
        kind: "stadium", "airport", "lake", ...
        center: metres; angle: radians of its long side; length, width: metres.
        number: within its district.
        side: +1 or -1: which long side faces the river or the railway (along the local normal), 0 where neither.
    """

    kind: str
    center: tuple[float, float]
    angle: float
    length: float
    width: float
    number: int
    side: int = 0

    @property
    def ground(self) -> shapely.Polygon:
        """Outline, metres; the middle of the road around it."""
        if self.kind in ("lake", "roundabout"):
            return shapely.Polygon(ellipse(self.center, self.length, self.width, self.angle))
        return rect(self.center, self.length, self.width, self.angle)

    @property
    def reach(self) -> float:
        """Radius around the centre that holds the site."""
        return math.hypot(self.length, self.width) / 2


class Plan:
    """Everything of a town that is larger than one cell.

    Args:
        seed: of the town; country: its habits.
    """

    def __init__(self, seed: int, country: Country) -> None:
        self.seed = seed
        self.country = country
        self.key = (seed, ord(country.name))
        self.sites = lru_cache(maxsize=64)(self._sites)
        self.node = lru_cache(maxsize=8192)(self._node)

    @cached_property
    def _phases(self) -> Points:
        return dice(*self.key, _RIVER).random((8, 4))

    def river(self, u: Points, row: int) -> Points:
        """(n, 2) points of the middle of the river of district row `row` at abscissae `u`."""
        a, b, c, _ = self._phases[0] * 2 * math.pi
        offset = (self._phases[1, 0] - 0.5) * 400
        v = 230 * np.sin(u * (2 * math.pi / 3000) + a + row) + 60 * np.sin(u * (2 * math.pi / 1130) + b + 2 * row)
        return np.column_stack([u, row * DISTRICT_M + offset + v + 15 * np.sin(u / 70 + c)])

    def river_width(self, u: Points) -> Points:
        """Metres between the banks at abscissae `u`."""
        a, b = self._phases[2, :2] * 2 * math.pi
        width: Points = 72 + 14 * np.sin(u / 410 + a) + 6 * np.sin(u / 130 + b)
        return width

    def rail(self, u: Points, row: int) -> Points:
        """(n, 2) points of the railway of district row `row`."""
        a = self._phases[3, 0] * 2 * math.pi
        side = 1 if self._phases[3, 1] < 0.5 else -1
        return np.column_stack([u, row * DISTRICT_M + side * 1150 + 110 * np.sin(u * (2 * math.pi / 4300) + a + row)])

    def motorway(self, v: Points, column: int) -> Points:
        """(n, 2) points of the middle of the motorway of district column `column` at ordinates `v`."""
        a = self._phases[4, 0] * 2 * math.pi
        side = 1 if self._phases[4, 1] < 0.5 else -1
        return np.column_stack(
            [column * DISTRICT_M + side * 1800 + 170 * np.sin(v * (2 * math.pi / 5200) + a + column), v]
        )

    def river_normal(self, u: float, row: int) -> tuple[Points, float]:
        """Unit vector across the river (towards +v) and its direction in radians at abscissa `u`."""
        a, b = self.river(np.array([u - 60.0, u + 60.0]), row)
        angle = math.atan2(b[1] - a[1], b[0] - a[0])
        return np.array([-math.sin(angle), math.cos(angle)]), angle

    def _node(self, i: int, j: int) -> tuple[float, float]:
        """Place of the lattice node (i, j), metres."""
        size, stray = self.country.cell, self.country.jitter
        du, dv = (dice(*self.key, _NODE, i, j).random(2) - 0.5) * 2 * stray
        return i * size + du, j * size + dv

    def edge(self, i: int, j: int, along_u: bool) -> Points:
        """(n, 2) middle line of the arterial from node (i, j) to the next one along u or v."""
        a = np.array(self.node(i, j))
        b = np.array(self.node(i + 1, j) if along_u else self.node(i, j + 1))
        bow = (dice(*self.key, _EDGE, i, j, int(along_u)).random() - 0.5) * 2 * self.country.bend
        if abs(bow) < 1:
            return np.array([a, b])
        t = np.linspace(0, 1, 7)[:, None]
        across = np.array([a[1] - b[1], b[0] - a[0]]) / np.hypot(*(b - a))
        bowed: Points = a + (b - a) * t + across * (bow * np.sin(np.pi * t))
        return bowed

    def road_class(self, line: int, along_u: bool) -> str:
        """Highway class of a whole lattice line; every fourth is primary."""
        shift = int(dice(*self.key, _CLASS, int(along_u)).integers(4))
        return ("primary", "tertiary", "secondary", "tertiary")[(line + shift) % 4]

    def roundabout(self, i: int, j: int) -> Site | None:
        """The roundabout at a lattice node, where there is one."""
        classes = {self.road_class(j, True), self.road_class(i, False)}
        chance = {"A": 0.3, "B": 0.05, "C": 0.2}[self.country.name]
        if "primary" not in classes or dice(*self.key, _NODE, i, j, 1).random() > chance:
            return None
        return Site("roundabout", self.node(i, j), 0.0, 40.0, 40.0, 0)

    def _sites(self, column: int, row: int) -> tuple[Site, ...]:
        """Sites of one district, none overlapping another, the river, the railway or the motorway."""
        return tuple(_Siting(self, column, row).all())


class _Siting:
    """Places the sites of one district one after the other."""

    def __init__(self, plan: Plan, column: int, row: int) -> None:
        self.plan = plan
        self.column = column
        self.row = row
        self.origin = np.array([column * DISTRICT_M, row * DISTRICT_M])
        self.dice = dice(*plan.key, _SITES, column, row)
        self.done: list[Site] = []

    def all(self) -> list[Site]:
        side = 1 if self.dice.random() < 0.5 else -1
        for n, u in enumerate((-1150.0, 60.0, 1200.0)):
            self.by_river("stadium", u, 235, 200, side * (-1) ** n)
        self.by_river("port", -560.0, 560, 170, -side)
        self.by_river("beach", 640.0, 260, 80, side)
        for kind, count, length, width, near, far in (
            ("airport", 1, 1500, 430, 1500, 2500), ("stadium", 4, 235, 200, 800, 2150), ("park", 2, 380, 300, 300,
            1700), ("sports", 2, 300, 210, 700, 2200), ("lake", 2, 330, 220, 900, 2500), ("tanks", 2, 260, 180, 900,
            2300), ("solar", 2, 330, 220, 1500, 2600), ("cemetery", 2, 190, 140, 700, 2200), ("hospital", 1, 220, 170,
            500, 1500), ("wastewater", 1, 170, 130, 1300, 2400),
        ):  # fmt: skip
            for _ in range(count):
                self.anywhere(kind, length, width, near, far)
        return self.done

    def by_river(self, kind: str, u: float, length: float, width: float, side: int) -> None:
        u = float(u + (self.dice.random() - 0.5) * 160 + self.origin[0])
        normal, angle = self.plan.river_normal(u, self.row)
        middle = self.plan.river(np.array([u]), self.row)[0]
        # Straight sites beside a bending river: stand back by as much as the bank can bulge over half their length.
        back = float(self.plan.river_width(np.array([u]))[0]) / 2 + QUAY_M + length * 0.13 + 4 + width / 2
        if kind in ("port", "beach"):
            back = float(self.plan.river_width(np.array([u]))[0]) / 2 + width / 2 - length * 0.04
        x, y = middle + normal * (side * back)
        self.keep(kind, (float(x), float(y)), angle, length, width, side)

    def anywhere(self, kind: str, length: float, width: float, near: float, far: float) -> None:
        for _ in range(400):
            turn, reach = self.dice.random(2)
            radius = near + (far - near) * reach
            x, y = self.origin + radius * np.array([math.cos(turn * 2 * math.pi), math.sin(turn * 2 * math.pi)])
            quarter = int(self.dice.integers(2))
            angle = quarter * math.pi / 2 + (self.dice.random() - 0.5) * 0.3
            size = np.array([length, width]) * (0.9 + 0.2 * self.dice.random())
            trial = Site(kind, (float(x), float(y)), float(angle), float(size[0]), float(size[1]), len(self.done))
            if self.free(trial):
                self.done.append(trial)
                return

    def keep(
        self, kind: str, center: tuple[float, float], angle: float, length: float, width: float, side: int
    ) -> None:
        self.done.append(Site(kind, center, angle, length, width, len(self.done), side))

    def free(self, site: Site) -> bool:
        ground = site.ground
        if any(ground.distance(other.ground) < 45 for other in self.done):
            return False
        left, bottom, right, top = ground.bounds
        u, v = np.arange(left - 60, right + 61, STEP_M), np.arange(bottom - 60, top + 61, STEP_M)
        # Far stadiums must lie far from the river: they are what "by the river" has to tell apart.
        clear = {"stadium": 700.0, "airport": 260.0}.get(site.kind, 130.0)
        return (
            shapely.LineString(self.plan.river(u, self.row)).distance(ground) > clear
            and shapely.LineString(self.plan.rail(u, self.row)).distance(ground) > 45
            and shapely.LineString(self.plan.motorway(v, self.column)).distance(ground) > 60
        )
