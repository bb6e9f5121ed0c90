"""Coarse vectors of structure: few numbers that tell which maps and pictures are worth comparing cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from geoanchor.protocols import Vectors
from models.codes import CELLS
from models.registration import moved

COARSE = "structure"
"""Name of the space of coarse vectors."""
COARSE_CELLS = 20
"""Side of the grid that coarse vectors are made of."""


def coarse_cells(grids: Vectors) -> Vectors:
    """(n, CELLS, CELLS, 7) -> (n, COARSE_CELLS² * 7) means of neighbouring cells."""
    n, step = len(grids), CELLS // COARSE_CELLS
    blocks = grids.reshape(n, COARSE_CELLS, step, COARSE_CELLS, step, -1)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1))


class Projections:
    """Brings sharpened grids of either layer into the coarse space.

    Args:
        matrices: "map" and "aerial" (f, d) float32, as `training.structure.coarse.learn_projections` learns them.
    """

    def __init__(self, matrices: Mapping[str, Vectors]) -> None:
        self._matrices = matrices

    def vectors(self, grids: Vectors, layer: str) -> Vectors:
        """(n, CELLS, CELLS, 7) -> (n, d)."""
        return np.asarray(coarse_cells(grids) @ self._matrices[layer])

    def probes(self, grid: Vectors, layer: str, max_offset: float) -> Vectors:
        """What one grid (1, CELLS, CELLS, 7) would be, lay it off by any whole number of coarse cells; (s, d).

        A vector keeps the place of everything, and so knows next to nothing of a map that lies two cells off.
        """
        cells = coarse_cells(grid).reshape(1, COARSE_CELLS, COARSE_CELLS, -1)
        reach = round(max_offset * COARSE_CELLS)
        shifts = np.array(list(product(range(-reach, reach + 1), repeat=2)), np.int64)
        there, _ = moved(np.broadcast_to(cells, (len(shifts), *cells.shape[1:])), shifts)
        return np.asarray(there.reshape(len(shifts), -1) @ self._matrices[layer], np.float32)
