"""Rasters that are wrong on purpose: rectangles of another picture pasted in, and windows moved.

A rectangle of foreign map has edges that the rest of the picture does not explain. So that an edge tells nothing,
`quartet` sets the same rectangle into all four pictures of a match and a mismatch. All functions take pictures
(h, w, 3) and pictures of class numbers (h, w) alike.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.errors import UsageError
from geoanchor.image import Pixels

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB or (h, w) numbers."""

WINDOW = 2 / 3
"""Side of a window of `moved_windows`, as a share of the picture's: two that lie half a window apart fit in."""


class Box(NamedTuple):
    """Rows top..bottom and columns left..right of a picture, ends excluded, pixels."""

    top: int
    left: int
    bottom: int
    right: int

    def cut(self, picture: Picture) -> Picture:
        """What the box holds of a picture."""
        return picture[self.top : self.bottom, self.left : self.right]

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(h, w) bool, true within."""
        inside = np.zeros(shape, np.bool_)
        inside[self.top : self.bottom, self.left : self.right] = True
        return inside


def patch(rng: np.random.Generator, share: float, shape: tuple[int, int]) -> Box:
    """A rectangle of `share` (above 0, up to 1) of a picture (h, w), anywhere, up to twice as long as wide.

    Raises UsageError for another share.
    """
    if not 0 < share <= 1:
        raise UsageError(f"a patch takes more than 0 and at most all of a picture, not {share}")
    # The longer side must still fit, and then the area is exact to the rounding of two sides.
    reach = min(2.0, 1 / share) ** 0.5
    aspect = float(np.exp(rng.uniform(-2, 2) * np.log(reach)))
    height, width = (round(side * (share * a) ** 0.5) for side, a in zip(shape, (aspect, 1 / aspect), strict=True))
    top, left = (int(rng.integers(side - part + 1)) for side, part in zip(shape, (height, width), strict=True))
    return Box(top, left, top + height, left + width)


def paste(picture: Picture, donor: Picture, box: Box, feather_px: int = 0) -> Picture:
    """A copy with the donor's content in the box.

    Args:
        picture, donor: of one shape and kind. feather_px: pixels inwards over which the donor fades in; 0 for class
            numbers, which do not mix.
    Raises:
        UsageError: pictures of different shapes, or a feather for class numbers.
    """
    if picture.shape != donor.shape or (feather_px and picture.ndim == 2):
        raise UsageError(f"cannot paste {donor.shape} into {picture.shape} with a feather of {feather_px} px")
    weight = _weight(box, feather_px)[..., None] if picture.ndim == 3 else _weight(box, 0)
    pasted = picture.copy()
    mixed = box.cut(picture) * (1 - weight) + box.cut(donor) * weight
    pasted[box.top : box.bottom, box.left : box.right] = np.round(mixed).astype(np.uint8)
    return pasted


def _weight(box: Box, feather_px: int) -> NDArray[np.float64]:
    """(h, w) of the box: the donor's say, full at `feather_px` pixels from the edge."""
    height, width = box.bottom - box.top, box.right - box.left
    rows, columns = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in (height, width))
    depth = np.minimum(rows[:, None], columns[None, :])
    return np.clip(depth / (feather_px + 1), 0.0, 1.0)


def quartet(
    first: tuple[Picture, Picture], second: tuple[Picture, Picture], third: tuple[Picture, Picture], box: Box
) -> tuple[tuple[Picture, Picture], tuple[Picture, Picture]]:
    """A match and a mismatch that differ in nothing but whether the content of the rectangle agrees.

    Of three places (aerial, map) the match is the first with a rectangle of the second on both sides; the mismatch has
    the second on the aerial side and the third on the map. Every picture has a seam, and at the same place,
    and each kind of composite is as frequent in both classes when the places are drawn at random.
    """
    aerial = paste(first[0], second[0], box)
    return (aerial, paste(first[1], second[1], box)), (aerial, paste(first[1], third[1], box))


def moved_windows(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Box, Box]:
    """Two windows of `WINDOW` of the side that lie half a window apart, left and right or above and below.

    A match shows both pictures through the first, a mismatch the map through the second: there is no seam to see.
    """
    height, width = (int(side * WINDOW) for side in shape)
    down = bool(rng.integers(2))
    step = (height // 2, 0) if down else (0, width // 2)
    room = shape[0] - height - step[0], shape[1] - width - step[1]
    top, left = (int(rng.integers(free + 1)) for free in room)
    near = Box(top, left, top + height, left + width)
    far = Box(top + step[0], left + step[1], top + step[0] + height, left + step[1] + width)
    return (near, far) if rng.integers(2) else (far, near)


def recompressed(pixels: Pixels, quality: int) -> Pixels:
    """The picture after it was a JPEG of that quality (1..95)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
