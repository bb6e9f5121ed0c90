"""A part of a picture: where it is, how sure its outline is, and its vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels

OUTLINE_UNITS = 65535
"""An outline's coordinates count from 0 to this over the width and over the height of the picture."""

Outline = NDArray[np.uint16]
"""(p, 2) corners x, y of a ring, not closed, in `OUTLINE_UNITS`; (0, 2) stands for the whole picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A part of a picture before it is chosen.

    Attributes:
        pixels: (h, w) bool, over the whole picture, in a resolution of its own.
        stability: 0..1, how sure its outline is.
    """

    pixels: NDArray[np.bool_]
    stability: float

    @property
    def area(self) -> float:
        """Share of the picture, 0..1."""
        return float(self.pixels.mean()) if self.pixels.size else 0.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom as shares of width and height. Raises ValueError where the mask is empty."""
        rows, columns = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        if not len(rows):
            raise ValueError("an empty mask has no box")
        height, width = self.pixels.shape
        return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height

    @property
    def score(self) -> float:
        """Area times stability: what comes first when few are chosen."""
        return self.area * self.stability


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A chosen part, cut out and ready to be encoded.

    Attributes:
        outline: of the part. area: share of the picture. score: area times stability.
        crop: (h, w, 3) the part's surroundings, all that is not the part painted over.
    """

    outline: Outline
    area: float
    score: float
    crop: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of a picture as an index keeps it.

    Attributes:
        outline, area, score: as in `Cut`; the whole picture where no part was worth keeping.
        weight: share in the mean of the picture's segments; they sum to 1.
        vector: (d,) float32 of unit length, in the space that holds the picture's own.
    """

    outline: Outline
    area: float
    score: float
    weight: float
    vector: NDArray[np.float32]
