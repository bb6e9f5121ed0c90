"""Held-out pictures seen in several frames: what a matcher is calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.structure import shares
from models.codes import CELLS
from models.decoding import Decoder, resized
from training.turns import turned

_TURNS = 3
WINDOW = 2 / 3
"""Side of the smaller frames, as a share of the picture's; two of them lie half their side apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """Frames of held-out places, n in all.

    Attributes:
        group: (n,) frames that could be mistaken for one another: same data set, same size.
        place: (n,) which picture a frame is of. partner: (n,) the frame moved by half its side, -1 for whole pictures.
        classes: n pictures (size, size) of class numbers. log_beliefs: (n, CELLS, CELLS, 7) float32.
    """

    group: NDArray[np.int64]
    place: NDArray[np.int64]
    partner: NDArray[np.int64]
    classes: NDArray[np.uint8]
    log_beliefs: Vectors

    def __len__(self) -> int:
        return len(self.place)

    def shares(self, rows: NDArray[np.int64]) -> Vectors:
        """Class shares (len(rows), CELLS, CELLS, 7) of the maps."""
        return np.stack([shares(self.classes[row], CELLS) for row in rows])


def make_variants(decoder: Decoder, sets: list[tuple[Pixels, NDArray[np.uint8]]], rng: np.random.Generator) -> Variants:
    """Each picture whole, three times turned and mirrored, and as two windows half a window apart.

    Args:
        sets: aerial (n, h, w, 3) and classes (n, h, w) of data sets that must not be mixed in swaps.
    """
    size = decoder.size_px
    group: list[int] = []
    place: list[int] = []
    partner: list[int] = []
    classes: list[NDArray[np.uint8]] = []
    pixels: list[Pixels] = []
    first = 0
    for number, (aerial, maps) in enumerate(sets):
        for row, (picture, drawn) in enumerate(zip(aerial, maps, strict=True)):
            for _ in range(_TURNS):
                seen, told = _turned(rng, picture, drawn)
                _add(group, place, partner, 2 * number, first + row, -1)
                pixels.append(resized(np.ascontiguousarray(seen), size))
                classes.append(resized_classes(told, size))
            seen, told = _turned(rng, picture, drawn)
            for box, other in zip(_windows(rng, seen.shape[0]), (1, -1), strict=True):
                _add(group, place, partner, 2 * number + 1, first + row, len(place) + other)
                pixels.append(resized(np.ascontiguousarray(seen[box]), size))
                classes.append(resized_classes(told[box], size))
        first += len(aerial)
    return Variants(np.array(group), np.array(place), np.array(partner), np.stack(classes), decoder.log_beliefs(pixels))


def _add(group: list[int], place: list[int], partner: list[int], *values: int) -> None:
    for column, value in zip((group, place, partner), values, strict=True):
        column.append(value)


def _turned(rng: np.random.Generator, *pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    return [turned(picture, turns + 4 * mirror) for picture in pictures]


def _windows(rng: np.random.Generator, side: int) -> list[tuple[slice, slice]]:
    """Two windows of a square picture, the second half a window to the east of the first."""
    width = int(side * WINDOW)
    top, left = int(rng.integers(side - width + 1)), int(rng.integers(side - width - width // 2 + 1))
    return [(slice(top, top + width), slice(at, at + width)) for at in (left, left + width // 2)]


def resized_classes(classes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture of class numbers as a square (side, side), every one of them one that was there."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(classes)).resize((side, side), Image.Resampling.NEAREST))
