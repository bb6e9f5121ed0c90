"""A picture's shapes thinned to lines one pixel wide (Zhang & Suen 1984), and how broad they were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""(row, column) steps to the eight neighbours, clockwise from the north."""


def _removable(half: int) -> NDArray[np.bool_]:
    """(256,): for each pattern of neighbours whether the pixel goes in this half step."""
    patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1
    count = patterns.sum(axis=1)
    rises = ((patterns == 0) & (np.roll(patterns, -1, axis=1) == 1)).sum(axis=1)
    north, east, south, west = patterns[:, 0], patterns[:, 2], patterns[:, 4], patterns[:, 6]
    sides = north * east * south + east * south * west if half == 0 else north * east * west + north * south * west
    removable: NDArray[np.bool_] = (count >= 2) & (count <= 6) & (rises == 1) & (sides == 0)
    return removable


_HALVES = (_removable(0), _removable(1))


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w) shapes -> (h, w) their centre lines; what hangs together stays so."""
    picture = np.pad(mask, 1).astype(np.uint8)
    changed = True
    while changed:
        changed = False
        for removable in _HALVES:
            rows, columns = np.nonzero(picture)
            pattern = np.zeros(len(rows), np.uint8)
            for bit, (down, right) in enumerate(_AROUND):
                pattern |= picture[rows + down, columns + right] << bit
            gone = removable[pattern]
            picture[rows[gone], columns[gone]] = 0
            changed = changed or bool(gone.any())
    return picture[1:-1, 1:-1] > 0


def depths(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(h, w) shapes -> pixels to the nearest outside, by octagons: within a tenth of the true distance."""
    depth = np.zeros(mask.shape, np.int32)
    left = np.pad(mask, 1)
    while left.any():
        depth += left[1:-1, 1:-1]
        steps = _AROUND if depth.max() % 2 == 0 else _AROUND[::2]
        core = left[1:-1, 1:-1].copy()
        for down, right in steps:
            core &= left[1 + down : left.shape[0] - 1 + down, 1 + right : left.shape[1] - 1 + right]
        left[1:-1, 1:-1] = core
    return depth
