"""Structure: what stands or runs where, the part of the ground that a map and an aerial picture both tell.

A picture's structure is a grid of cells; a map gives the share of each class in a cell, an aerial picture the belief in
each (U-CSA's anchors made dense).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = ("other", "green", "water", "building", "minor_road", "major_road", "rail")
"""Classes of structure; their order is that of every array's class axis."""
CLASS_OF = {name: number for number, name in enumerate(CLASSES)}
VOID = 255
"""In pictures of class numbers: not known."""

_QUIET_NATS = 0.08
"""Variety below which a map says too little to be contradicted: 1.5 % of buildings in a plain."""

Grid = NDArray[np.float32]
"""(rows, columns, len(CLASSES)): shares or beliefs, each cell's sum 1; row 0 is north."""


def shares(classes: NDArray[np.uint8], cells: int) -> Grid:
    """Class shares of a picture of class numbers.

    Args:
        classes: (h, w) numbers into `CLASSES` or `VOID`; h and w at least `cells`.
        cells: side of the grid.
    Returns:
        (cells, cells, 7) float32; a cell that is all void is all zero.
    """
    height, width = classes.shape
    rows, columns = (np.linspace(0, side, cells + 1).round().astype(int)[:-1] for side in (height, width))
    counts = np.stack(
        [np.add.reduceat(np.add.reduceat(classes == c, rows, axis=0, dtype=np.int32), columns, axis=1)
         for c in range(len(CLASSES))], axis=-1,
    ).astype(np.float32)  # fmt: skip
    total: Grid = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return counts / total


def informative(grids: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of n maps says enough: the entropy of its classes, which is nothing for all water or all meadow.

    Args:
        grids: (n, cells, cells, 7) class shares.
    """
    # One axis after the other is ten times quicker than both at once.
    mean = np.maximum(grids.mean(axis=1).mean(axis=1), 1e-9)
    return np.asarray(-(mean * np.log(mean)).sum(axis=-1) >= _QUIET_NATS)
