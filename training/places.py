"""Where training tiles come from: cities and real extracts, each wholly in one split, and which of their tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import shapely

from geoanchor.feature import FeatureSource
from geoanchor.tiling import Tile, tile_at, tiles_in
from indexer.city.city import City
from indexer.concepts import concepts_of
from indexer.featurestore import FeatureStore
from indexer.sources.osm import read_features
from training.recipe import Data

Split = Literal["train", "val", "test"]

ZOOM = 17
"""Zoom at which tiles are chosen; deeper and shallower ones are children and parents of those."""
_LANDMARK_WEIGHT = 6.0
_LANDMARK_KINDS = ("landmark", "water", "extra")
_LANDMARKS_EACH = 8
"""Tiles a landmark concept may claim in one place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A town to draw tiles of: a city by seed and country, or an extract by file.

    Attributes:
        name: folder name, unique in a split; number: seeds everything random about the place.
    """

    name: str
    split: Split
    number: int
    tiles: int
    country: str = ""
    file: Path | None = None

    def open(self) -> FeatureSource:
        """Its vector features."""
        return FeatureStore(read_features(self.file)) if self.file else City(self.number, self.country)


def places_of(data: Data) -> list[Place]:
    """Every place of a recipe; extracts that are not there are left out."""
    found = []
    splits: tuple[tuple[Split, tuple[int, int], tuple[str, ...]], ...] = (
        ("train", data.train_seeds, data.osm_train),
        ("val", data.val_seeds, data.osm_val),
    )
    for split, (first, last), extracts in splits:
        for seed in range(first, last + 1):
            country = data.countries[seed % len(data.countries)]
            found.append(Place(f"city-{seed}-{country}", split, seed, data.tiles_per_city, country))
        for number, name in enumerate(extracts):
            if (data.osm_folder / name).is_file():
                stem = name.partition(".")[0]
                found.append(Place(f"osm-{stem}", split, number, data.tiles_per_extract, file=data.osm_folder / name))
    return found


def choose_tiles(features: FeatureSource, place: Place, zooms: dict[int, float]) -> list[Tile]:
    """Tiles of a place: those that hold landmarks first, chance for the rest, spread over the zooms."""
    rng = np.random.default_rng([place.number, len(place.name)])
    chosen = dict.fromkeys(_landmark_tiles(features, rng))
    for tile in _any_tiles(features, rng):
        if len(chosen) >= place.tiles:
            break
        chosen[tile] = None
    levels = rng.choice(list(zooms), size=len(chosen), p=np.array(list(zooms.values())) / sum(zooms.values()))
    moved = dict.fromkeys(_at_zoom(tile, int(z), rng) for tile, z in zip(chosen, levels, strict=True))
    return list(moved)[: place.tiles]


def _landmark_tiles(features: FeatureSource, rng: np.random.Generator) -> Iterator[Tile]:
    by_concept: dict[str, list[Tile]] = {}
    for feature in features.features(features.extent):
        for concept in concepts_of(feature.tags):
            if concept.kind in _LANDMARK_KINDS and concept.weight >= _LANDMARK_WEIGHT:
                point = shapely.point_on_surface(feature.geometry)
                by_concept.setdefault(concept.name, []).append(tile_at(point.x, point.y, ZOOM))
    for tiles in by_concept.values():
        unique = list(dict.fromkeys(tiles))
        yield from (unique[i] for i in rng.permutation(len(unique))[:_LANDMARKS_EACH])


def _any_tiles(features: FeatureSource, rng: np.random.Generator) -> Iterator[Tile]:
    """Tiles in random order: of a city any within its extent, of an extract those that hold features."""
    if isinstance(features, City):
        tiles: Sequence[Tile] = list(tiles_in(features.extent, ZOOM))
    else:
        points = [shapely.point_on_surface(f.geometry) for f in features.features(features.extent)]
        tiles = list(dict.fromkeys(tile_at(point.x, point.y, ZOOM) for point in points))
    yield from (tiles[i] for i in rng.permutation(len(tiles)))


def _at_zoom(tile: Tile, z: int, rng: np.random.Generator) -> Tile:
    while tile.z < z:
        tile = tile.children()[int(rng.integers(4))]
    return tile.parent(z)
