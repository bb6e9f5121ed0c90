"""H3 cells of coarser resolutions, of many cells at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.uint64]

_RESOLUTION_AT = 52
"""The first of the four bits that hold a cell's resolution."""
_RESOLUTION_BITS = np.uint64(0xF << _RESOLUTION_AT)
_FINEST = 15


def resolution_of(cells: Cells) -> int:
    """The resolution of cells (n,) that all have the same, one at least."""
    return int(cells[0] >> np.uint64(_RESOLUTION_AT)) & 0xF


def ancestors(cells: Cells, resolution: int) -> Cells:
    """The ancestors (n,) of cells at a coarser resolution: its number in their four bits, all finer digits seven."""
    unused = np.uint64((1 << 3 * (_FINEST - resolution)) - 1)
    return (cells & ~_RESOLUTION_BITS) | np.uint64(resolution << _RESOLUTION_AT) | unused


def few_ancestors(cells: Cells, most: int) -> Cells:
    """The finest ancestors (n,) of cells, or these themselves, of which at most so many differ; else the coarsest."""
    for resolution in range(resolution_of(cells), -1, -1):
        parents = ancestors(cells, resolution)
        if len(np.unique(parents)) <= most:
            break
    return parents
