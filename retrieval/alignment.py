"""A query's picture laid on rows of the other layer, told from the pictures themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geoanchor.count import rounded
from geoanchor.image import Layer, Pixels
from geoanchor.protocols import Registrar
from retrieval.framing import framed

_SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 1 / 0.95, 1 / 0.9, 1 / 0.85, 1 / 0.8)
"""Sides of a picture's ground by those of a row's that are told apart: half as far from one another as those that rank,
since a window that is taken for a twentieth larger than it is seems to lie elsewhere."""
_RESCALED = 0.01
"""Of likeness, that another scale must gain: most pictures show as much ground as the rows do."""


class Alignment(NamedTuple):
    """How a picture lies on a row: likeness of both where it lies best, some .05 to .4; offset of the map in shares of
    the row's side, NaN where nothing tells; scale, the side of its ground by the row's."""

    likeness: float
    offset: tuple[float, float]
    scale: float


def align(pixels: Pixels, layer: Layer, rows: Sequence[Pixels], registrar: Registrar) -> list[Alignment]:
    """How a picture (h, w, 3) uint8 of a layer lies on each of some rows' pictures of the other."""
    if not rows:
        return []
    frames, scales = [framed(pixels, scale) for scale in _SCALES], np.array(_SCALES)
    shown, whole = np.minimum(scales, 1.0), np.ones(len(rows))
    if layer == "map":
        likeness, offsets = registrar.likeness(frames, rows, (shown, whole))
    else:
        likeness, offsets = registrar.likeness(rows, frames, (whole, shown))
        likeness, offsets = likeness.T, offsets.swapaxes(0, 1)
    # What little of a picture is left stands for the whole, and the less is left the likelier it does by chance.
    likeness = likeness * np.sqrt(shown)[:, None] - np.where(scales == 1, 0.0, _RESCALED)[:, None]
    found = zip(likeness.argmax(axis=0).tolist(), range(len(rows)), strict=True)
    return [Alignment(float(likeness[at]), tuple(offsets[at].tolist()), _SCALES[at[0]]) for at in found]


def told(offset: Sequence[float], scale: float = 1.0) -> dict[str, Any]:
    """What `why` says of an offset and a scale; nothing of what nothing tells, nor of a scale that is the rows' own."""
    offsets = {} if math.isnan(offset[0]) else {"offset": [rounded(part, 4) for part in offset]}
    return offsets | ({} if scale == 1 else {"scale": round(scale, 2)})
