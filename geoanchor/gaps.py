"""Parts of a picture that tell nothing of the ground: no data, and the inside of clouds.

No data is flat black or white that reaches in from the edge, as beyond an orthophoto: many declare no such value, and
what a reader fills in for what is declared looks the same. On a map black and white are buildings and streets, so that
there they must be so all along an edge, and a reader fills in the colour of open land. A cloud is bright, grey and
smooth, and so is how it ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import PAPER, Pixels

NOTABLE = 0.01
"""Share of a picture below which a gap is none."""
_FAR = 4
"""How far a channel of a gap may lie from 0 or 255: compression alone makes 1 to 3."""
_BLOCK, _RUN, _MOST = 16, 16, 0.9
"""Lines of pixels at the inner end of a rim into which compression lets colours run, and how far most pixels of such a
line stay from its own."""
_STREET = 1 / 16
"""Share of a map that a street covers from edge to edge."""
_MORE, _AT_MOST = 1.25, 2.0
"""By what factor more of a map, or less, may have the colour that is filled in than lacks data; and how much more of it
where open land goes on."""
_ALONG = 1 / 8
"""Share of a picture's side that a gap must touch: a white roof at the edge seldom does."""
_BRIGHT, _GREY, _SMOOTH, _SOFT = 200, 24, 4.0, 20.0
"""A cloud's least channel, the most that two of its channels differ by, and its deviation within a window, inside and
where it ends: none of 548 pictures of a city has a place like it, fewer than one in a hundred of all kinds of scenes
(surf, a glacier)."""
_WINDOW = 1 / 16
_CLOUD = 0.05
"""Share of a picture below which such a place is no cloud."""

Gaps = NDArray[np.bool_]
Rims = tuple[tuple[int, int], tuple[int, int]]
"""Lines of pixels above and below, to the left and to the right."""


def gap_pixels(pixels: Pixels) -> Gaps:
    """(h, w) bool, which pixels of an (h, w, 3) uint8 picture hold no data, or cloud."""
    darkest, lightest = _channels(pixels)
    return _clouds(pixels, darkest, lightest) | _reaching_in(lightest <= _FAR) | _reaching_in(darkest >= 255 - _FAR)


def _channels(pixels: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The least and the greatest channel (h, w) of each pixel."""
    red, green, blue = np.moveaxis(pixels, 2, 0)  # over a last axis of three least and most take thirty times as long
    return np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)


def _reaching_in(flat: Gaps) -> Gaps:
    """Those of flat pixels (h, w) that reach in from an edge."""
    if flat.mean() < NOTABLE:
        return np.zeros_like(flat)
    from scipy import ndimage  # few pictures have a gap, and whoever imports the protocols imports this file

    parts, count = ndimage.label(flat)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    touched = np.max(
        [np.bincount(edge, minlength=count + 1) / len(edge) for edge in
         (parts[0], parts[-1], parts[:, 0], parts[:, -1])], axis=0,
    )  # fmt: skip
    wanted = (areas >= NOTABLE * flat.size) & (touched >= _ALONG)
    wanted[0] = False
    return np.asarray(wanted[parts])


def _clouds(pixels: Pixels, darkest: NDArray[np.uint8], lightest: NDArray[np.uint8]) -> Gaps:
    bright = (darkest >= _BRIGHT) & (lightest - darkest <= _GREY)
    if bright.mean() < _CLOUD:
        return np.zeros(bright.shape, bool)
    from scipy import ndimage

    grey, side = pixels.mean(axis=2, dtype=np.float32), max(3, round(_WINDOW * min(bright.shape)))
    variance = ndimage.uniform_filter(grey * grey, side) - ndimage.uniform_filter(grey, side) ** 2
    parts, count = ndimage.label(bright & (variance <= _SMOOTH**2))
    clouds = np.zeros(bright.shape, bool)
    for number in np.flatnonzero(np.bincount(parts.ravel(), minlength=count + 1)[1:] >= _CLOUD * bright.size) + 1:
        inside = parts == number
        rim = ndimage.binary_dilation(inside, iterations=side) & ~inside
        if not rim.any() or np.median(variance[rim]) <= _SOFT**2:
            clouds |= inside
    return clouds


def without_rim(pixels: Pixels) -> Pixels:
    """A map (h, w, 3) uint8 whose mirror image goes on where it has a rim without data; any other map as it is.

    The rim is flat black or white all along an edge, as hardly a street or a roof is, and would be read as just those;
    a mirror image is as likely as anything. A map of one colour has no rim.
    """
    rims = _rims(pixels)
    (top, bottom), (left, right) = rims
    shown = pixels[top : len(pixels) - bottom, left : pixels.shape[1] - right]
    return np.pad(shown, [*rims, (0, 0)], mode="symmetric") if np.any(rims) else pixels


def rim_share(pixels: Pixels) -> float:
    """Share of a map that is a rim without data, 0..1; see `without_rim`. A street at an edge is none."""
    share = float(_around(pixels, _rims(pixels)).mean()) if pixels.size else 0.0
    return share if share >= _STREET else 0.0


def _rims(pixels: Pixels) -> Rims:
    """Lines of pixels of a map (h, w, 3) that are black or white from each edge on."""
    darkest, lightest = _channels(pixels)
    return _lines(np.minimum(lightest, 255 - darkest))


def _lines(off: NDArray[np.integer]) -> Rims:
    """Lines of pixels that are blank from each edge on, by how far each pixel (h, w) lies off what is blank."""
    (top, bottom), (left, right) = ((_rim(lines), _rim(lines[::-1])) for lines in (off, off.T))
    # What is left of a tiny map may have run into its rim.
    left_over = top + bottom < off.shape[0] and left + right < off.shape[1]
    return ((top, bottom), (left, right)) if left_over else ((0, 0), (0, 0))


def _rim(off: NDArray[np.integer]) -> int:
    """How many lines (n, m) of pixels are blank from the first on."""
    blank = off.max(axis=1) <= _FAR
    if blank.all():
        return 0
    first = int(np.argmin(blank))
    run = (off[first : first + _BLOCK] <= _RUN).mean(axis=1) >= _MOST
    width = first + int(np.argmin(np.append(run, False)))
    return width if first and width >= NOTABLE * len(off) else 0


def gap_share(pixels: Pixels) -> float:
    """Share of a picture that holds no data, or cloud, 0..1."""
    return float(gap_pixels(pixels).mean()) if pixels.size else 0.0


def blank_pixels(pixels: Pixels, share: float) -> Gaps:
    """(h, w) bool, which pixels of a map are without data, where so large a share is known to be.

    That is a rim of black or white, or what reaches in from an edge in the colour that readers fill in. Where open land
    goes on from there, in the same colour, only what is blank all along an edge, unless most of that were land.
    """
    off = np.abs(pixels.astype(np.int16) - PAPER).max(axis=2)
    for blank in (_around(pixels, _rims(pixels)), _reaching_in(off <= _FAR)):
        if share / _MORE <= blank.mean() <= _MORE * share:
            return blank
    along = _around(pixels, _lines(off))
    return along if along.mean() <= _AT_MOST * share else np.zeros_like(along)


def _around(pixels: Pixels, rims: Rims) -> Gaps:
    """(h, w) bool, which pixels lie in those lines."""
    (top, bottom), (left, right) = rims
    around = np.ones(pixels.shape[:2], bool)
    around[top : len(pixels) - bottom, left : pixels.shape[1] - right] = False
    return around


def gap_cells(pixels: Pixels, cells: int) -> Gaps:
    """(cells, cells) bool, which cells of a picture tell nothing, be it in part; row 0 north."""
    return in_cells(gap_pixels(pixels), cells)


def in_cells(gaps: Gaps, cells: int) -> Gaps:
    """(cells, cells) bool, which cells of a picture are gaps by its pixels (h, w), be it in part; row 0 north."""
    step = -(-cells // min(gaps.shape))  # so that a cell of a tiny picture has a pixel
    gaps = gaps.repeat(step, axis=0).repeat(step, axis=1)
    rows, columns = (np.arange(cells) * side // cells for side in gaps.shape)
    # Beside a gap colours run into one another; what is half a gap tells nothing either.
    return np.logical_or.reduceat(np.logical_or.reduceat(gaps, rows, axis=0), columns, axis=1)
