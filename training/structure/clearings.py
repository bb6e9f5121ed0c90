"""Maps on which nothing is drawn in one part: right where the ground there is bare, wrong where it is not.

A map that lacks something must not be told by the lack alone, or every map of open land would seem wrong. So each
cleared map is made twice: beside a picture of which that part is bare, and beside one of which it is not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoanchor.structure import CLASS_OF
from models.codes import CELLS
from training.patches import Box, patch
from training.structure.negatives import Classes, differs, jittered
from training.structure.variants import Variants

_WHOLE = 0.4
"""How often all of a map is cleared."""
_LEAST_SHARE = 0.1
_LEAST_CHANGE = 0.03
"""Share of the pixels that must be drawn in the part."""
_BARE, _BUILT = 0.97, 0.8
"""Share of a part that is open land or green: at least where it is bare, at most where it is not."""
_OPEN = (CLASS_OF["other"], CLASS_OF["green"])


class Clearing(NamedTuple):
    """A map (size, size) with a part cleared, the part in cells, and frames whose pictures are bare there and not."""

    drawn: Classes
    part: Box
    bare: int
    built: int


def openness(variants: Variants) -> NDArray[np.float64]:
    """(n, CELLS + 1, CELLS + 1): of each frame how much open land lies north and west of each corner, cells."""
    step = variants.classes.shape[1] // CELLS
    open_land = np.isin(variants.classes, _OPEN).reshape(len(variants), CELLS, step, CELLS, step).mean(axis=(2, 4))
    totals = np.zeros((len(variants), CELLS + 1, CELLS + 1))
    totals[:, 1:, 1:] = open_land.cumsum(axis=1).cumsum(axis=2)
    return totals


def clearing(row: int, variants: Variants, land: NDArray[np.float64], rng: np.random.Generator) -> Clearing | None:
    """Frame `row` with a part of its map cleared; None where nothing is drawn there, or no other place is bare there.

    Args:
        land: `openness` of the variants.
    """
    own = variants.classes[row]
    share = 1.0 if rng.random() < _WHOLE else float(rng.uniform(_LEAST_SHARE, 1))
    part, step = patch(rng, share, (CELLS, CELLS)), own.shape[0] // CELLS
    drawn = own.copy()
    drawn[part.top * step : part.bottom * step, part.left * step : part.right * step] = CLASS_OF["other"]
    if differs(drawn, own) < _LEAST_CHANGE:
        return None
    # Two groups are of one data set: whole pictures and windows.
    elsewhere = (variants.group // 2 == variants.group[row] // 2) & (variants.place != variants.place[row])
    area = (part.bottom - part.top) * (part.right - part.left)
    corners = land[:, [part.bottom, part.top]][:, :, [part.right, part.left]]
    open_land = (corners[:, 0, 0] - corners[:, 1, 0] - corners[:, 0, 1] + corners[:, 1, 1]) / area
    bare, built = np.flatnonzero(elsewhere & (open_land >= _BARE)), np.flatnonzero(elsewhere & (open_land < _BUILT))
    if not len(bare):
        return None
    # Half of the wrong ones show their own ground; the others are put together as the right ones are.
    other = int(rng.choice(built)) if len(built) and rng.random() < 0.5 else row
    return Clearing(jittered(drawn, rng), part, int(rng.choice(bare)), other)


def laid(codes: NDArray[np.uint8], row: int, part: Box, other: int) -> NDArray[np.uint8]:
    """A picture's codes (CELLS, CELLS), of n, with a part of another's in it."""
    picture: NDArray[np.uint8] = codes[row].copy()
    picture[part.top : part.bottom, part.left : part.right] = part.cut(codes[other])
    return picture
