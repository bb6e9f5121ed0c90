"""How a query's picture may lie in the frame of a row: it may show somewhat less ground than the rows do, or more."""

from __future__ import annotations

import numpy as np
from PIL import Image

from geoanchor.gaps import Gaps, gap_cells
from geoanchor.image import Layer, Pixels

SCALES = (1.0, 0.9, 0.8, 1 / 0.9, 1 / 0.8)
"""Sides of a picture's ground by those of a row's that are tried."""
_LARGEST_PX = 2048
"""Of either side of a picture that is framed."""


def bounded(pixels: Pixels, layer: Layer) -> Pixels:
    """A picture (h, w, 3) as it is, or a huge one smaller, since all of its frames are held at once; a map keeps its
    colours."""
    height, width = pixels.shape[:2]
    share = _LARGEST_PX / max(height, width)
    if share >= 1:
        return pixels
    how = Image.Resampling.NEAREST if layer == "map" else Image.Resampling.BOX
    return np.asarray(
        Image.fromarray(pixels).resize((max(1, round(share * width)), max(1, round(share * height))), how)
    )


def framed(pixels: Pixels, scale: float) -> Pixels:
    """What a row's picture would show of a picture (h, w, 3) in whose middle, or around whose middle, it lies.

    Of one that shows less than a row its mirror image goes on around it, as likely as anything.
    """
    sides = np.array(pixels.shape[:2])
    rims = np.rint(sides * abs(1 / scale - 1) / 2).astype(int)
    if scale < 1:
        return np.pad(pixels, [(rim, rim) for rim in rims] + [(0, 0)], mode="symmetric")
    (top, left), (bottom, right) = rims, sides - rims
    return pixels[top:bottom, left:right]


def hidden(pixels: Pixels, scale: float, layer: Layer, cells: int) -> Gaps:
    """Cells (cells, cells) of a row's frame of which a framed picture says nothing: beyond its own edge, and where an
    aerial picture holds no data."""
    return beyond(scale, cells) | gap_cells(pixels, cells) if layer == "aerial" else beyond(scale, cells)


def beyond(scale: float, cells: int) -> Gaps:
    """Cells (cells, cells) of a row's frame that lie beyond a picture whose ground is so much of it."""
    rim = int(np.ceil(cells * (1 - min(scale, 1.0)) / 2 - 1e-6))
    outside = np.ones((cells, cells), bool)
    outside[rim : cells - rim, rim : cells - rim] = False
    return outside
