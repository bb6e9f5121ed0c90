"""The codes of structure: a cell's class shares or beliefs as one byte, an entry of a codebook."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Layer
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES, Grid

CELLS = 40
"""Side of the grid of codes; a tile is CELLS x CELLS bytes."""
CODES = 256
FLOOR = -6.0
"""Log-odds below this are as good as impossible; nats."""


class Codebooks:
    """What each code means, on either side.

    Args:
        arrays: "prior" (7,), the share of each class on maps; "map" (256, 7) class shares; "aerial" (256, 7) log-odds
            log p - log prior.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self.prior = arrays["prior"].astype(np.float32)
        self._books: dict[str, Vectors] = {
            "map": arrays["map"].astype(np.float32),
            "aerial": arrays["aerial"].astype(np.float32),
        }

    def arrays(self) -> dict[str, Vectors]:
        """What the books were made of."""
        return {"prior": self.prior, **self._books}

    def encode(self, grids: Vectors, layer: Layer) -> NDArray[np.uint8]:
        """The nearest entries of (n, CELLS, CELLS, 7) grids: shares of maps, log-odds of pictures -> (n, CELLS²)."""
        weight = code_weights(self.prior, layer)
        book = self._books[layer] * weight
        cells = grids.reshape(-1, len(CLASSES)) * weight
        codes = np.concatenate([_nearest(part, book) for part in np.array_split(cells, max(1, len(cells) // 16_384))])
        return codes.reshape(len(grids), CELLS**2)

    def decode(self, codes: NDArray[np.uint8], layer: Layer) -> Vectors:
        """(n, CELLS²) codes -> (n, CELLS, CELLS, 7) float32 class shares of maps, log-odds of pictures."""
        grids: Vectors = self._books[layer][codes].reshape(-1, CELLS, CELLS, len(CLASSES))
        return grids

    def beliefs(self, log_odds: Vectors) -> Vectors:
        """Class beliefs whose log-odds these are, each cell's sum 1."""
        odds = np.exp(log_odds) * self.prior
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True), np.float32)


def code_weights(prior: Vectors, layer: Layer) -> Vectors:
    """How much each class (7,) counts for which code is nearest: of pictures, as often as maps will ask for it."""
    return np.sqrt(prior) if layer == "aerial" else np.ones_like(prior)


def log_odds(log_beliefs: Grid, prior: Vectors) -> Vectors:
    """log p - log prior, not below `FLOOR`: how much a picture speaks for each class."""
    return np.maximum(log_beliefs - np.log(prior), FLOOR).astype(np.float32)


def _nearest(cells: Vectors, book: Vectors) -> NDArray[np.uint8]:
    return np.asarray(((book**2).sum(axis=1) - 2 * cells @ book.T).argmin(axis=1), np.uint8)
