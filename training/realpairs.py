"""Real pairs of pictures in the tile cache: a place of their own in each split, annotated from the map's colours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from models.palette import map_classes
from models.text import MINILM_DIM
from training.anchorcache import annotated, write_anchors
from training.anchors.raster import annotate_raster, square
from training.data import shrunk
from training.places import Split
from training.recipe import Pairs
from training.runlog import Log
from training.structure.pairs import Part, read_pictures

PLACE = "pairs"
"""Name of the place that they are in every split."""
_SETTINGS = "settings.json"
_PARTS: dict[Split, Part] = {"train": "train", "val": "calibration", "test": "validation"}


def cache_pairs(
    pairs: Pairs, cache_px: int, folder: Path, log: Log, splits: tuple[Split, ...] = ("train", "val")
) -> None:
    """Write the splits that the cache does not hold, or holds by other settings; nothing where the pairs are not there.

    "test" is for a judge who looks once; training asks for the other two.
    """
    if not pairs.path.exists():
        log(f"{pairs.path}: not there, so real pairs are left out")
        return
    for split in splits:
        shard = folder / split / PLACE
        if not _holds(shard, pairs):
            _write(pairs, _PARTS[split], cache_px, shard)
            log(f"cached the real pairs of {split}")


def _holds(shard: Path, pairs: Pairs) -> bool:
    kept = shard / _SETTINGS
    return kept.is_file() and kept.read_text("utf-8") == pairs.model_dump_json() and annotated(shard)


def _write(pairs: Pairs, part: Part, cache_px: int, shard: Path) -> None:
    names, aerial, maps = read_pictures(pairs.path, part)
    if pairs.limit:
        names, aerial, maps = names[: pairs.limit], aerial[: pairs.limit], maps[: pairs.limit]
    partial = shard.with_name(f"{shard.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    frame = square(pairs.metres, pairs.metres)
    write_anchors(
        partial,
        [annotate_raster(map_classes(picture), frame, name) for name, picture in zip(names, maps, strict=True)],
    )
    np.save(partial / "aerial.npy", np.stack([shrunk(picture, cache_px) for picture in aerial]))
    small = np.stack([shrunk(picture, cache_px) for picture in maps])
    np.save(partial / "map.npy", np.stack([small, small], axis=1))  # one style only
    np.save(partial / "sentences.npy", np.zeros((0, MINILM_DIM), np.float16))
    nothing: list[list[str]] = [[] for _ in names]
    words = {"tiles": names, "captions": nothing, "concepts": nothing, "texts": []}
    (partial / "words.json").write_text(json.dumps(words), "utf-8")
    (partial / _SETTINGS).write_text(pairs.model_dump_json(), "utf-8")
    shutil.rmtree(shard, ignore_errors=True)
    partial.rename(shard)
