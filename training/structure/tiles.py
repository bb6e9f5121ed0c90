"""Drawn tiles to see structure in: an aerial picture and the class of every pixel, kept on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from indexer.render import render_structure
from training.data import draw_aerial
from training.places import Place, Split, choose_tiles, places_of
from training.recipe import Data
from training.runlog import Log


def cache_folder(run: Path, data: Data) -> Path:
    """Where a recipe's tiles are kept; another choice of data gets another folder."""
    drawn = data.model_dump(mode="json", exclude={"workers"})
    return run / f"structure-{hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:8]}"


def draw_structure(data: Data, folder: Path, log: Log, splits: Sequence[Split] = ("train", "val")) -> None:
    """Draw every place of some splits that the cache does not hold yet; a stopped run goes on where it was."""
    for place in places_of(data):
        if place.split in splits and not (folder / place.split / place.name).is_dir():
            log(f"drew {_draw_place(place, data, folder / place.split / place.name)} tiles of {place.name}")


def _draw_place(place: Place, data: Data, shard: Path) -> int:
    partial = shard.with_name(f"{shard.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    features, rng = place.open(), np.random.default_rng([place.number, 77])
    tiles = choose_tiles(features, place, data.zooms)
    np.save(partial / "aerial.npy", np.stack([draw_aerial(features, tile, place, data, rng) for tile in tiles]))
    np.save(partial / "classes.npy", np.stack([render_structure(features, tile, data.cache_px) for tile in tiles]))
    (partial / "tiles.json").write_text(json.dumps([str(tile) for tile in tiles]), "utf-8")
    partial.rename(shard)
    return len(tiles)


def read_tiles(folder: Path, split: Split) -> tuple[Pixels, NDArray[np.uint8]]:
    """Aerial pictures (n, h, w, 3) and class numbers (n, h, w) of every place of a split.

    Raises UsageError when the cache holds none.
    """
    shards = sorted(path for path in (folder / split).glob("*") if path.suffix != ".part")
    if not shards:
        raise UsageError(f"{folder}: holds no tiles of split {split!r}")
    aerial, classes = ([np.load(shard / f"{name}.npy") for shard in shards] for name in ("aerial", "classes"))
    return np.concatenate(aerial), np.concatenate(classes)
