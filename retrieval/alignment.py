"""Shifts of the first hits of the other layer, told anew from the pictures themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from geoanchor.count import rounded
from geoanchor.image import Layer, Pixels
from geoanchor.picture import kept_rgb
from geoanchor.protocols import Registrar
from geoanchor.query import Hit
from retrieval.framing import SCALES, framed, window
from retrieval.matching import Pictures

_ALIGNED = 10
"""Hits whose pictures are compared with the query's."""


def aligned(
    hits: Sequence[Hit], pixels: Pixels, layer: Layer, registrar: Registrar, pictures: Pictures
) -> tuple[Hit, ...]:
    """The hits, the shifts of the first few told anew, or left out where pictures tell none.

    Args:
        pixels: (h, w, 3) uint8 of the query's picture, of `layer`. pictures: ids -> stored pictures by id.
    """
    near = [hit for hit in hits if "offset" in hit.why][:_ALIGNED]
    stored = pictures([hit.id for hit in near]) if near else {}
    seen = {name: row for name, data in stored.items() if (row := kept_rgb(data, name)) is not None}
    near = [hit for hit in near if hit.id in seen]
    if not near:
        return tuple(hits)
    ours, theirs, lies = zip(*(_beside(hit, pixels, layer, seen[hit.id]) for hit in near), strict=True)
    maps, aerials = (ours, theirs) if layer == "map" else (theirs, ours)
    sides = np.array([[min(_scale(hit), 1.0)] for hit in near])
    offsets = np.array(lies) + sides * registrar.offsets(maps, aerials)
    anew = dict(zip((hit.id for hit in near), offsets.tolist(), strict=True))
    return tuple(_lying(hit, anew[hit.id]) if hit.id in anew else hit for hit in hits)


def told(offset: Sequence[float]) -> dict[str, Any]:
    """What `why` says of an offset; nothing of one that nothing tells."""
    return {} if math.isnan(offset[0]) else {"offset": [rounded(part, 4) for part in offset]}


def _beside(hit: Hit, pixels: Pixels, layer: Layer, row: Pixels) -> tuple[Pixels, Pixels, tuple[float, float]]:
    """The picture and that of a hit, both cut to the ground of the smaller, and how far off the map then is."""
    scale = _scale(hit)
    if scale >= 1:
        return framed(pixels, scale), row, (0.0, 0.0)
    # What a map shows in its middle, a map that lies too far east, lies further west in the picture.
    sign = -1 if layer == "map" else 1
    east, south = hit.why["offset"]
    part, (right, down) = window(row, scale, sign * east, sign * south)
    return pixels, part, (sign * right, sign * down)


def _scale(hit: Hit) -> float:
    """The very scale that `why` names to two digits."""
    return min(SCALES, key=lambda scale: abs(scale - hit.why.get("scale", 1.0)))


def _lying(hit: Hit, offset: Sequence[float]) -> Hit:
    why = {name: value for name, value in hit.why.items() if name != "offset"}
    return hit.model_copy(update={"why": why | told(offset)})
