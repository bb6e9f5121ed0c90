"""One cell of the lattice: its arterial edges, its inner streets and the blocks between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from indexer.city.blocks import FILLS, Plot
from indexer.city.frame import Points, dice
from indexer.city.lots import Ground, Item, parts
from indexer.city.plan import DISTRICT_M, QUAY_M, STEP_M, Plan, Site

RAIL_M = 15.0
MOTORWAY_M = 24.0
"""Half widths of the strips that the railway and the motorway keep free."""

_USE, _CELL = 10, 11

WIDTHS: Mapping[str, float] = {
    "motorway": 11.0, "primary": 15.0, "secondary": 12.0, "tertiary": 10.0, "residential": 7.0, "living_street": 6.0,
    "unclassified": 6.5, "service": 4.5, "track": 3.5, "pedestrian": 6.0, "footway": 2.0,
}  # fmt: skip
"""Metres from kerb to kerb."""

QUIET = ("fields", "forest", "scrub")
"""Uses that need no streets of their own."""

LANDUSE = {
    "suburb": "residential", "culdesac": "residential", "terraces": "residential", "perimeter": "residential",
    "oldtown": "residential", "towers": "residential", "village": "residential", "downtown": "commercial",
    "retail": "commercial", "commons": "residential",
}  # fmt: skip


def use_of(plan: Plan, i: int, j: int) -> str:
    """What the cell (i, j) is used for."""
    size, country = plan.country.cell, plan.country
    u, v = ((i + 0.5) * size, (j + 0.5) * size)
    du = u - round(u / DISTRICT_M) * DISTRICT_M
    dv = v - round(v / DISTRICT_M) * DISTRICT_M
    draw = dice(*plan.key, _USE, i, j)
    out = math.hypot(du, dv) + (draw.random() - 0.5) * 700
    rings = ((800.0, country.core), (1600.0, country.inner), (2350.0, country.outer), (math.inf, country.rural))
    uses = next(uses for limit, uses in rings if out < limit)
    return uses[int(draw.integers(len(uses)))]


@dataclass(frozen=True, slots=True)
class Voids:
    """Ground inside a box that the lattice must leave alone, metres."""

    river: BaseGeometry
    rail: BaseGeometry
    motorway: BaseGeometry
    sites: BaseGeometry
    rounds: BaseGeometry

    @property
    def ringed(self) -> BaseGeometry:
        """Those with a road around them."""
        return shapely.union(self.river, self.sites)

    @property
    def all(self) -> BaseGeometry:
        """All of them."""
        return shapely.union_all([self.river, self.rail, self.motorway, self.sites, self.rounds])


def voids(plan: Plan, box: tuple[float, float, float, float]) -> Voids:
    """What rivers, railways, motorways and sites take of a box (left, bottom, right, top)."""
    left, bottom, right, top = box
    frame = shapely.box(*box)
    u = np.arange(math.floor(left / STEP_M) - 4, math.ceil(right / STEP_M) + 5) * STEP_M
    v = np.arange(math.floor(bottom / STEP_M) - 4, math.ceil(top / STEP_M) + 5) * STEP_M
    rows = range(round((bottom - 1500) / DISTRICT_M), round((top + 1500) / DISTRICT_M) + 1)
    columns = range(round((left - 2000) / DISTRICT_M), round((right + 2000) / DISTRICT_M) + 1)
    river = [strip(plan.river(u, row), plan.river_width(u) / 2 + QUAY_M) for row in rows]
    rail = [shapely.LineString(plan.rail(u, row)).buffer(RAIL_M, cap_style="flat") for row in rows]
    motorway = [shapely.LineString(plan.motorway(v, c)).buffer(MOTORWAY_M, cap_style="flat") for c in columns]
    sites = [site.ground for site in sites_near(plan, box)]
    size = plan.country.cell
    rounds = []
    for i in range(math.floor(left / size) - 1, math.ceil(right / size) + 2):
        for j in range(math.floor(bottom / size) - 1, math.ceil(top / size) + 2):
            site = plan.roundabout(i, j)
            if site is not None and site.ground.intersects(frame):
                rounds.append(site.ground)
    big = shapely.union_all([*river, *rail, *motorway, *sites])
    rounds = [ground for ground in rounds if ground.distance(big) > 25]
    return Voids(*(shapely.union_all([g for g in group if g.intersects(frame)]) for group in (river, rail, motorway,
                                                                                            sites,
                                                                                                rounds)))  # fmt: skip


def sites_near(plan: Plan, box: tuple[float, float, float, float]) -> list[Site]:
    """Sites that may meet a box."""
    left, bottom, right, top = box
    reach = 2700 + 900
    found: list[Site] = []
    for column in range(math.ceil((left - reach) / DISTRICT_M), math.floor((right + reach) / DISTRICT_M) + 1):
        for row in range(math.ceil((bottom - reach) / DISTRICT_M), math.floor((top + reach) / DISTRICT_M) + 1):
            found += [s for s in plan.sites(column, row) if left - s.reach < s.center[0] < right + s.reach
                      and bottom - s.reach < s.center[1] < top + s.reach]  # fmt: skip
    return found


def strip(middle: Points, half: Points | float) -> shapely.Polygon:
    """The ground within `half` metres of a line, by offsetting its points across."""
    along = np.gradient(middle, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(along[:, 0], along[:, 1])[:, None]
    half = np.broadcast_to(half, len(middle))[:, None]
    return shapely.Polygon(np.vstack([middle + across * half, (middle - across * half)[::-1]]))


class Cell:
    """Builds the features of the cell (i, j); call `items` once."""

    def __init__(self, plan: Plan, i: int, j: int) -> None:
        self.plan = plan
        self.i, self.j = i, j
        self.use = use_of(plan, i, j)
        self.ground = Ground(dice(*plan.key, _CELL, i, j))
        sides = (plan.edge(i, j, True), plan.edge(i + 1, j, False), plan.edge(i, j + 1, True)[::-1],
                 plan.edge(i, j, False)[::-1])  # fmt: skip
        self.sides = [shapely.LineString(side) for side in sides]
        self.quad = shapely.Polygon(np.vstack([side[:-1] for side in sides]))
        left, bottom, right, top = self.quad.bounds
        self.voids = voids(plan, (left - 30, bottom - 30, right + 30, top + 30))
        self.taken = self.voids.all

    def items(self) -> list[Item]:
        """Features of the cell: land use, roads, then what stands on the blocks."""
        land = self.quad.difference(self.taken)
        if self.use in LANDUSE:
            for part in parts(land, 100):
                self.ground.add(part, {"landuse": LANDUSE[self.use]})
        kerbs = self._arterials() + self._around() + self._streets(land)
        paved = shapely.union_all([shapely.buffer(line, width / 2 + 2.0, cap_style="square") for line, width in kerbs])
        for block in parts(land.difference(paved).buffer(-0.5), 300):
            self._fill(block)
        return self.ground.items

    def _arterials(self) -> list[tuple[BaseGeometry, float]]:
        """Adds the two edges that this cell owns; gives all four with their widths."""
        kerbs: list[tuple[BaseGeometry, float]] = []
        for n, (i, j, along_u) in enumerate(((self.i, self.j, True), (self.i + 1, self.j, False), (self.i, self.j + 1,
                                             True), (self.i, self.j, False))):  # fmt: skip
            kind = self._kind(i, j, along_u)
            kerbs.append((self.sides[n], WIDTHS[kind]))
            if n in (0, 3):
                self._lay(self.sides[n], kind)
        return kerbs

    def _kind(self, i: int, j: int, along_u: bool) -> str:
        kind = self.plan.road_class(j if along_u else i, along_u)
        beside = use_of(self.plan, i, j - 1) if along_u else use_of(self.plan, i - 1, j)
        if kind == "tertiary" and beside in QUIET and use_of(self.plan, i, j) in QUIET:
            return "track"
        return kind

    def _lay(self, edge: shapely.LineString, kind: str) -> None:
        tags = {"highway": kind}
        for piece in parts_of_line(edge.difference(self.taken), 8):
            self.ground.add(piece, tags)
            if kind != "track" and self.use not in QUIET:
                self._line_with_trees(piece, WIDTHS[kind])
        over = {**tags, "bridge": "yes", "layer": "1"}
        ends = shapely.MultiPoint([edge.coords[0], edge.coords[-1]])
        others = shapely.union(self.voids.sites, self.voids.rounds)
        for ground, longest, spans in ((self.voids.river, 230, kind in ("primary", "secondary")), (self.voids.rail,
                                       90, True), (self.voids.motorway, 130, kind != "track")):  # fmt: skip
            for piece in parts_of_line(edge.intersection(ground), 10):
                if spans and piece.length < longest and piece.distance(ends) > 1 and not piece.intersects(others):
                    level = ground is self.voids.rail and kind == "tertiary"
                    self.ground.add(piece, tags if level else over)

    def _around(self) -> list[tuple[BaseGeometry, float]]:
        """Roads along the river and around sites, within this cell; roundabouts at its first node."""
        busy = self.use not in QUIET
        kind = "residential" if busy else "track"
        outlines = [part.exterior for part in parts(self.voids.ringed, 1.0)]
        ring = shapely.intersection(shapely.union_all(outlines), self.quad)
        ring = ring.difference(shapely.union(self.voids.rail, self.voids.motorway))
        kerbs = [(ring, WIDTHS[kind])]
        for piece in parts_of_line(shapely.line_merge(ring), 15):
            self.ground.add(piece, {"highway": kind})
            if busy:
                self._line_with_trees(piece, WIDTHS[kind])
        node = shapely.Point(self.plan.node(self.i, self.j))
        for ground in parts(self.voids.rounds, 10):
            kerbs.append((ground.boundary, 9.0))
            if ground.contains(node):
                self.ground.add(ground.exterior, {"highway": "secondary", "junction": "roundabout", "oneway": "yes"})
                self.ground.add(ground.buffer(-6), {"landuse": "grass"})
        return kerbs

    def _line_with_trees(self, line: BaseGeometry, width: float) -> None:
        share = self.plan.country.trees
        if self.ground.dice.random() > share + 0.15:
            return
        length = line.length
        for at in np.arange(9.0, length - 9, 13.0):
            (x0, y0), (x1, y1) = (line.interpolate(at + d).coords[0] for d in (-0.5, 0.5))
            for side in (-1, 1):
                if self.ground.dice.random() < share:
                    off = side * (width / 2 + 1.6)
                    spot = shapely.Point((x0 + x1) / 2 - (y1 - y0) * off, (y0 + y1) / 2 + (x1 - x0) * off)
                    if not spot.intersects(self.taken):
                        self.ground.add(spot, {"natural": "tree"})

    def _at(self, points: Points) -> Points:
        """Unit square -> cell, bilinear between the corners."""
        a, b, c, d = (np.array(side.coords[0]) for side in self.sides)
        s, t = points[:, :1], points[:, 1:]
        return a * (1 - s) * (1 - t) + b * s * (1 - t) + c * s * t + d * (1 - s) * t

    def _streets(self, land: BaseGeometry) -> list[tuple[BaseGeometry, float]]:
        kerbs: list[tuple[BaseGeometry, float]] = []
        for kind, lines in streets(self.use, self.ground.dice):
            width = self.plan.country.lanes if kind == "residential" else WIDTHS[kind]
            for line in lines:
                for piece in parts_of_line(shapely.LineString(self._at(line)).intersection(land), 25):
                    self.ground.add(piece, {"highway": kind})
                    kerbs.append((piece, width))
                    if kind == "residential" and self.use not in ("oldtown", "works"):
                        self._line_with_trees(piece, width)
        return kerbs

    def _fill(self, block: shapely.Polygon) -> None:
        new = bool(self.ground.dice.random() < 0.03)
        FILLS[self._purpose(block)](Plot(block, self.plan.country, self.ground, new))

    def _purpose(self, block: shapely.Polygon) -> str:
        usual = {"suburb": "houses", "culdesac": "houses", "village": "houses", "forest": "wood", "commons": "park"}
        purpose = usual.get(self.use, self.use)
        slim = block.area < 0.1 * block.length**2 / 4
        if purpose in ("fields", "wood", "scrub"):
            return purpose
        if block.area < 1500 or (slim and block.area < 4000):
            return "park" if self.ground.dice.random() < 0.6 else "parking"
        draw = self.ground.dice.random()
        for share, special, least in ((0.05, "park", 3000), (0.045, "school", 6500), (0.02, "church", 2500),
                                      (0.025, "parking", 2500), (0.02, "courts", 5000)):  # fmt: skip
            if draw < share:
                return special if block.area > least and self.use != "works" else purpose
            draw -= share
        return purpose


def parts_of_line(geometry: BaseGeometry, shortest: float) -> list[shapely.LineString]:
    """The lines of a geometry that are at least so long."""
    return [p for p in shapely.get_parts(geometry) if isinstance(p, shapely.LineString) and p.length >= shortest]


def _through(at: float, upright: bool, bend: Points | None = None) -> Points:
    s = np.linspace(0, 1, 2 if bend is None else len(bend))
    across = np.full(len(s), at) if bend is None else at + bend
    return np.column_stack([across, s] if upright else [s, across])


def _wave(draw: np.random.Generator, points: int, height: float) -> Points:
    return (draw.random(points) - 0.5) * height


def _grid(across: int, up: int) -> list[Points]:
    return [_through(k / across, True) for k in range(1, across)] + [_through(k / up, False) for k in range(1, up)]


def streets(use: str, draw: np.random.Generator) -> list[tuple[str, list[Points]]]:
    """Inner streets of a cell as (highway class, lines in the unit square)."""
    turned = bool(draw.random() < 0.5)
    if use in ("suburb", "terraces"):
        rows = 5 if use == "suburb" else 6
        return [("residential", _grid(2, rows) if turned else _grid(rows, 2))]
    if use in ("perimeter", "downtown"):
        return [("residential", _grid(3, 4) if turned else _grid(4, 3))]
    if use == "oldtown":
        lines: list[Points] = []
        for k in range(1, 5):
            lines.append(_through(k / 5 + (draw.random() - 0.5) * 0.05, True, _wave(draw, 6, 0.11)))
        for k in range(1, 6):
            lines.append(_through(k / 6, False, _wave(draw, 6, 0.11)))
        return [("living_street", lines)]
    if use == "village":
        return [
            (
                "residential",
                [_through(k, bool(n % 2), _wave(draw, 7, 0.2)) for n, k in enumerate((0.3, 0.32, 0.68, 0.7))],
            )
        ]
    if use == "culdesac":
        return [("residential", _dead_ends(turned, draw))]
    if use in ("towers", "retail", "works", "commons"):
        return [("residential", [_through(0.5, turned)]), ("service", [_through(0.5, not turned)])]
    return []


def _dead_ends(turned: bool, draw: np.random.Generator) -> list[Points]:
    s = np.linspace(0, 1, 9)
    spine = 0.5 + 0.05 * np.sin(s * 2 * math.pi)
    lines: list[Points] = [np.column_stack([s, spine])]
    for k in (0.17, 0.39, 0.61, 0.83):
        for away in (-1, 1):
            reach = 0.31 + 0.06 * draw.random()
            foot = 0.5 + 0.05 * math.sin(k * 2 * math.pi)
            t = np.linspace(0, 1, 5)
            lines.append(np.column_stack([k + 0.04 * t**2 * away, foot + away * reach * t]))
    return [line[:, ::-1] for line in lines] if turned else lines
