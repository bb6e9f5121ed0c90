"""The four tiles that share an edge with a tile: what a picture shows does not end at its border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from geoanchor.protocols import RowIds

_STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_SHARE = 0.2
"""Of its neighbours' scores that a tile is given: a stadium or a river lies on several tiles, noise does not."""


def tile_neighbours(
    z: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], rows: RowIds
) -> NDArray[np.int64]:
    """Rows of the neighbours (g, 4), -1 where there is none, looked for among `rows` (one layer).

    Args:
        z, x, y: tile addresses (g,) of all rows, NaN where a row has none; of several rows of one tile one is taken.
    """
    found = np.full((len(z), len(_STEPS)), -1, np.int64)
    rows = rows[~np.isnan(z[rows])]
    if not len(rows):
        return found
    zoom, column, line = (values[rows].astype(np.int64) for values in (z, x, y))
    side = np.int64(1) << zoom
    keys = tile_keys(zoom, column, line)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    for at, (right, down) in enumerate(_STEPS):
        there = (line + down >= 0) & (line + down < side)
        wanted = tile_keys(zoom, (column + right) % side, line + down)
        place = np.minimum(np.searchsorted(ordered, wanted), len(rows) - 1)
        there &= ordered[place] == wanted
        found[rows[there], at] = rows[order[place[there]]]
    return found


def spill(neighbours: NDArray[np.int64]) -> csr_array:
    """(g, g): times scores (g,) it adds to each a share of its neighbours', and brings the sum back to the spread that
    independent scores had.

    Args:
        neighbours: (g, 4) rows, -1 where there is none.
    """
    there = neighbours >= 0
    within = 1 / np.sqrt(1 + _SHARE**2 * there.sum(axis=1))
    rows = np.repeat(np.arange(len(neighbours)), there.sum(axis=1))
    shares = csr_array((_SHARE * within[rows], (rows, neighbours[there])), (len(within), len(within)))
    return csr_array(shares + diags_array(within))


def tile_keys(z: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each tile address, unique over all zooms to 30."""
    return ((np.int64(1) << (2 * z)) - 1) // 3 + (y << z) + x
