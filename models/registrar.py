"""How far maps lie off pictures, told from the pixels of both.

Codes are coarse enough to be kept by the hundred thousand; for the few pairs that matter the pixels themselves are
asked again, on a grid twice as fine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoanchor.change import MAX_OFFSET
from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.codes import CELLS
from models.registration import Shown, told_shifts

FINE_CELLS = 2 * CELLS
"""Side of the grid that is compared: what the decoder tells apart."""
_AT_ONCE = 64
Grids = Callable[[Sequence[Pixels]], Vectors]


class StructureRegistrar:
    """See `geoanchor.protocols.Registrar`.

    Args:
        maps, aerials: n pictures of either side -> (n, FINE_CELLS, FINE_CELLS, c) sharpened grids, to be compared.
    """

    def __init__(self, maps: Grids, aerials: Grids) -> None:
        self._maps, self._aerials = maps, aerials

    def offsets(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], max_offset: float = MAX_OFFSET) -> Vectors:
        """Offsets (n, 2) of n pairs, shares of the side; see `geoanchor.protocols.Registrar`."""
        count = max(len(maps), len(aerials))
        found = np.zeros((count, 2), np.float32)
        for start in range(0, count if max_offset else 0, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            ours, theirs = (pictures if len(pictures) == 1 else pictures[part] for pictures in (maps, aerials))
            found[part] = self._found(ours, theirs, max_offset)
        return found

    def likeness(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], shown: Shown) -> tuple[Vectors, Vectors]:
        """Likeness (m, a) and offsets (m, a, 2); see `geoanchor.protocols.Registrar`."""
        rows, columns = (axis.ravel() for axis in np.indices((len(maps), len(aerials))))
        offsets, likeness = told_shifts(self._maps(maps), self._aerials(aerials), rows, columns, MAX_OFFSET, shown)
        return likeness.reshape(len(maps), len(aerials)), offsets.reshape(len(maps), len(aerials), 2)

    def _found(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], max_offset: float) -> Vectors:
        sides = self._maps(maps), self._aerials(aerials)
        rows, columns = (np.arange(max(len(maps), len(aerials))) % len(side) for side in sides)
        return told_shifts(*sides, rows, columns, max_offset)[0]
