"""Makes features fit for use: valid geometries inside the world; what cannot be saved is counted and left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import shapely

from geoanchor.feature import Feature

logger = logging.getLogger(__name__)


def repaired(features: Iterable[Feature], where: str) -> list[Feature]:
    """Features with valid, two-dimensional geometries in degrees, in their order.

    Invalid areas are made valid; empty geometries and coordinates outside the world are left out, and their number is
    logged together with `where`.
    """
    found = list(features)
    raw = np.array([feature.geometry for feature in found], dtype=object)
    geometries = shapely.force_2d(raw)
    usable = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    west, south, east, north = shapely.bounds(geometries).T
    with np.errstate(invalid="ignore"):
        usable &= (west >= -180.0) & (east <= 180.0) & (south >= -90.0) & (north <= 90.0)
    broken = np.flatnonzero(usable & ~shapely.is_valid(geometries))
    geometries[broken] = shapely.make_valid(geometries[broken])
    if not usable.all():
        logger.warning("%s: %d of %d features have no usable geometry", where, (~usable).sum(), len(found))
    changed = shapely.has_z(raw)
    changed[broken] = True
    return [
        replace(feature, geometry=geometries[i]) if changed[i] else feature
        for i, feature in enumerate(found)
        if usable[i]
    ]
