"""Spatial suppression: of hits close to each other only the best is kept."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np

from geoanchor.protocols import RowIds
from geoanchor.tiling import MEAN_EARTH_RADIUS_M, distance_m
from retrieval.region import Degrees, unit_vectors

_AROUND = tuple(itertools.product((-1, 0, 1), repeat=3))


def suppress(rows: RowIds, lng: Degrees, lat: Degrees, radius_m: float) -> RowIds:
    """Rows kept, in their order: those with no kept row before them nearer than `radius_m` metres.

    Args:
        rows: positions (n,) best first; lng, lat: (g,) degrees, NaN for rows without position, which are always kept.
    """
    kept: list[int] = []
    # Boxes in space rather than in degrees: no seam at the antimeridian or the poles.
    boxes: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    placed = ~np.isnan(lng[rows])
    corners = np.zeros((len(rows), 3), np.int64)
    span = unit_vectors(lng[rows[placed]], lat[rows[placed]]) * (MEAN_EARTH_RADIUS_M / radius_m)
    corners[placed] = np.floor(span)
    for row, has_place, (x, y, z) in zip(rows.tolist(), placed.tolist(), corners.tolist(), strict=True):
        if has_place:
            near = (other for dx, dy, dz in _AROUND for other in boxes.get((x + dx, y + dy, z + dz), ()))
            if any(_apart_m(row, other, lng, lat) < radius_m for other in near):
                continue
            boxes[x, y, z].append(row)
        kept.append(row)
    return np.array(kept, np.int64)


def _apart_m(a: int, b: int, lng: Degrees, lat: Degrees) -> float:
    return distance_m(float(lng[a]), float(lat[a]), float(lng[b]), float(lat[b]))
