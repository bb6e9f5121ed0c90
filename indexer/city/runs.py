"""River, railway and motorway, cut into runs that join point on point."""

from __future__ import annotations

import numpy as np
import shapely

from indexer.city.cell import parts_of_line, strip
from indexer.city.frame import Points, dice, place, rect
from indexer.city.lots import Item
from indexer.city.plan import QUAY_M, RUN_M, STEP_M, Plan

_POINTS = int(RUN_M / STEP_M)


def _abscissae(n: int) -> tuple[Points, slice]:
    """Points of a run with two more at either end, and the slice that is the run itself."""
    return np.arange(n * _POINTS - 2, (n + 1) * _POINTS + 3) * STEP_M, slice(2, -2)


def river_run(plan: Plan, n: int, row: int) -> list[Item]:
    """Water, middle line and green banks of one run."""
    u, own = _abscissae(n)
    middle = plan.river(u, row)
    half = plan.river_width(u) / 2
    along = np.gradient(middle, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(along[:, 0], along[:, 1])[:, None]

    def band(near: Points, far: Points) -> shapely.Polygon:
        return shapely.Polygon(
            np.vstack([(middle + across * near[:, None])[own], (middle + across * far[:, None])[own][::-1]])
        )

    bank = half + QUAY_M - 5.5
    return [
        Item(band(half, bank), {"landuse": "grass"}),
        Item(band(-bank, -half), {"landuse": "grass"}),
        Item(band(half, -half), {"natural": "water", "water": "river"}),
        Item(shapely.LineString(middle[own]), {"waterway": "river"}),
        *_bank_trees(plan, middle[own], across[own], half[own], n, row),
    ]


def _bank_trees(plan: Plan, middle: Points, across: Points, half: Points, n: int, row: int) -> list[Item]:
    draw = dice(*plan.key, 20, n, row)
    found = []
    for k in range(len(middle) - 1):
        for side in (-1, 1):
            for share in draw.random(2):
                if draw.random() < 0.3 + 0.5 * plan.country.trees:
                    at = middle[k] + (middle[k + 1] - middle[k]) * share
                    off = half[k] + 5 + 9 * draw.random()
                    found.append(Item(shapely.Point(at + across[k] * side * off), {"natural": "tree"}))
    return found


def _offset(middle: Points, by: float, own: slice) -> shapely.LineString:
    along = np.gradient(middle, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(along[:, 0], along[:, 1])[:, None]
    return shapely.LineString((middle + across * by)[own])


def rail_run(plan: Plan, n: int, row: int) -> list[Item]:
    """Two tracks on their strip; a station with platforms in the middle of the town."""
    u, own = _abscissae(n)
    middle = plan.rail(u, row)
    items = [Item(strip(middle[own], 9.0), {"landuse": "railway"})]
    items += [Item(_offset(middle, by, own), {"railway": "rail"}) for by in (-2.3, 2.3)]
    if n % 3 == 0:
        for k in (7, 21, 11, 17):
            if _clear_of_roads(plan, middle[own][k]):
                return items + _station(middle[own], k)
    return items


def _clear_of_roads(plan: Plan, place: Points) -> bool:
    size = plan.country.cell
    i, j = (round(float(c) / size) for c in place)
    spot = shapely.Point(place).buffer(60)
    lines = [plan.edge(a, b, way) for a in (i - 1, i) for b in (j - 1, j, j + 1) for way in (True, False)]
    lines += [plan.edge(i + 1, b, False) for b in (j - 1, j)]
    return not any(spot.intersects(shapely.LineString(line)) for line in lines)


def _station(middle: Points, k: int) -> list[Item]:
    x, y = middle[k]
    step = middle[k + 1] - middle[k]
    angle = float(np.arctan2(step[1], step[0]))

    def at(dx: float, dy: float, length: float, width: float) -> shapely.Polygon:
        cx, cy = place([(dx, dy)], (float(x), float(y)), angle)[0]
        return rect((float(cx), float(cy)), length, width, angle)

    return [
        Item(at(0, 6.6, 190, 4.5), {"railway": "platform", "public_transport": "platform"}),
        Item(at(0, -6.6, 190, 4.5), {"railway": "platform", "public_transport": "platform"}),
        Item(at(0, 11.8, 60, 5.0), {"building": "train_station", "railway": "station", "building:levels": "2"}),
    ]


def motorway_run(plan: Plan, column: int, n: int) -> list[Item]:
    """Two carriageways with verges; bridges where they cross the river and the railway."""
    v, own = _abscissae(n)
    middle = plan.motorway(v, column)
    items = [Item(_offset_band(middle, own), {"landuse": "grass"})]
    rows = range(round((v[0] - 1500) / 5880), round((v[-1] + 1500) / 5880) + 1)
    u = np.arange(middle[:, 0].min() - 120, middle[:, 0].max() + 121, STEP_M)
    wet = [strip(plan.river(u, row), plan.river_width(u) / 2 + QUAY_M + 6) for row in rows]
    wet += [strip(plan.rail(u, row), 12.0) for row in rows]
    below = shapely.union_all(wet)
    tags = {"highway": "motorway", "oneway": "yes", "lanes": "3"}
    for by in (-8.5, 8.5):
        line = _offset(middle, by, own)
        items += [Item(p, tags) for p in parts_of_line(line.difference(below), 0.1)]
        items += [
            Item(p, {**tags, "bridge": "yes", "layer": "1"}) for p in parts_of_line(line.intersection(below), 0.1)
        ]
    return items


def _offset_band(middle: Points, own: slice) -> shapely.Polygon:
    left, right = _offset(middle, 20.0, own), _offset(middle, -20.0, own)
    return shapely.Polygon([*left.coords, *list(right.coords)[::-1]])
