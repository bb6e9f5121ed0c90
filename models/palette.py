"""Classes of structure from the colours of a map picture, where no vectors are at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.structure import CLASS_OF

PALETTES = Path(__file__).with_name("palettes.json")
"""Palette name -> class of structure -> colours "#rrggbb"; written by `scripts/palettes.py`."""
_BITS = 6
"""Of each channel that tell colours apart: a look-up table of 64 x 64 x 64."""
_SAMPLED = 4
"""Every fourth row and column tells which palette a picture is painted with."""
FOREIGN = 14.0
"""`foreignness` of what is no map in a palette that is known: recompressed maps keep below 9, most photographs are at
16 to 29; dark water is at 4."""


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """The colours of one map service or style.

    Attributes:
        name: of the palette; classes: (262144,) uint8, the class of the nearest colour; distance: how far that is, RGB.
    """

    name: str
    classes: NDArray[np.uint8]
    distance: NDArray[np.float32]


def map_classes(pixels: Pixels) -> NDArray[np.uint8]:
    """The class of structure in each pixel of a map picture, by the palette that suits it best.

    Args:
        pixels: (h, w, 3) uint8; JPEG will do.
    Returns:
        (h, w) uint8, numbers into `geoanchor.structure.CLASSES`.
    """
    return find_palette(pixels).classes[_keys(pixels)]


def find_palette(pixels: Pixels) -> Palette:
    """The palette whose colours lie nearest to those of a picture."""
    return min(palettes(), key=lambda palette: _distance(palette, pixels))


def foreignness(pixels: Pixels) -> float:
    """How far the colours of a picture (h, w, 3) uint8 lie from those of the nearest palette, mean over pixels, RGB."""
    return min(_distance(palette, pixels) for palette in palettes())


@cache
def palettes() -> tuple[Palette, ...]:
    """Every palette that ships."""
    known: dict[str, dict[str, list[str]]] = json.loads(PALETTES.read_text("utf-8"))
    return tuple(_palette(name, colors) for name, colors in known.items())


def _palette(name: str, colors: dict[str, list[str]]) -> Palette:
    flat = [(tuple(bytes.fromhex(color[1:])), CLASS_OF[kind]) for kind, own in colors.items() for color in own]
    rgb, classes = np.array([c for c, _ in flat], np.float32), np.array([k for _, k in flat], np.uint8)
    steps = (np.arange(1 << _BITS, dtype=np.float32) + 0.5) * (1 << (8 - _BITS)) - 0.5
    every = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = (every**2).sum(axis=1)[:, None] - 2 * every @ rgb.T + (rgb**2).sum(axis=1)
    nearest = squares.argmin(axis=1)
    return Palette(name, classes[nearest], np.sqrt(np.maximum(squares[np.arange(len(every)), nearest], 0)))


def _distance(palette: Palette, pixels: Pixels) -> float:
    return float(palette.distance[_keys(pixels[::_SAMPLED, ::_SAMPLED])].mean())


def _keys(pixels: Pixels) -> NDArray[np.int32]:
    """(h, w, 3) -> (h, w) rows of the look-up table."""
    high = (pixels >> (8 - _BITS)).astype(np.int32)
    return (high[..., 0] << 2 * _BITS) | (high[..., 1] << _BITS) | high[..., 2]
