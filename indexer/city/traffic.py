"""Roads, railways and runways with their paint, and the vehicles on them."""

from __future__ import annotations

import math

import numpy as np
import shapely
import skia
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature
from indexer.city.canvas import Sheet, path_of, shade, stroke
from indexer.city.frame import Points
from indexer.city.hashing import chance, field
from indexer.city.looks import Rgb
from indexer.city.roofs import sun_vector
from indexer.city.surfaces import CARRIAGEWAYS, KERBED, ROADS, STREAMS
from indexer.city.textures import CAR_PX, SMOOTH, car_image, ground_color

Shape = tuple[Feature, BaseGeometry]
Road = tuple[Feature, skia.Path, float, str]

PAINTS: tuple[Rgb, ...] = ((236, 236, 234), (206, 208, 210), (40, 42, 46), (96, 98, 104), (160, 164, 168), (132, 40,
                           38), (46, 66, 104), (224, 222, 214), (66, 68, 70))  # fmt: skip
_ORDER = {name: n for n, name in enumerate(reversed(list(ROADS)))}


def draw_ways(sheet: Sheet, shapes: list[Shape]) -> None:
    """Streams, railways and roads; what runs over a bridge last."""
    _streams(sheet, shapes)
    over = [shape for shape in shapes if shape[0].tags.get("bridge", "no") != "no"]
    level = [shape for shape in shapes if shape[0].tags.get("bridge", "no") == "no"]
    for group, bridge in ((level, False), (over, True)):
        visible = [shape for shape in group if shape[0].tags.get("tunnel", "no") in ("no", "building_passage")]
        roads = _roads(visible)
        if bridge:
            _decks(sheet, roads)
        _surfaces(sheet, roads, not bridge)
        _rails(sheet, visible)
        _runways(sheet, visible)
        if sheet.gsd < 2.2:
            _paint(sheet, roads)
            _vehicles(sheet, visible)


def _roads(shapes: list[Shape]) -> list[Road]:
    """Carriageways, minor ones first."""
    found: list[Road] = []
    for feature, geometry in shapes:
        known = ROADS.get(feature.tags.get("highway", ""))
        if known and geometry.geom_type in ("LineString", "MultiLineString"):
            lanes = feature.tags.get("lanes", "")
            width = known[0] if not lanes.isdigit() else max(known[0] * 0.6, min(8, int(lanes)) * 3.3)
            found.append((feature, path_of(geometry), width, known[1]))
    return sorted(found, key=lambda road: (_ORDER[road[0].tags["highway"]], road[0].id))


def _streams(sheet: Sheet, shapes: list[Shape]) -> None:
    """Waterways known by their line only matter where no area says better; a river's line lies within its area."""
    for feature, geometry in shapes:
        width = STREAMS.get(feature.tags.get("waterway", ""))
        if width and feature.tags.get("waterway") != "river" and geometry.geom_type.endswith("LineString"):
            sheet.canvas.drawPath(path_of(geometry), stroke(ground_color(sheet.look, "water"), width * sheet.scale))


def _decks(sheet: Sheet, roads: list[Road]) -> None:
    drop = sun_vector(sheet.look, sheet.scale) * 6
    canvas = sheet.canvas
    canvas.save()
    canvas.translate(*drop.tolist())
    for _, path, width, _ in roads:
        canvas.drawPath(path, stroke((18, 24, 30), (width + 3) * sheet.scale, 120, square=True))
    canvas.restore()
    for _, path, width, _ in roads:
        canvas.drawPath(path, stroke(ground_color(sheet.look, "concrete"), (width + 3.4) * sheet.scale, square=True))


def _surfaces(sheet: Sheet, roads: list[Road], kerbs: bool) -> None:
    canvas, scale = sheet.canvas, sheet.scale
    if kerbs:
        for feature, path, width, _ in roads:
            if feature.tags["highway"] in KERBED:
                canvas.drawPath(path, stroke(ground_color(sheet.look, "kerb"), (width + 3.2) * scale))
    for feature, path, width, material in roads:
        color = shade(
            ground_color(sheet.look, material), 0.95 + 0.08 * chance(feature.id, 1) if material != "asphalt" else 1.0
        )
        canvas.drawPath(path, stroke(color, width * scale))


def _paint(sheet: Sheet, roads: list[Road]) -> None:
    canvas, scale = sheet.canvas, sheet.scale
    line = max(0.22, sheet.gsd * 0.32) * scale
    for feature, path, width, _ in roads:
        kind = feature.tags["highway"]
        if kind not in CARRIAGEWAYS:
            continue
        if kind in ("motorway", "trunk"):
            for inset, dash in ((width - 1.4, ()), (width / 3, (6 * scale, 9 * scale))):
                _rail_pair(sheet, path, inset * scale, line, dash)
        else:
            dash = () if kind == "primary" else (4 * scale, 6 * scale)
            canvas.drawPath(path, stroke((222, 220, 210), line, 150, dash))


def _rail_pair(sheet: Sheet, path: skia.Path, apart: float, line: float, dash: tuple[float, ...]) -> None:
    """Two lines `apart` metres from one another along a path: the outline of a stroke of that width."""
    pair = skia.Path()
    stroke((0, 0, 0), apart, square=True).getFillPath(path, pair)
    sheet.canvas.drawPath(pair, stroke((226, 226, 220), line, 170, dash))


def _rails(sheet: Sheet, shapes: list[Shape]) -> None:
    lines = [path_of(g) for f, g in shapes if f.tags.get("railway") in ("rail", "light_rail", "tram", "narrow_gauge")
             and g.geom_type.endswith("LineString")]  # fmt: skip
    canvas, scale = sheet.canvas, sheet.scale
    for path in lines:
        canvas.drawPath(path, stroke(shade(ground_color(sheet.look, "ballast"), 0.8), 4.0 * scale))
    for path in lines:
        if sheet.gsd < 0.6:
            canvas.drawPath(path, stroke((92, 82, 74), 2.5 * scale, 255, (0.3 * scale, 0.36 * scale)))
        else:
            canvas.drawPath(path, stroke((84, 74, 66), 2.4 * scale, 200))
        if sheet.gsd < 1.3:
            _rail_pair(sheet, path, 1.45 * scale, max(0.18, sheet.gsd * 0.25) * scale, ())


def _runways(sheet: Sheet, shapes: list[Shape]) -> None:
    canvas, scale = sheet.canvas, sheet.scale
    for kind, usual in (("taxiway", 18.0), ("runway", 40.0)):
        for feature, geometry in shapes:
            if feature.tags.get("aeroway") != kind or not geometry.geom_type.endswith("LineString"):
                continue
            text = feature.tags.get("width", "")
            width = float(text) if text.replace(".", "", 1).isdigit() else usual
            path = path_of(geometry)
            if kind == "taxiway":
                canvas.drawPath(path, stroke((134, 134, 132), width * scale))
                canvas.drawPath(path, stroke((186, 168, 84), max(0.4, sheet.gsd * 0.4) * scale, 200))
                continue
            canvas.drawPath(path, stroke((92, 92, 94), width * scale, square=True))
            canvas.drawPath(path, stroke((226, 226, 222), 0.9 * scale, 220, (30 * scale, 20 * scale)))
            _rail_pair(sheet, path, (width - 4) * scale, 0.9 * scale, ())
            for end in shapely.get_parts(geometry):
                _threshold(sheet, end, width)


def _threshold(sheet: Sheet, line: shapely.LineString, width: float) -> None:
    marks = skia.Path()
    ends = shapely.get_coordinates(line)
    for a, b in ((ends[0], ends[1]), (ends[-1], ends[-2])):
        along = (b - a) / math.hypot(*(b - a)) * sheet.scale
        across = np.array([-along[1], along[0]])
        for v in np.arange(-width / 2 + 5, width / 2 - 4, 4.0):
            marks.addPoly([skia.Point(*(a + along * u + across * v).tolist()) for u in (8.0, 34.0)], False)
    sheet.canvas.drawPath(marks, stroke((230, 230, 226), 1.8 * sheet.scale, 230, square=True))


def _vehicles(sheet: Sheet, shapes: list[Shape]) -> None:
    """Cars at chance distances along every road, on the right-hand side; parked along the kerb of small streets."""
    places, turns, picks = [], [], []
    for feature, geometry in shapes:
        kind = feature.tags.get("highway", "")
        if kind not in ROADS or ROADS[kind][1] != "asphalt" or kind == "service":
            continue
        for line in shapely.get_parts(geometry):
            if isinstance(line, shapely.LineString):
                at, turn, pick = _along(sheet, feature, line, kind)
                places.append(at)
                turns.append(turn)
                picks.append(pick)
    if places:
        park_cars(sheet, np.concatenate(places), np.concatenate(turns), np.concatenate(picks))


def _along(sheet: Sheet, feature: Feature, line: shapely.LineString, kind: str) -> tuple[Points, Points, Points]:
    scale = sheet.scale
    step = {"motorway": 34.0, "primary": 30.0, "secondary": 38.0}.get(kind, 15.0) * scale
    count = int(line.length / step)
    numbers, key = np.arange(count), int(chance(feature.id) * 2**31)
    rolls = np.column_stack([field(numbers, np.full(count, k), key) for k in range(3)])
    along = (np.arange(count) + 0.2 + 0.6 * rolls[:, 0]) * step
    a, b = (shapely.get_coordinates(shapely.line_interpolate_point(line, along + d * scale)) for d in (-0.4, 0.4))
    ahead = (b - a) / np.maximum(np.hypot(*(b - a).T), 1e-9)[:, None]
    right = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    side = np.where(rolls[:, 1] < 0.5, 1.0, -1.0)
    oneway = feature.tags.get("oneway") == "yes"
    width = ROADS[kind][0]
    off = width * 0.25 if kind in ("primary", "secondary") else width * 0.5 - 1.2
    if kind == "motorway":
        side, off = np.floor(rolls[:, 1] * 3) - 1.0, 3.6
    center = (a + b) / 2 + right * (side * off * scale)[:, None]
    keep = rolls[:, 2] < (0.5 if kind in ("motorway", "primary", "secondary") else 0.34)
    turn = np.arctan2(ahead[:, 1], ahead[:, 0]) + np.where((side < 0) & (not oneway), math.pi, 0.0)
    return center[keep], turn[keep], (rolls[:, 2] * 37)[keep] % 1.0


def park_cars(sheet: Sheet, at: Points, turn: Points, pick: NDArray[np.float64]) -> None:
    """Cars at (n, 2) sheet metres, noses along (n,) radians; `pick` in [0, 1) chooses paint and length."""
    reach = sheet.side + 8 * sheet.scale
    near = ((at > -8 * sheet.scale) & (at < reach)).all(1) if len(at) else np.zeros(0, bool)
    at, turn, pick = at[near], turn[near], pick[near]
    if not len(at):
        return
    long = np.where(pick > 0.94, 8.5, 4.5) * sheet.scale
    s = long / CAR_PX[0]
    drop = sun_vector(sheet.look, sheet.scale) * 1.0
    cos, sin = np.cos(turn) * s, np.sin(turn) * s
    half = np.array(CAR_PX) / 2
    x = at[:, 0] - cos * half[0] + sin * half[1]
    y = at[:, 1] - sin * half[0] - cos * half[1]
    cut = [skia.Rect.MakeWH(*CAR_PX)] * len(at)
    for dx, dy, colors in ((*drop.tolist(), [int(skia.Color(14, 16, 20, 120))] * len(at)),
                           (0.0, 0.0,
                               [int(skia.Color(*PAINTS[int(p * 97) % len(PAINTS)])) for p in pick])):  # fmt: skip
        forms = [
            skia.RSXform(*form)
            for form in zip(cos.tolist(), sin.tolist(), (x + dx).tolist(), (y + dy).tolist(), strict=True)
        ]
        sheet.canvas.drawAtlas(car_image(), forms, cut, colors, skia.BlendMode.kModulate, SMOOTH, None, None)
