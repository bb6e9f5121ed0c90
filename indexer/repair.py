"""Makes features fit for use: valid geometries inside the world; what cannot be saved is counted and left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from geoanchor.errors import BadInput
from geoanchor.feature import Feature

logger = logging.getLogger(__name__)

_TURN = 360.0
_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)


def repaired(features: Iterable[Feature], where: str) -> list[Feature]:
    """Features with valid, two-dimensional geometries in degrees, in their order.

    Invalid areas are made valid; what lies beyond the antimeridian comes back from the other side, cut in two where it
    crosses it. Empty geometries, coordinates that are no numbers and those outside the world are left out, and their
    number is logged together with `where`.

    Raises BadInput when nothing is left because all coordinates lie outside the world.
    """
    found = _within_a_turn(list(features))
    raw = np.array([feature.geometry for feature in found], dtype=object)
    with np.errstate(invalid="ignore"):
        geometries = shapely.force_2d(raw)
        bounds = shapely.bounds(geometries)
        finite = _finite(geometries)
        usable = finite & _in_world(bounds)
    if not usable.any() and finite.any():
        west, south = bounds[np.flatnonzero(finite)[0], :2]
        raise BadInput(
            where,
            f"its coordinates are no degrees (the first are {west:.10g}, {south:.10g}); reproject it to EPSG:4326, or "
            'give a GeoJSON its "crs" member',
        )
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


def _within_a_turn(features: list[Feature]) -> list[Feature]:
    """The features, those that reach beyond the antimeridian as their parts on either side of it."""
    west, south, east, north = shapely.bounds([feature.geometry for feature in features]).reshape(-1, 4).T
    with np.errstate(invalid="ignore"):
        beyond = ((west < -180.0) | (east > 180.0)) & (west >= -_TURN) & (east <= _TURN)
        beyond &= (south >= -90.0) & (north <= 90.0)
    parts = (_wrapped(feature) if out else (feature,) for feature, out in zip(features, beyond, strict=True))
    return list(chain.from_iterable(parts))


def _wrapped(feature: Feature) -> Iterator[Feature]:
    whole = shapely.make_valid(feature.geometry)
    for turn in (0.0, -_TURN, _TURN):
        part = shapely.intersection(translate(whole, turn), _WORLD)
        # What ends at the antimeridian has but an edge beyond it.
        if not part.is_empty and shapely.get_dimensions(part) == shapely.get_dimensions(whole):
            yield replace(feature, geometry=part)


def _finite(geometries: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which have coordinates, and only such that are numbers."""
    finite: NDArray[np.bool_] = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    finite[owner[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _in_world(bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    west, south, east, north = bounds.T
    inside: NDArray[np.bool_] = (west >= -180.0) & (east <= 180.0) & (south >= -90.0) & (north <= 90.0)
    return inside
