"""How far maps lie off pictures, told from the pixels of both.

Codes are coarse enough to be kept by the hundred thousand; for the few pairs that matter the pixels themselves are
asked again, on a grid twice as fine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.codes import CELLS, log_odds
from models.registration import MAP_FLOOR, PICTURE_FLOOR, Spectra, best_shift, reach_cells, sharpened

FINE_CELLS = 2 * CELLS
"""Side of the grid that is compared: what the decoder tells apart."""
_AT_ONCE = 64
Grids = Callable[[Sequence[Pixels], int], Vectors]


class StructureRegistrar:
    """See `geoanchor.protocols.Registrar`.

    Args:
        map_shares, log_beliefs: pictures of maps, aerial pictures, and a number of cells -> (n, cells, cells, 7).
        prior: (7,) share of each class on maps.
    """

    def __init__(self, map_shares: Grids, log_beliefs: Grids, prior: Vectors) -> None:
        self._map_shares, self._log_beliefs, self._prior = map_shares, log_beliefs, prior

    def offsets(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], max_offset: float = 0.1) -> Vectors:
        """Offsets (n, 2) of n pairs, shares of the side; see `geoanchor.protocols.Registrar`."""
        count = max(len(maps), len(aerials))
        found = np.zeros((count, 2), np.float32)
        for start in range(0, count if max_offset else 0, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            ours, theirs = (pictures if len(pictures) == 1 else pictures[part] for pictures in (maps, aerials))
            found[part] = self._found(ours, theirs, max_offset)
        return found

    def _found(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], max_offset: float) -> Vectors:
        grids = self._map_shares(maps, FINE_CELLS)
        odds = log_odds(self._log_beliefs(aerials, FINE_CELLS), self._prior)
        reach = reach_cells(max_offset, FINE_CELLS)
        spectra = Spectra(sharpened(grids, MAP_FLOOR), sharpened(odds, PICTURE_FLOOR), reach)
        rows, columns = (np.arange(max(len(grids), len(odds))) % len(side) for side in (grids, odds))
        whole, _ = best_shift(spectra.likeness(rows, columns))
        return np.asarray(spectra.refined(rows, columns, whole) / FINE_CELLS, np.float32)
