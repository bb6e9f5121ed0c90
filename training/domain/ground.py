"""A recipe's ground as pictures on disk: tiles of the procedural city in its own look, or a benchmark's files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from geoanchor.protocols import Segmenter
from geoanchor.settings import Settings
from geoanchor.tiling import tiles_in
from indexer.captions import tile_captions
from indexer.city.city import City
from training.data import draw_aerial, shrunk
from training.datasets import Captioned, Pictures, read_captions
from training.datasets.split import bucket
from training.domain.pictures import DomainPictures, Shown, write_part
from training.domain.recipe import DomainRecipe, GroundSpec
from training.places import ZOOM, Place
from training.recipe import Data
from training.runlog import Log

_CAPTIONS = 2
"""Paraphrases kept of a drawn tile."""
_DRAWN_PX = 256

Cutter = Callable[[Pixels], Pixels]
"""A picture to its segments (k, crop, crop, 3)."""


def open_ground(
    recipe: DomainRecipe, name: str, cache: Path, log: Log, settings: Settings | None = None
) -> DomainPictures:
    """The pictures of a ground, drawn or read into `cache` where they are not there yet.

    Raises UsageError where its files are absent.
    """
    spec, cut = recipe.grounds[name], cutter(recipe, settings)
    if spec.images is None:
        return DomainPictures([_city(recipe, spec, c, s, cut, cache, log) for c, s in _cities(spec)])
    if not is_there(spec):
        raise UsageError(f"{spec.images}: the pictures of ground {name!r} are not there")
    key = _key(recipe, str(spec.images), str(spec.captions), str(spec.limit))
    return DomainPictures([_kept(recipe, cache / f"files-{key}", lambda: _files(recipe, spec, cut), log)])


def is_there(spec: GroundSpec) -> bool:
    """Whether a ground can be drawn or read."""
    return spec.images is None or (spec.images.exists() and spec.captions is not None and spec.captions.exists())


def cutter(recipe: DomainRecipe, settings: Settings | None = None) -> Cutter:
    """What cuts segments out of a picture: its best parts, or none where the branch is off."""
    count, side = recipe.segments.count, crop_px(recipe)
    if not count:
        return lambda _: np.zeros((0, side, side, 3), np.uint8)
    from models.segments import masked_crop, select

    segmenter = _segmenter(recipe.segments.method, settings or Settings())

    def cut(pixels: Pixels) -> Pixels:
        # What is outside a segment gets the picture's own mean: a colour that says nothing.
        red, green, blue = (int(value) for value in pixels.mean(axis=(0, 1)))
        masks = select(segmenter.segment(pixels))[:count]
        crops = [masked_crop(pixels, mask, (red, green, blue)) for mask in masks]
        return np.stack([shrunk(crop, side) for crop in crops or [pixels]])

    return cut


def crop_px(recipe: DomainRecipe) -> int:
    """Side of a segment as kept."""
    return recipe.segments.size_px or recipe.cache_px


def _segmenter(method: str, settings: Settings) -> Segmenter:
    from models.segments import open_segmenter

    segmenter = open_segmenter(method, settings)
    if segmenter is None:
        raise UsageError(f"segments.method {method!r} needs polygons, which captioned pictures do not have")
    return segmenter


def _cities(spec: GroundSpec) -> list[tuple[str, int]]:
    return [(country, seed) for country, (first, last) in spec.cities.items() for seed in range(first, last + 1)]


def _city(recipe: DomainRecipe, spec: GroundSpec, country: str, seed: int, cut: Cutter, cache: Path, log: Log) -> Path:
    """The part of one town, whose tiles are all of one tenth."""
    first, last = spec.cities[country]
    tenth = (seed - first) * 10 // (last - first + 1)
    key = _key(recipe, country, str(seed), str(spec.tiles_per_city), str(tenth))
    draw = lambda: _drawn(recipe, country, seed, spec.tiles_per_city, tenth, cut)  # noqa: E731
    return _kept(recipe, cache / f"city-{country}-{seed}-{key}", draw, log)


def _key(recipe: DomainRecipe, *words: str) -> str:
    facts = [*words, str(recipe.cache_px), recipe.segments.method, str(recipe.segments.count), str(crop_px(recipe))]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def _kept(recipe: DomainRecipe, folder: Path, make: Callable[[], Iterator[Shown]], log: Log) -> Path:
    if not folder.is_dir():
        log(f"kept {write_part(folder, make(), recipe.segments.count, crop_px(recipe))} pictures in {folder.name}")
    return folder


def _drawn(recipe: DomainRecipe, country: str, seed: int, count: int, tenth: int, cut: Cutter) -> Iterator[Shown]:
    """Tiles of a town at random that have captions, in its own look and on other days of its own country."""
    city, rng = City(seed, country), np.random.default_rng(seed)
    place = Place(f"city-{seed}-{country}", "train", seed, count, country)
    data = Data(train_seeds=(seed, seed), val_seeds=(seed + 1, seed + 1), countries=(country,), tiles_per_city=count,
                tile_px=_DRAWN_PX, cache_px=_DRAWN_PX)  # fmt: skip
    tiles = list(tiles_in(city.extent, ZOOM))
    shown = 0
    for row in rng.permutation(len(tiles)):
        captions = tile_captions(city.features(tiles[row].bounds), tiles[row])[:_CAPTIONS]
        if captions and shown < count:
            shown += 1
            pixels = draw_aerial(city, tiles[row], place, data, rng)
            item = Captioned(image=f"{country}-{seed}-{tiles[row]}", captions=captions)
            yield Shown(item, shrunk(pixels, recipe.cache_px), cut(pixels), tenth)


def _files(recipe: DomainRecipe, spec: GroundSpec, cut: Cutter) -> Iterator[Shown]:
    assert spec.images is not None
    assert spec.captions is not None
    pictures = Pictures(spec.images)
    items = read_captions(spec.captions)
    for item in sorted(items, key=lambda item: bucket(item.image, 2**64))[: spec.limit]:
        pixels = pictures.read(item.image)
        yield Shown(item, shrunk(pixels, recipe.cache_px), cut(pixels), bucket(item.image, 10))
