"""The ground of one tile in metres: what the anchors are measured on, from vectors or recovered from a raster."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature
from geoanchor.tiling import EARTH_RADIUS_M, Bounds
from indexer.cartography import classify
from indexer.scene import hidden

BUFFER_M = 50.0
"""Ground beside the tile that is looked at too: what the tile's edge cuts would seem to end there."""
MOTOR_ROADS = frozenset(
    {"motorway", "trunk", "primary", "secondary", "tertiary", "residential", "living_street", "unclassified"}
    | {f"{kind}_link" for kind in ("motorway", "trunk", "primary", "secondary", "tertiary")}
)
"""Values of highway=* that count as roads; service ways, tracks and footways do not."""
_LAYER = re.compile(r"-?\d{1,4}")
"""What layer=* may be; anything else is a slip."""
_ROAD_SITE_M = 4.0
"""Half the width given to a line with highway=construction."""

Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """One tile's ground; metres, x east, y north.

    Attributes:
        frame: the tile itself.
        buildings: valid polygons, whole, of the tile and 50 m around. roads: lines, likewise.
        levels: (len(roads),) 0 on the ground, above it for bridges; lines of different levels do not meet in passing.
        roundabouts: of the roads, whether part of one.
        sites: areas under construction. cleared: brown and green fields. water: sea, lakes and rivers that are areas.
    """

    frame: shapely.Polygon
    buildings: Geometries
    roads: Geometries
    levels: NDArray[np.int64]
    roundabouts: NDArray[np.bool_]
    sites: Geometries
    cleared: Geometries
    water: Geometries


def window(bounds: Bounds) -> Bounds:
    """A tile's box and 50 m around it, degrees."""
    dy = math.degrees(BUFFER_M / EARTH_RADIUS_M)
    dx = dy / math.cos(math.radians(bounds.center[1]))
    west, east = max(bounds.west - dx, -180.0), min(bounds.east + dx, 180.0)
    return Bounds(west, bounds.south - dy, east, bounds.north + dy)


def ground_of(features: Sequence[Feature], bounds: Bounds) -> Ground:
    """Project features (degrees) about the middle of a tile's box and sort them by what they are."""
    project = _projection(bounds)
    area = shapely.box(*window(bounds))
    features = [f for f in features if not hidden(f) and _kind(f.tags)]
    geometries = np.array([f.geometry for f in features], object)
    seen = shapely.intersects(geometries, area) if len(geometries) else np.zeros(0, bool)
    features = [f for f, near in zip(features, seen, strict=True) if near]
    shapes = shapely.transform(geometries[seen], project)
    kinds = np.array([_kind(f.tags) for f in features], object)
    dimension = shapely.get_dimensions(shapes)
    chosen = {kind: (kinds == kind) & (dimension == size) for kind, size in _SIZES.items()}
    site_roads = (kinds == "site") & (dimension == 1)
    under_way = np.array([f.tags.get("building") == "construction" for f in features], bool) & (dimension == 2)
    roads, owner = shapely.get_parts(shapes[chosen["road"]], return_index=True)
    tags = [f.tags for f, is_road in zip(features, chosen["road"], strict=True) if is_road]
    buildings = shapely.get_parts(shapes[chosen["building"]])
    return Ground(
        frame=shapely.transform(shapely.box(*bounds), project),
        buildings=np.where(shapely.is_valid(buildings), buildings, shapely.make_valid(buildings)),
        roads=roads,
        levels=np.array([_level(tags[i]) for i in owner], np.int64),
        roundabouts=np.array([tags[i].get("junction") in ("roundabout", "circular") for i in owner], bool),
        sites=np.concatenate(
            (shapes[chosen["site"] | under_way], shapely.buffer(shapes[site_roads], _ROAD_SITE_M, cap_style="flat"))
        ),
        cleared=shapes[chosen["cleared"]],
        water=shapes[chosen["water"]],
    )


_SIZES = {"building": 2, "road": 1, "site": 2, "cleared": 2, "water": 2}
"""Kind -> dimension of its geometry."""


def _kind(tags: Mapping[str, str]) -> str:
    if tags.get("building", "no") != "no":
        return "building"
    highway, landuse = tags.get("highway"), tags.get("landuse")
    if highway in MOTOR_ROADS:
        return "road"
    if highway == "construction" or landuse == "construction":
        return "site"
    if landuse in ("brownfield", "greenfield"):
        return "cleared"
    drawn = classify(tags, 2)
    return "water" if drawn and drawn.name == "water" else ""


def _level(tags: Mapping[str, str]) -> int:
    if tags.get("bridge", "no") == "no":
        return 0
    text = tags.get("layer", "")
    return max(1, int(text)) if _LAYER.fullmatch(text) else 1


def _projection(bounds: Bounds) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Degrees to metres about a box's middle: equirectangular, off by less than 0.1 % within a kilometre."""
    lng, lat = bounds.center
    scale = math.radians(1.0) * EARTH_RADIUS_M
    return lambda xy: (xy - (lng, lat)) * (scale * math.cos(math.radians(lat)), scale)


def moved(ground: Ground, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Ground:
    """The same ground, every coordinate (n, 2) changed alike: turned, mirrored, shifted."""

    def move(shapes: Geometries) -> Geometries:
        placed: Geometries = shapely.transform(shapes, change)
        return placed

    frame: BaseGeometry = shapely.transform(ground.frame, change)
    assert isinstance(frame, shapely.Polygon)
    return Ground(
        frame, move(ground.buildings), move(ground.roads), ground.levels, ground.roundabouts, move(ground.sites),
        move(ground.cleared), move(ground.water),
    )  # fmt: skip
