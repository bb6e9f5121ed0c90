"""A vector feature: a geometry with OpenStreetMap tags, from a real extract or the procedural city alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from geoanchor.tiling import Bounds

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One mapped thing.

    Attributes:
        id: stable within its source, e.g. "way/1234" or "city/7/stadium/3".
        geometry: shapely geometry in degrees (EPSG:4326, lng lat).
        tags: OpenStreetMap keys and values.
    """

    id: str
    geometry: BaseGeometry
    tags: Mapping[str, str] = field(default_factory=dict)


class FeatureSource(Protocol):
    """Anything that knows the vector features of a place: an OSM extract, vector tiles, the procedural city."""

    @property
    def extent(self) -> Bounds:
        """Box in degrees that holds everything worth drawing."""

    def features(self, bounds: Bounds) -> Sequence[Feature]:
        """Features that intersect `bounds` (degrees), in a deterministic order, unclipped. Thread-safe."""
