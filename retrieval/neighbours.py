"""The four tiles that share an edge with a tile: what a picture shows does not end at its border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import RowIds

_STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


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
    keys = _key(zoom, column, line)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    for at, (right, down) in enumerate(_STEPS):
        there = (line + down >= 0) & (line + down < side)
        wanted = _key(zoom, (column + right) % side, line + down)
        place = np.minimum(np.searchsorted(ordered, wanted), len(rows) - 1)
        there &= ordered[place] == wanted
        found[rows[there], at] = rows[order[place[there]]]
    return found


def blend(scores: NDArray[np.float64], neighbours: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Scores (g,) with `share` of each neighbour's added, brought back to the spread that independent ones had."""
    beyond = np.append(scores, 0.0)  # -1 is its last
    total, count = np.zeros(len(scores)), np.zeros(len(scores))
    for column in neighbours.T:
        total += beyond[column]
        count += column >= 0
    return np.asarray((scores + share * total) / np.sqrt(1 + share**2 * count))


def _key(z: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a tile address, unique over all zooms to 30."""
    return ((np.int64(1) << (2 * z)) - 1) // 3 + (y << z) + x
