"""Mismatch over H3 cells, at a resolution that suits the area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import HeatCell
from geoanchor.tiling import cell_name
from retrieval.ancestors import few_ancestors

_MOST_CELLS = 400
"""Few enough to be drawn, and to be read."""
_PAIRS_A_CELL = 3
"""Fewer pairs on average, and cells would lie apart like the tiles themselves."""


def heat(cells: NDArray[np.uint64], mismatch: NDArray[np.float32]) -> tuple[HeatCell, ...]:
    """Mean and largest mismatch of each cell, hottest first.

    Args:
        cells: (n,) H3 cells of one resolution, 0 where a pair has none. mismatch: (n,), NaN where it is unknown.
    """
    known = (cells > 0) & ~np.isnan(mismatch)
    if not known.any():
        return ()
    most = min(_MOST_CELLS, max(1, int(known.sum()) // _PAIRS_A_CELL))
    parents, values = few_ancestors(cells[known], most), mismatch[known].astype(np.float64)
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
