"""How well a model finds tiles of each of the city's countries by words, on towns that no recipe learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder
from geoanchor.tiling import Tile, tiles_in
from indexer.captions import tile_captions
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.city.looks import LOOKS
from training.encoding import Progress, encode_pictures, encode_texts, shared_space, silent
from training.places import ZOOM
from training.recall import EncodedSet, recall_figures

COUNTRIES = ("A", "B", "C")
SEEDS = tuple(range(301, 311))
"""Towns judged by default; like all below 1000 they are no recipe's."""
_UNSEEN = range(1, 1000)
_CAPTIONS = 5


@dataclass(frozen=True, slots=True, eq=False)
class CountryTiles:
    """Aerial pictures (256, 256, 3) of tiles of a country's towns, and one to five captions of each."""

    country: str
    names: list[str]
    pictures: list[Pixels]
    captions: list[tuple[str, ...]]


def country_tiles(
    country: str, seeds: Sequence[int] = SEEDS, per_city: int = 20, progress: Progress = silent
) -> CountryTiles:
    """Tiles of zoom 17 at random from each town, the same for the same arguments.

    Raises UsageError for an unknown country or a seed that a recipe may have learned from (unseen ones are 1 to 999).
    """
    if country not in COUNTRIES:
        raise UsageError(f"no country {country!r}; there are: {', '.join(COUNTRIES)}")
    if seen := [seed for seed in seeds if seed not in _UNSEEN]:
        raise UsageError(f"town {seen[0]} may have been learned from; take seeds of 1 to {_UNSEEN[-1]}")
    drawn = CountryTiles(country, [], [], [])
    for city, tile in _chosen(country, seeds, per_city):
        drawn.names.append(f"{country}-{city.seed}-{tile}")
        drawn.pictures.append(render_aerial(city, tile, 256, LOOKS[country], city.seed))
        drawn.captions.append(tile_captions(city.features(tile.bounds), tile)[:_CAPTIONS])
        progress(len(drawn.names), len(seeds) * per_city)
    return drawn


def country_recall(encoder: Encoder, tiles: CountryTiles, batch_size: int = 64, seed: int = 0) -> dict[str, Any]:
    """`training.recall.recall_figures` of one country's tiles: text-to-image is text-to-aerial."""
    space = shared_space(encoder, "aerial", "text")
    texts = [text for own in tiles.captions for text in own]
    owner = np.repeat(np.arange(len(tiles.captions)), [len(own) for own in tiles.captions])
    images = encode_pictures(encoder, tiles.pictures, "aerial", space, batch_size)
    return recall_figures(EncodedSet(tiles.names, images, texts, encode_texts(encoder, texts, space), owner), seed)


def transfer_matrix(
    encoders: Mapping[str, Encoder], tiles: Sequence[CountryTiles], batch_size: int = 64
) -> dict[str, dict[str, dict[str, Any]]]:
    """Row (what a model learned from, or its name) -> country -> `country_recall`."""
    return {
        row: {own.country: country_recall(encoder, own, batch_size) for own in tiles}
        for row, encoder in encoders.items()
    }


def _chosen(country: str, seeds: Sequence[int], per_city: int) -> Iterator[tuple[City, Tile]]:
    for seed in seeds:
        city = City(seed, country)
        tiles = list(tiles_in(city.extent, ZOOM))
        rows = np.random.default_rng(seed).choice(len(tiles), min(per_city, len(tiles)), replace=False)
        yield from ((city, tiles[row]) for row in rows)
