"""Pixels that carry what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.tiling import Bounds, Tile

Layer = Literal["aerial", "map", "ground"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

Pixels = NDArray[np.uint8]
"""(h, w, 3) RGB."""
Rgb = tuple[int, int, int]
BLACK: Rgb = (0, 0, 0)
PAPER: Rgb = (242, 239, 233)
"""What a standard map shows where nothing is mapped."""


def filling(layer: Layer) -> Rgb:
    """What stands where a picture has no data; on a map black or white would be read as roads and buildings."""
    return PAPER if layer == "map" else BLACK


@dataclass(frozen=True, slots=True, eq=False)
class TileImage:
    """One picture and its facts; position is optional, so a plain folder of photos is a source like any other.

    Attributes:
        id: stable across runs and unique within an index, e.g. "aerial/ortho/19/386690/220241".
        pixels: uint8 (h, w, 3) RGB; (0, 0, 3) where the source brings only `vectors`.
        layer: "aerial", "map" or "ground".
        tile: grid address, or None.
        bounds: west, south, east, north in degrees, or None; taken from `tile` where that is given.
        point: (lng, lat) in degrees, or None; the centre of `bounds` where those are given.
        gsd_m: metres a pixel of the source, before any warp.
        crs: the source's own CRS, e.g. "EPSG:32614".
        acquired: when the picture was taken.
        source: URI of what it came from.
        attribution: text that must be shown with it.
        nodata: share of pixels without data, 0..1.
        tags: "key=value" strings of what vector data says is there, sorted.
        caption: one sentence, or "".
        encoded: the picture as JPEG/PNG/WebP bytes where it lay so in the source, to be kept without coding it again.
        vectors: ready-made embeddings by space name, each (d,) float32.
    """

    id: str
    pixels: Pixels
    layer: Layer
    tile: Tile | None = None
    bounds: Bounds | None = None
    point: tuple[float, float] | None = None
    gsd_m: float | None = None
    crs: str | None = None
    acquired: datetime | None = None
    source: str = ""
    attribution: str = ""
    nodata: float = 0.0
    tags: tuple[str, ...] = ()
    caption: str = ""
    encoded: bytes | None = None
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise UsageError(f"{self.id}: pixels must be uint8 (h, w, 3), not {self.pixels.dtype} {self.pixels.shape}")
        if self.layer not in LAYERS:
            raise UsageError(f"{self.id}: layer must be one of {', '.join(LAYERS)}, not {self.layer!r}")
        if self.bounds is None and self.tile is not None:
            object.__setattr__(self, "bounds", self.tile.bounds)
        if self.point is None and self.tile is not None:
            object.__setattr__(self, "point", self.tile.center)
        elif self.point is None and self.bounds is not None:
            object.__setattr__(self, "point", self.bounds.center)
