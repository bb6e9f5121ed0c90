"""Mismatch over H3 cells, at a resolution that suits the area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import HeatCell
from geoanchor.tiling import cell_name

_MOST_CELLS = 400
"""Few enough to be drawn, and to be read."""
_PAIRS_A_CELL = 3
"""Fewer pairs on average, and cells would lie apart like the tiles themselves."""
_RESOLUTION_BITS = np.uint64(0xF << 52)
_FINEST = 15


def heat(cells: NDArray[np.uint64], mismatch: NDArray[np.float32]) -> tuple[HeatCell, ...]:
    """Mean and largest mismatch of each cell, hottest first.

    Args:
        cells: (n,) H3 cells of one resolution, 0 where a pair has none. mismatch: (n,), NaN where it is unknown.
    """
    known = (cells > 0) & ~np.isnan(mismatch)
    if not known.any():
        return ()
    parents, values = _coarse(cells[known]), mismatch[known].astype(np.float64)
    names, group = np.unique(parents, return_inverse=True)
    counts = np.bincount(group)
    means, highest = np.bincount(group, values) / counts, np.zeros(len(names))
    np.maximum.at(highest, group, values)
    order = np.lexsort((names, -highest, -means))
    return tuple(
        HeatCell(cell=cell_name(int(names[i])), mean=round(float(means[i]), 4), max=round(float(highest[i]), 4),
                 pairs=int(counts[i]))
        for i in order
    )  # fmt: skip


def _coarse(cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finest ancestors, or the cells themselves, of which there are few enough."""
    most = min(_MOST_CELLS, max(1, len(cells) // _PAIRS_A_CELL))
    for resolution in range(int(cells[0] >> np.uint64(52)) & 0xF, -1, -1):
        parents = ancestors(cells, resolution)
        if len(np.unique(parents)) <= most:
            break
    return parents


def ancestors(cells: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """The cells' ancestors at a coarser resolution: its number in bits 52 to 55, all finer digits seven."""
    unused = np.uint64((1 << 3 * (_FINEST - resolution)) - 1)
    return (cells & ~_RESOLUTION_BITS) | np.uint64(resolution << 52) | unused
