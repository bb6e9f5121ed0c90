"""What is known for certain of a town: which kinds of feature meet a tile and how far kinds lie from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import shapely

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Tile, tiles_in
from indexer.city.city import City

KINDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "stadium": (("leisure", "stadium"),), "river": (("water", "river"),), "lake": (("water", "lake"),),
    "school": (("amenity", "school"),), "park": (("leisure", "park"),), "railway": (("railway", "rail"),),
    "station": (("railway", "station"),), "house": (("building", "house"), ("building", "detached")),
    "terrace": (("building", "terrace"),),
    "tower": (("building", "apartments"),), "car park": (("amenity", "parking"),),
    "industry": (("landuse", "industrial"),), "port": (("landuse", "port"),),
    "forest": (("landuse", "forest"), ("natural", "wood")), "farmland": (("landuse", "farmland"),),
    "airport": (("aeroway", "aerodrome"),),
    "solar farm": (("plant:source", "solar"),),
    "tank": (("man_made", "storage_tank"),), "motorway": (("highway", "motorway"),),
    "roundabout": (("junction", "roundabout"),), "cemetery": (("landuse", "cemetery"),),
    "beach": (("natural", "beach"),),
    "church": (("building", "church"),), "tennis court": (("sport", "tennis"),), "baseball": (("sport", "baseball"),),
    "bridge": (("bridge", "yes"),), "hospital": (("amenity", "hospital"),),
}  # fmt: skip
"""Tags, any of which makes a feature one of the kind."""


def is_kind(feature: Feature, kind: str) -> bool:
    """Whether a feature is one of KINDS; raises UsageError for an unknown kind."""
    if kind not in KINDS:
        raise UsageError(f"no kind {kind!r} in the procedural city; kinds: {', '.join(KINDS)}")
    return any(feature.tags.get(key) == value for key, value in KINDS[kind])


class Truth:
    """Answers about the default extent of a town; distances are metres on the ground.

    Args:
        city: the town, at its date.
    """

    def __init__(self, city: City) -> None:
        self._city = city
        self._features = city.features(city.extent)
        self._metres = shapely.transform(
            np.array([f.geometry for f in self._features], object),
            lambda points: np.array([city.frame.to_metres(lng, lat) for lng, lat in points]).reshape(-1, 2),
        )

    def _select(self, kind: str) -> list[int]:
        return [n for n, feature in enumerate(self._features) if is_kind(feature, kind)]

    def tiles(self, kind: str, zoom: int = 17) -> set[Tile]:
        """Tiles of the town that meet a feature of a kind and whose centre lies in the extent."""
        return {tile for n in self._select(kind) for tile in self._tiles_of(n, zoom)}

    def tiles_by(self, kind: str, other: str, within_m: float = 300.0, zoom: int = 17) -> set[Tile]:
        """Tiles that meet a feature of a kind that lies at most `within_m` from a feature of the other kind."""
        others = shapely.union_all(self._metres[self._select(other)])
        near = [n for n in self._select(kind) if self._metres[n].distance(others) <= within_m]
        return {tile for n in near for tile in self._tiles_of(n, zoom)}

    def distances(self, kind: str, other: str) -> list[float]:
        """From each feature of a kind to the nearest of the other kind; infinite where there is none."""
        others = self._metres[self._select(other)]
        union = shapely.union_all(others)
        return [float(self._metres[n].distance(union)) if len(others) else float("inf") for n in self._select(kind)]

    def _tiles_of(self, n: int, zoom: int) -> set[Tile]:
        geometry, extent = self._features[n].geometry, self._city.extent
        west, south, east, north = geometry.bounds
        inside = type(extent)(
            max(west, extent.west), max(south, extent.south), min(east, extent.east), min(north, extent.north)
        )
        if inside.west > inside.east or inside.south > inside.north:
            return set()
        found = set()
        for tile in tiles_in(inside, zoom):
            lng, lat = tile.center
            held = extent.west <= lng <= extent.east and extent.south <= lat <= extent.north
            if held and shapely.intersects(shapely.box(*tile.bounds), geometry):
                found.add(tile)
        return found
