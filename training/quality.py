"""The figures of a model card: recall on cities that no training run may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.protocols import Encoder
from geoanchor.tiling import tiles_in
from indexer.captions import tile_captions
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.city.looks import LOOKS
from indexer.render import render_map
from models.bundle import load_bundle, read_bundle
from retrieval import metrics
from training.encoding import encode_pictures, encode_texts, shared_space
from training.export import write_manifest
from training.places import ZOOM

_BATCH = 64
TEST_SEEDS = tuple(range(1, 21))
"""Cities kept for judging; recipes learn from seeds of 90000 and more."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnTiles:
    """Tiles of unseen cities as users index them: own look, standard map, zoom 17; captions as of `tile_captions`."""

    aerial: list[Pixels]
    map: list[Pixels]
    captions: list[tuple[str, ...]]


def draw_test_tiles(seeds: Sequence[int], countries: Sequence[str], per_city: int) -> DrawnTiles:
    """The same random tiles for the same arguments; the cities take the countries in turn."""
    drawn = DrawnTiles([], [], [])
    for seed in seeds:
        country = countries[seed % len(countries)]
        city = City(seed, country)
        tiles = list(tiles_in(city.extent, ZOOM))
        for i in np.random.default_rng(seed).choice(len(tiles), per_city, replace=False):
            drawn.aerial.append(render_aerial(city, tiles[i], 256, LOOKS[country], seed))
            drawn.map.append(render_map(city, tiles[i]))
            drawn.captions.append(tile_captions(city.features(tiles[i].bounds), tiles[i]))
    return drawn


def measure(encoder: Encoder, tiles: DrawnTiles) -> dict[str, dict[str, float]]:
    """Task -> {"R@1", "R@5", "R@10"} in percent, with the chance level of the same gallery as a task of its own.

    A text query is a tile's first caption, right where it is a caption; a picture query is right at its own tile.
    """
    space = shared_space(encoder, "aerial", "map")
    aerial = encode_pictures(encoder, tiles.aerial, "aerial", space, _BATCH)
    maps = encode_pictures(encoder, tiles.map, "map", space, _BATCH)
    texts = encode_texts(encoder, [own[0] for own in tiles.captions], space)
    own = [np.array([row]) for row in range(len(aerial))]
    carriers = _carriers(tiles.captions)
    found = {
        "text to aerial": metrics.hits_of_vectors(texts, aerial, carriers),
        "text to map": metrics.hits_of_vectors(texts, maps, carriers),
        "map to aerial": metrics.hits_of_vectors(maps, aerial, own),
        "aerial to map": metrics.hits_of_vectors(aerial, maps, own),
    }
    figures = {task: metrics.percent(hits) for task, hits in found.items()}
    return figures | {
        "chance, text": metrics.chance(carriers, len(aerial)),
        "chance, picture": metrics.chance(own, len(aerial)),
    }


def _carriers(captions: Sequence[tuple[str, ...]]) -> list[NDArray[np.int64]]:
    """For each tile's first caption the tiles that it is true of."""
    by_text: dict[str, list[int]] = {}
    for row, own in enumerate(captions):
        for text in dict.fromkeys(own):
            by_text.setdefault(text, []).append(row)
    return [np.array(by_text[own[0]]) for own in captions]


def judge(folder: Path, per_city: int = 50) -> dict[str, Any]:
    """Measure a bundle on the test cities and write the figures into its manifest and card; returns them."""
    manifest = read_bundle(folder)
    countries = manifest.recipe["data"]["countries"]
    tiles = draw_test_tiles(TEST_SEEDS, countries, per_city)
    quality = {
        "protocol": (
            f"SYNTHETIC: {len(tiles.aerial)} tiles of zoom {ZOOM}, {per_city} at random from each of the unseen city "
            f"seeds {TEST_SEEDS[0]} to {TEST_SEEDS[-1]} (countries {', '.join(countries)} in turn), in one gallery. "
            "Recall in percent, ties in expectation. A text query is a tile's first caption."
        ),
        "gallery": len(tiles.aerial),
        "recall": measure(load_bundle(folder), tiles),
    }
    write_manifest(folder, manifest.model_copy(update={"quality": quality}))
    return quality
