"""Pictures that already lie on the web-mercator grid: what a store of tiles offers, and the source made of one."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from geoanchor.errors import UsageError
from geoanchor.image import Layer, TileImage, filling
from geoanchor.picture import decode
from geoanchor.protocols import TileRef
from geoanchor.tiling import TILE_SIZE_PX, Bounds, Tile
from indexer.sources.registry import SourceOptions

MAX_TILE_BYTES = 64 * 2**20
"""A tile with more, packed or unpacked, is refused."""
MOST_TILES = 10_000_000
"""A source that would list more is refused: nobody means to index that many at once."""


class TileStore(Protocol):
    """Bytes by tile address: a folder, an archive, a service. Thread-safe."""

    @property
    def name(self) -> str:
        """Short and stable; part of every id."""

    def tiles(self, zoom: int) -> Iterable[Tile]:
        """Addresses at one zoom, in a deterministic order, each once."""

    def get(self, tile: Tile) -> bytes | None:
        """What lies there, None where nothing does. Raises BadInput when it cannot be read."""

    def stamp(self, tile: Tile) -> str:
        """Changes when the bytes may have changed."""

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""


class GridTiles:
    """A TileSource of the pictures in a TileStore, kept as they are coded there.

    An address where the store has nothing gives a black picture with `nodata` 1, so that a build skips and counts it.
    """

    def __init__(self, uri: str, store: TileStore, options: SourceOptions, zoom: int, layer: Layer, attribution: str):
        self.uri, self.layer, self.zoom, self.attribution = without_secrets(uri), layer, zoom, attribution
        self.absent = 0
        """Addresses read so far where the store had nothing."""
        self._store, self._within = store, options.within
        self._max_pixels = options.settings.max_pixels
        self._lock = threading.Lock()

    def plan(self) -> Iterator[TileRef]:
        """Every tile of the store at this zoom whose centre lies in the wanted box."""
        for tile in self._store.tiles(self.zoom):
            if in_box(tile.center, self._within):
                yield TileRef(f"{self.layer}/{self._store.name}/{tile}", tile=tile, stamp=self._store.stamp(tile))

    def read(self, ref: TileRef) -> TileImage:
        """Pixels of one tile. Raises BadInput when its bytes are no picture."""
        if ref.tile is None:
            raise UsageError(f"{ref.id}: the ref names no tile")
        data = self._store.get(ref.tile)
        if data is None:
            with self._lock:
                self.absent += 1
            pixels, nodata = np.zeros((TILE_SIZE_PX, TILE_SIZE_PX, 3), np.uint8), 1.0
        else:
            picture = decode(data, f"{self.uri} tile {ref.tile}", self._max_pixels, filling(self.layer))
            pixels, nodata = picture.pixels, picture.nodata
        return TileImage(
            id=ref.id,
            pixels=pixels,
            layer=self.layer,
            tile=ref.tile,
            gsd_m=ref.tile.gsd_m(pixels.shape[1]),
            crs="EPSG:3857",
            source=self.uri,
            attribution=self.attribution,
            nodata=nodata,
            encoded=data,
        )

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def in_box(point: tuple[float, float], box: Bounds | None) -> bool:
    """Whether (lng, lat) lies in a box in degrees, edges included; any point lies in None."""
    return box is None or box.holds(*point)


def pick_zoom(uri: str, wanted: int | None, zooms: tuple[int, int], *, deeper: bool = False) -> int:
    """The zoom to read: the one wanted, else the deepest; `deeper` allows zooms beyond the deepest.

    Raises UsageError when there is nothing at the zoom wanted.
    """
    shallowest, deepest = zooms
    zoom = deepest if wanted is None else wanted
    if zoom < shallowest or (zoom > deepest and not deeper):
        raise UsageError(f"{uri}: has zooms {shallowest} to {deepest}, not {zoom}; choose one of these with --zoom")
    return zoom


def plain_text(markup: str) -> str:
    """An attribution without its HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def without_secrets(uri: str) -> str:
    """The same address, fit for messages and rows: a password, and keys and tokens in its query, are blotted out."""
    uri = re.sub(r"(?<=://)[^/@?#]*@", "***@", uri)
    return re.sub(r"(?i)([?&][^=&]*(?:key|token|signature|sig|secret|password)=)[^&]+", r"\1***", uri)


def boxes_meet(box: Bounds, other: Bounds) -> bool:
    """Whether two boxes in degrees overlap or touch; both may cross the antimeridian."""
    meets = any(a.west <= b.east and b.west <= a.east for a in box.parts() for b in other.parts())
    return meets and box.south <= other.north and other.south <= box.north
