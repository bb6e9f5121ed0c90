"""Folds by blocks of ground: neighbours lie in one, so that no decoder is judged next door to what it learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from retrieval.ancestors import Cells, ancestors, resolution_of

_WISHED = (4, 2, 1)
"""Blocks a fold, the first number that some resolution gives: more make folds alike, larger ones keep neighbours."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which fold each block of ground is in.

    Attributes:
        resolution: of the H3 cells that are blocks. folds: how many. fold: by block.
    """

    resolution: int
    folds: int
    fold: dict[int, int]

    def of(self, cells: Cells) -> NDArray[np.int64]:
        """The fold (n,) of each of some finer cells; ground that no fold holds counts as the first's."""
        return np.array([self.fold.get(block, 0) for block in ancestors(cells, self.resolution).tolist()], np.int64)


def split_blocks(cells: Cells, folds: int, where: str) -> Blocks:
    """Deal blocks out to folds, the fullest first, each to the fold with the fewest cells so far.

    Args:
        cells: (n,) H3 cells of one resolution, one for each pair. where: names the index in the error.

    Raises UsageError when the ground has fewer blocks than folds.
    """
    for blocks_a_fold in _WISHED:
        for resolution in range(resolution_of(cells) + 1):
            blocks, counts = np.unique(ancestors(cells, resolution), return_counts=True)
            if len(blocks) >= blocks_a_fold * folds:
                return Blocks(resolution, folds, _dealt(blocks, counts, folds))
    raise UsageError(
        f"{where}: its maps and pictures share only {len(blocks)} blocks of ground, too few for {folds} folds; "
        "index a larger area, or take fewer with --folds"
    )


def _dealt(blocks: Cells, counts: NDArray[np.int64], folds: int) -> dict[int, int]:
    held, fold = np.zeros(folds, np.int64), {}
    for place in np.lexsort((blocks, -counts)).tolist():
        emptiest = int(held.argmin())
        fold[int(blocks[place])] = emptiest
        held[emptiest] += counts[place]
    return fold
