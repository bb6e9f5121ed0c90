"""Numbers that belong to a feature or to a point of the world, the same in every tile."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def chance(id: str, n: int = 0) -> float:
    """The n-th number in [0, 1) of a feature's id; splitmix64's finaliser over its CRC, which alone is too regular."""
    h = (zlib.crc32(id.encode()) * 0x9E3779B97F4A7C15 + (n + 1) * 0xD1B54A32D192ED03) & _MASK
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB & _MASK
    return (h ^ (h >> 31)) / 2**64


def field(x: NDArray[np.int64], y: NDArray[np.int64], key: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for whole-numbered places; splitmix64's finaliser over both coordinates."""
    h = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ y.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    h ^= np.uint64((key * 0x165667B19E3779F9) & 0xFFFFFFFFFFFFFFFF)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    numbers: NDArray[np.float64] = (h >> np.uint64(11)).astype(np.float64) / 2**53
    return numbers
