"""What adapting learns from: whole blocks in even folds, not from void, nor from the cells that fit worst."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoanchor.structure import CLASS_OF, VOID
from geoanchor.tiling import tile_at
from retrieval.ancestors import ancestors
from training.adapt.blocks import split_blocks
from training.structure.batches import Batches, Ground
from training.structure.fit import dense_loss
from training.structure.recipe import StructureSchedule


def test_blocks_are_whole_and_folds_even() -> None:
    cells = np.array(
        [tile_at(9 + 0.002 * i, 48 + 0.002 * j, 17).cell(10) for i in range(12) for j in range(12)], np.uint64
    )
    blocks = split_blocks(cells, 4, "here")
    fold, parents = blocks.of(cells), ancestors(cells, blocks.resolution)
    assert len(blocks.fold) >= 16
    assert all(len(set(fold[parents == parent])) == 1 for parent in np.unique(parents))
    assert np.ptp(np.bincount(fold, minlength=4)) <= max(np.unique(parents, return_counts=True)[1])


def test_what_is_void_is_known_to_nobody() -> None:
    classes = np.zeros((1, 64, 64), np.uint8)
    schedule = StructureSchedule(steps=1, batch=2, crop_px=32)
    for value, known in ((VOID, 0.0), (CLASS_OF["rail"], 1.0)):
        ground = Ground(np.zeros((1, 64, 64, 3), np.uint8), classes + np.uint8(value), 1.0)
        shares = Batches([ground], schedule)(0).shares
        assert shares.sum(dim=1).max() == known
        assert shares[:, CLASS_OF["rail"]].max() == known


def test_trimming_leaves_out_the_worst_cells() -> None:
    shares = torch.zeros(1, 7, 4, 4)
    shares[:, 0] = 1
    logits = torch.zeros(1, 7, 4, 4)
    logits[:, 0] = 5.0
    logits[0, 1, 0, 0] = 50.0
    kept = dense_loss(logits[:, :, 1:], shares[:, :, 1:])
    assert dense_loss(logits, shares, 0.1) == pytest.approx(float(kept))
    assert dense_loss(logits, shares) > 2.5
