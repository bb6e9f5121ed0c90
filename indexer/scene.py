"""What lies in a tile, measured: things by concept with their share, number, place and mutual relation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from geoanchor.feature import Feature
from geoanchor.tiling import EARTH_RADIUS_M, Bounds
from indexer.cartography import lies_underground
from indexer.concepts import Concept, concepts_of

MIN_SHARE = 0.01
"""An area this share of the tile is present ..."""
MIN_LENGTH = 0.12
"""... and so is a line of this many tile sides, ..."""
MIN_INSIDE = 0.5
"""... and anything that lies in the tile with this share of its own size."""

_JOIN_M = {"landmark": 8.0, "water": 8.0, "extra": 8.0, "line": 15.0, "cover": 20.0}
"""By concept kind: pieces within twice this many metres are one thing."""
_COUNTED = 40
"""With more pieces than this their exact number is not worth its cost."""

Geometries = NDArray[np.object_]


class Footprint(Protocol):
    """The ground that a picture shows: a `Tile`, or a `Patch` of any outline. Its text seeds the choice of words."""

    @property
    def bounds(self) -> Bounds:
        """Box in degrees."""

    @property
    def center(self) -> tuple[float, float]:
        """(lng, lat) in degrees."""

    def gsd_m(self, size_px: int) -> float:
        """Metres a pixel where so many make the side."""


@dataclass(frozen=True, slots=True)
class Patch:
    """The ground below a picture that lies on no tile grid; its side is that of a square as large.

    Attributes:
        bounds: box in degrees.
    """

    bounds: Bounds

    @property
    def center(self) -> tuple[float, float]:
        """(lng, lat) in degrees."""
        return self.bounds.center

    def gsd_m(self, size_px: int) -> float:
        """Metres a pixel where so many make the side."""
        degree = math.radians(1.0) * EARTH_RADIUS_M
        width = ((self.bounds.east - self.bounds.west) % 360.0) * degree * math.cos(math.radians(self.center[1]))
        return math.sqrt(width * (self.bounds.north - self.bounds.south) * degree) / size_px

    def __str__(self) -> str:
        return ",".join(f"{edge:.6f}" for edge in self.bounds)


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """Features with a meaningful presence in a tile.

    Attributes:
        features: in input order; parts: what lies in the tile, metres from the tile's centre, x east, y north.
        size_m: side of the tile; area_m2: of each feature whole; shares: of the tile's area; lengths: in tile sides.
    """

    features: Sequence[Feature]
    parts: Geometries
    size_m: float
    area_m2: NDArray[np.float64]
    shares: NDArray[np.float64]
    lengths: NDArray[np.float64]


def hidden(feature: Feature) -> bool:
    """Whether a thing lies below the ground, where no picture shows it."""
    tunnel = feature.tags.get("tunnel", "no")
    return tunnel not in ("no", "building_passage", "covered") or lies_underground(feature.tags)


def presence(features: Sequence[Feature], tile: Footprint) -> Presence:
    """Clip features to a tile and keep what has a meaningful presence.

    Args:
        features: those that meet the tile, unclipped, degrees.
    """
    features = [feature for feature in features if not hidden(feature)]
    bounds = tile.bounds
    lng, lat = tile.center
    scale_y = math.radians(1.0) * EARTH_RADIUS_M
    scale_x = scale_y * math.cos(math.radians(lat))
    side = tile.gsd_m(1)
    whole = np.array([feature.geometry for feature in features], dtype=object)
    if not len(whole):
        nothing = np.zeros(0)
        return Presence((), whole, side, nothing, nothing, nothing)
    parts = whole.copy()
    west, south, east, north = shapely.bounds(whole).T
    crossing = (west < bounds.west) | (east > bounds.east) | (south < bounds.south) | (north > bounds.north)
    parts[crossing] = shapely.clip_by_rect(whole[crossing], *bounds)
    area = shapely.area(whole) * scale_x * scale_y
    inside = shapely.area(parts) * scale_x * scale_y
    parts = shapely.transform(parts, lambda xy: (xy - (lng, lat)) * (scale_x, scale_y))
    dimension = shapely.get_dimensions(whole)
    length = np.where(dimension == 1, shapely.length(parts), 0.0)
    whole_length = np.where(dimension == 1, shapely.length(whole) * scale_y, 0.0)
    kept = _meaningful(dimension, inside, area, length, whole_length, side) & ~shapely.is_empty(parts)
    rows = np.flatnonzero(kept)
    return Presence(
        [features[i] for i in rows], parts[rows], side, area[rows], inside[rows] / side**2, length[rows] / side
    )


def _meaningful(
    dimension: NDArray[np.int32],
    inside: NDArray[np.float64],
    area: NDArray[np.float64],
    length: NDArray[np.float64],
    whole_length: NDArray[np.float64],
    side: float,
) -> NDArray[np.bool_]:
    area_kept = (inside >= MIN_SHARE * side**2) | (inside > MIN_INSIDE * area)
    line_kept = (length >= MIN_LENGTH * side) | (length > MIN_INSIDE * whole_length)
    kept: NDArray[np.bool_] = np.where(dimension == 2, area_kept, np.where(dimension == 1, line_kept, True))
    return kept


@dataclass(frozen=True, eq=False)
class Thing:
    """All of one concept in a tile.

    Attributes:
        concept: what it is; parts: its pieces in metres from the tile's centre; size_m: side of the tile.
        share: of the tile's area; length: in tile sides; count: how many.
    """

    concept: Concept
    parts: Geometries
    size_m: float
    share: float
    length: float
    count: int

    @cached_property
    def largest(self) -> shapely.Geometry:
        """Its biggest piece; the first of equals."""
        size = shapely.area(self.parts) + shapely.length(self.parts) * 1e-3
        piece: shapely.Geometry = self.parts[int(np.argmax(size))]
        return piece

    @cached_property
    def center(self) -> tuple[float, float]:
        """Centre of the box around it, (x, y) in tile sides from the tile's centre, each -0.5..0.5."""
        west, south, east, north = shapely.total_bounds(self.parts)
        return (west + east) / 2 / self.size_m, (south + north) / 2 / self.size_m

    @cached_property
    def spread(self) -> float:
        """Longer side of the box around it, in tile sides."""
        west, south, east, north = shapely.total_bounds(self.parts)
        return float(max(east - west, north - south) / self.size_m)

    @property
    def salience(self) -> float:
        """How much it deserves to be named."""
        filled = 1.2 * self.share + 0.25 * min(1.0, self.length) + 0.03 * min(self.count, 10)
        return self.concept.weight * (0.35 + min(1.0, filled))

    def distance_m(self, other: Thing) -> float:
        """Between its largest piece and the nearest of the other's."""
        return float(shapely.distance(self.largest, other.parts).min())

    def bearing_from(self, other: Thing) -> tuple[float, float]:
        """Metres east and north from the nearest point of the other to the middle of its largest piece."""
        middle = shapely.centroid(self.largest)
        nearest = other.parts[int(np.argmin(shapely.distance(middle, other.parts)))]
        line = shapely.get_coordinates(shapely.shortest_line(nearest, middle))
        return float(line[1, 0] - line[0, 0]), float(line[1, 1] - line[0, 1])

    def within(self, other: Thing) -> bool:
        """Whether the middle of its largest piece lies in an area of the other."""
        return bool(shapely.intersects(other.parts, shapely.point_on_surface(self.largest)).any())


@dataclass(frozen=True, slots=True)
class Scene:
    """Things of a tile, most salient first, and how much of it is built over.

    Attributes:
        built: share of the tile under buildings; buildings: how many.
    """

    things: tuple[Thing, ...]
    built: float
    buildings: int


def scene_of(found: Presence) -> Scene:
    """Group what is present by concept."""
    groups: dict[str, list[int]] = defaultdict(list)
    concepts: dict[str, Concept] = {}
    built, buildings = 0.0, 0
    for i, feature in enumerate(found.features):
        if feature.tags.get("building", "no") != "no" and found.shares[i] > 0:
            built, buildings = built + float(found.shares[i]), buildings + 1
        for concept in concepts_of(feature.tags, float(found.area_m2[i])):
            concepts[concept.name] = concept
            groups[concept.name].append(i)
    things = [_thing(concepts[name], np.array(rows), found) for name, rows in groups.items()]
    things.sort(key=lambda thing: (-thing.salience, thing.concept.rank))
    return Scene(tuple(things), built, buildings)


def _thing(concept: Concept, rows: NDArray[np.intp], found: Presence) -> Thing:
    parts = found.parts[rows]
    return Thing(
        concept,
        parts,
        found.size_m,
        float(found.shares[rows].sum()),
        float(found.lengths[rows].sum()),
        _count(concept, parts),
    )


def _count(concept: Concept, parts: Geometries) -> int:
    """How many things the pieces are; pieces that all but touch are one (a motorway's two sides)."""
    if concept.kind == "group" or not 1 < len(parts) <= _COUNTED:
        return len(parts)
    return len(shapely.get_parts(shapely.union_all(shapely.buffer(parts, _JOIN_M[concept.kind], quad_segs=1))))
