"""Training pairs: tiles drawn once into a cache on disk, then read as arrays."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.errors import UsageError
from geoanchor.feature import FeatureSource
from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.tiling import Tile
from indexer.captions import tile_captions
from indexer.city.aerial import render_aerial
from indexer.city.looks import LOOKS, Look, Season
from indexer.concepts import CONCEPTS
from indexer.render import render_map
from indexer.scene import presence, scene_of
from models.text import SentenceEncoder
from training.places import Place, Split, choose_tiles, places_of
from training.recipe import Data
from training.runlog import Log

KEYWORDS = tuple(concept for concept in CONCEPTS.values() if concept.weight >= 2)
"""Concepts whose plain words are taught by themselves; footpaths and single trees are not worth a vector."""
_CAPTIONS = 4
"""Paraphrases kept of a tile; each costs a sentence vector."""
_SEASONS: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")
COMPASS = re.compile("north|south|east|west")
_COLUMN = {concept.name: column for column, concept in enumerate(KEYWORDS)}


def keyword_phrases() -> list[tuple[str, ...]]:
    """For each of `KEYWORDS` the ways to ask for it in a word or two."""
    phrases = []
    for concept in KEYWORDS:
        ways: dict[str, None] = {}
        for noun in concept.nouns:
            plain = (noun.singular,) if noun.mass else (noun.singular, noun.plural)
            ways |= dict.fromkeys((*plain, f"the {noun.singular}"))
        phrases.append(tuple(ways))
    return phrases


def cache_folder(run: Path, data: Data) -> Path:
    """Where a recipe's tiles are kept; another choice of data gets another folder."""
    drawn = data.model_dump(mode="json", exclude={"workers"})
    return run / f"tiles-{hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:8]}"


def draw_all(data: Data, folder: Path, log: Log) -> None:
    """Draw every place that the cache does not hold yet; a stopped run goes on where it was."""
    left = [place for place in places_of(data) if not _shard(folder, place).is_dir()]
    if data.workers == 1:
        for place in left:
            log(f"drew {draw_place(place, data, folder)} tiles of {place.name}")
        return
    with ProcessPoolExecutor(data.workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(draw_place, place, data, folder): place for place in left}
        for done, job in enumerate(as_completed(jobs), 1):
            log(f"drew {job.result()} tiles of {jobs[job].name} ({done} of {len(left)} places)")


def draw_place(place: Place, data: Data, folder: Path) -> int:
    """Draw one place and rename it into the cache when it is whole; how many tiles it has."""
    shard = _shard(folder, place)
    partial = shard.with_name(f"{shard.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    features = place.open()
    tiles = choose_tiles(features, place, data.zooms)
    rng = np.random.default_rng([place.number, 7])
    aerial = np.stack([draw_aerial(features, tile, place, data, rng) for tile in tiles])
    maps = np.stack([_maps(features, tile, data, rng) for tile in tiles])
    captions, concepts = zip(*(_words(features, tile) for tile in tiles), strict=True)
    texts = list(dict.fromkeys(text for own in captions for text in own))
    np.save(partial / "aerial.npy", aerial)
    np.save(partial / "map.npy", maps)
    np.save(partial / "sentences.npy", SentenceEncoder().encode(texts).astype(np.float16))
    facts = {"tiles": [str(tile) for tile in tiles], "captions": captions, "concepts": concepts, "texts": texts}
    (partial / "words.json").write_text(json.dumps(facts), "utf-8")
    partial.rename(shard)
    return len(tiles)


def _shard(folder: Path, place: Place) -> Path:
    return folder / place.split / place.name


def draw_aerial(features: FeatureSource, tile: Tile, place: Place, data: Data, rng: np.random.Generator) -> Pixels:
    """(cache_px, cache_px, 3): a tile from the air, with the place's own look or another day's."""
    look = _look(place.country or "generic", data.countries, rng)
    seed = place.number if place.country else int(rng.integers(1 << 31))
    return shrunk(render_aerial(features, tile, data.tile_px, look, seed), data.cache_px)


def _look(country: str, countries: Sequence[str], rng: np.random.Generator) -> Look:
    """The place's own look, or as often another day's, sometimes in the colours of another country of the recipe."""
    own = LOOKS[country]
    if rng.random() < 0.5:
        return own
    palette = LOOKS[str(rng.choice(countries))].palette if rng.random() < 0.3 else own.palette
    return replace(
        own,
        palette=palette,
        season=_SEASONS[int(rng.integers(len(_SEASONS)))],
        sun_azimuth=float(rng.uniform(90, 270)),
        sun_elevation=float(rng.uniform(25, 62)),
        noise=float(rng.uniform(1.5, 6)),
        blur=float(rng.uniform(0, 0.15)),
        haze=float(rng.uniform(0, 0.15)),
        shift_m=(float(rng.normal(0, 1.2)), float(rng.normal(0, 1.2))),
    )


def _maps(features: FeatureSource, tile: Tile, data: Data, rng: np.random.Generator) -> Pixels:
    """(2, size, size, 3): the standard style and another."""
    other = data.styles[int(rng.integers(len(data.styles)))] if data.styles else "standard"
    return np.stack([shrunk(render_map(features, tile, data.tile_px, s), data.cache_px) for s in ("standard", other)])


def shrunk(pixels: Pixels, size: int) -> Pixels:
    """(h, w, 3) -> (size, size, 3), as the cache keeps pictures."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def _words(features: FeatureSource, tile: Tile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Captions and concepts of a tile."""
    found = features.features(tile.bounds)
    things = scene_of(presence(found, tile)).things
    return tile_captions(found, tile)[:_CAPTIONS], tuple(thing.concept.name for thing in things)


class TilePairs:
    """The tiles of one split as arrays, places one after another; `places` names some of them.

    Attributes:
        place: (n,) which place a tile is of. captions: (n, c) rows of `sentences`, -1 where a tile has fewer.
        concepts: (n, len(KEYWORDS)) what is there. sentences: (t, 384) float32 unit vectors of every distinct caption.
        oriented: (t,) whether a caption speaks of a compass direction, and so is wrong of a turned picture.

    Raises UsageError when the cache holds no such split.
    """

    def __init__(self, folder: Path, split: Split, places: Sequence[str] | None = None) -> None:
        shards = sorted(path for path in (folder / split).glob("*") if path.suffix != ".part")
        shards = [shard for shard in shards if places is None or shard.name in places]
        if not shards:
            raise UsageError(f"{folder}: holds no tiles of split {split!r}")
        facts = [json.loads((shard / "words.json").read_text("utf-8")) for shard in shards]
        counts = [len(fact["tiles"]) for fact in facts]
        self.shards = shards
        self.names = [shard.name for shard in shards]
        self.place = np.repeat(np.arange(len(shards)), counts)
        self._starts = np.cumsum([0, *counts])
        self._aerial = [np.load(shard / "aerial.npy", mmap_mode="r") for shard in shards]
        self._map = [np.load(shard / "map.npy", mmap_mode="r") for shard in shards]
        self.texts, self.sentences, rows = _distinct(facts, shards)
        self.oriented = np.array([bool(COMPASS.search(text)) for text in self.texts], np.bool_)
        self.captions = _padded([[rows[text] for text in own] for fact in facts for own in fact["captions"]])
        self.concepts = np.zeros((len(self.place), len(KEYWORDS)), np.bool_)
        for row, names in enumerate(own for fact in facts for own in fact["concepts"]):
            self.concepts[row, [_COLUMN[name] for name in names if name in _COLUMN]] = True

    def __len__(self) -> int:
        return len(self.place)

    def aerial(self, rows: Sequence[int]) -> Pixels:
        """(n, size, size, 3)."""
        return np.stack([self._aerial[self.place[row]][row - self._starts[self.place[row]]] for row in rows])

    def map(self, rows: Sequence[int], styles: Sequence[int]) -> Pixels:
        """(n, size, size, 3); styles: 0 for the standard one, 1 for the other."""
        pairs = zip(rows, styles, strict=True)
        return np.stack([self._map[self.place[row]][row - self._starts[self.place[row]], s] for row, s in pairs])


def _distinct(
    facts: Sequence[dict[str, list[str]]], shards: Sequence[Path]
) -> tuple[list[str], Vectors, dict[str, int]]:
    """Distinct captions of all places, their vectors, and the row of each."""
    rows: dict[str, int] = {}
    vectors = []
    for fact, shard in zip(facts, shards, strict=True):
        new = [i for i, text in enumerate(fact["texts"]) if text not in rows]
        for i in new:
            rows[fact["texts"][i]] = len(rows)
        vectors.append(np.load(shard / "sentences.npy")[new].astype(np.float32))
    return list(rows), np.concatenate(vectors), rows


def _padded(lists: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Rows of different length as one array, filled up with -1."""
    padded = np.full((len(lists), max(1, *map(len, lists))), -1, np.int64)
    for row, own in enumerate(lists):
        padded[row, : len(own)] = own
    return padded
