"""The pictures that a recipe of structure learns from, and those that it keeps apart to be calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from training.structure.batches import Ground
from training.structure.pairs import read_real_pairs
from training.structure.recipe import Pairs
from training.structure.tiles import read_tiles


def learned_grounds(pairs: Pairs, tiles: Path) -> list[Ground]:
    """What is learned from: real pairs where they lie at hand, and drawn tiles."""
    aerial, classes = read_tiles(tiles, "train")
    real = pairs.share if pairs.path.exists() else 0.0
    grounds = [Ground(aerial, classes, 1 - real)]
    if real:
        own = read_real_pairs(pairs.path, "train")
        grounds.insert(0, Ground(own.aerial, own.classes, real))
    return grounds


def held_out_sets(pairs: Pairs, tiles: Path) -> list[tuple[Pixels, NDArray[np.uint8]]]:
    """Aerial pictures and class numbers that nothing was learned from, real ones first; those for validation stay
    untouched."""
    sets = [read_tiles(tiles, "val")]
    if pairs.share and pairs.path.exists():
        own = read_real_pairs(pairs.path, "calibration")
        sets.insert(0, (own.aerial, own.classes))
    return sets
