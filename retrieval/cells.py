"""Rows gathered by H3 cell: where there are any, and how well they suit a query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.tiling import cell_name
from retrieval.ancestors import ancestors, few_ancestors, resolution_of

MOST_CELLS = 2_000
"""Few enough to be sent and drawn at once."""


@dataclass(frozen=True, slots=True)
class CellRows:
    """The rows in one cell: how many, and their mean and best score (0 where nothing was asked)."""

    cell: str
    rows: int
    mean: float
    best: float


def by_cell(
    cells: NDArray[np.uint64], scores: NDArray[np.float64] | None = None, resolution: int | None = None
) -> tuple[CellRows, ...]:
    """Rows gathered by cell, best first, then by how many.

    Args:
        cells: (n,) H3 cells of one resolution, 0 for rows without position, which are left out.
        scores: (n,) or None. resolution: None takes the finest that gives few enough cells.

    Raises UsageError for a resolution finer than the rows' own.
    """
    placed = cells > 0
    if not placed.any():
        return ()
    values = np.zeros(int(placed.sum())) if scores is None else scores[placed]
    names, group = np.unique(_at(cells[placed], resolution), return_inverse=True)
    counts, best = np.bincount(group), np.full(len(names), -np.inf)
    np.maximum.at(best, group, values)
    means = np.bincount(group, values) / counts
    order = np.lexsort((names, -counts, -best))
    return tuple(CellRows(cell_name(int(names[i])), int(counts[i]), float(means[i]), float(best[i])) for i in order)


def _at(cells: NDArray[np.uint64], resolution: int | None) -> NDArray[np.uint64]:
    if resolution is None:
        return few_ancestors(cells, MOST_CELLS)
    if not 0 <= resolution <= (finest := resolution_of(cells)):
        raise UsageError(f"resolution {resolution} is not among 0 to {finest}, those of this index")
    return ancestors(cells, resolution)
