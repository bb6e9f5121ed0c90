"""Perceptual hashes: 64 bits that survive another size, another compression, a turn or a mirror."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from geoanchor.image import Pixels

Hashes = NDArray[np.uint64]

MAX_BITS = 4
"""Hashes that differ in as many bits or fewer may be of one picture."""
_SIDE, _KEPT = 32, 8
_CHUNK = 10_000_000


def perceptual_hashes(pictures: Iterable[Pixels]) -> Hashes:
    """(n, 8) hashes of pictures of any size: as they are, then in the seven other ways that a square can be laid.

    A hash tells which of the 8 x 8 lowest frequencies of the 32 x 32 grey picture (DCT-II) lie above their median.
    Turns and mirrors only change signs and order of frequencies, so all eight come from one transform.
    """
    small = [Image.fromarray(p).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS) for p in pictures]
    if not small:
        return np.zeros((0, 8), np.uint64)
    waves = dctn(np.stack([np.asarray(own, np.float64) for own in small]), axes=(1, 2), norm="ortho")
    # Rounded, so that a picture of one colour gives the same hash whatever the last digits are.
    low = np.round(waves[:, :_KEPT, :_KEPT], 3) + 0.0
    odd = np.where(np.arange(_KEPT) % 2, -1.0, 1.0)
    laid = [
        way * rows[:, None] * columns
        for way in (low, low.transpose(0, 2, 1))
        for rows in (np.ones(_KEPT), odd)
        for columns in (np.ones(_KEPT), odd)
    ]
    return np.stack([_bits(own.reshape(len(own), -1)) for own in laid], axis=1)


def alike(first: Hashes, second: Hashes, bits: int = MAX_BITS) -> NDArray[np.int64]:
    """Pairs of pictures that may be one: (k, 3) row of the first, row of the second, bits that differ; sorted.

    Args:
        first: (n, 8), second: (m, 8) of `perceptual_hashes`; any way to lay the first is held against the second as
            it is, and the nearest counts.
    """
    step = max(1, _CHUNK // max(1, len(second)))
    found = [_near(first[start : start + step], second[:, 0], bits, start) for start in range(0, len(first), step)]
    return np.concatenate(found) if found else np.zeros((0, 3), np.int64)


def _near(first: Hashes, second: Hashes, bits: int, start: int) -> NDArray[np.int64]:
    nearest = np.full((len(first), len(second)), 65, np.uint8)
    for way in range(first.shape[1]):
        np.minimum(nearest, np.bitwise_count(first[:, way, None] ^ second), out=nearest)
    rows, columns = np.nonzero(nearest <= bits)
    return np.stack([rows + start, columns, nearest[rows, columns].astype(np.int64)], axis=1)


def _bits(low: NDArray[np.float64]) -> Hashes:
    """(n, 64) frequencies -> (n,): a bit for each that lies above the median."""
    above = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8")[:, 0].astype(np.uint64)
