"""Tiles for a map, from the pictures of the index itself, so that a map needs no tile server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.image import LAYERS, Layer
from geoanchor.tiling import TILE_SIZE_PX, Bounds, Tile, around
from retrieval.neighbours import tile_keys

MAX_STEPS = 5
"""How many zooms above the stored tiles an overview reaches: one picture then is put together from up to 1024."""
_CACHED_TILES = 512

Addresses = Mapping[str, Sequence[object]]
"""Columns id, layer, z, x, y of all rows; z, x, y are None where a row lies on no grid."""


class Mosaic:
    """The stored tiles as a pyramid: full size at their own zoom, put together above it, cut out and enlarged below.

    Args:
        addresses: columns id, layer, z, x, y.
        thumbnails: ids -> encoded pictures by id; ids it does not know are left out.
    """

    def __init__(self, addresses: Addresses, thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]]) -> None:
        on_grid = [row for row, z in enumerate(addresses["z"]) if z is not None]
        self._ids = [str(addresses["id"][row]) for row in on_grid]
        self._layer = np.asarray([addresses["layer"][row] for row in on_grid], dtype=str)
        self._zxy: NDArray[np.int64] = np.asarray(
            [[addresses[name][row] for name in "zxy"] for row in on_grid], np.int64
        ).reshape(-1, 3)
        rows = {layer: np.flatnonzero(self._layer == layer) for layer in LAYERS}
        self._grids = {layer: _Grid(self._zxy, own) for layer, own in rows.items() if len(own)}
        self._thumbnails = thumbnails
        self._tile = lru_cache(_CACHED_TILES)(self._put_together)
        self._extent = cache(self._measure)

    @property
    def layers(self) -> list[Layer]:
        """Layers that have tiles."""
        return list(self._grids)

    def zooms(self, layer: Layer) -> tuple[int, int] | None:
        """Lowest zoom an overview reaches and highest stored one, or None where the layer has no tiles."""
        zooms = self._zxy[self._layer == layer, 0]
        return (max(0, int(zooms.max()) - MAX_STEPS), int(zooms.max())) if len(zooms) else None

    def extent(self, layer: Layer | None = None) -> Bounds | None:
        """Smallest box around all tiles, or those of a layer, degrees; None where there are none.

        West > east where the shorter way round is over the antimeridian.
        """
        return self._extent(layer)

    def _measure(self, layer: Layer | None) -> Bounds | None:
        zxy = self._zxy if layer is None else self._zxy[self._layer == layer]
        if not len(zxy):
            return None
        z = int(zxy[:, 0].max())
        low = (zxy[:, 1:] << (z - zxy[:, :1])).min(axis=0)
        high = ((zxy[:, 1:] + 1) << (z - zxy[:, :1])).max(axis=0) - 1
        first, last = Tile(z, *map(int, low)).bounds, Tile(z, *map(int, high)).bounds
        box = Bounds(first.west, last.south, last.east, first.north)
        if box.east - box.west <= 180.0:
            return box
        # So wide a box may be shorter over the antimeridian.
        return around(column._replace(south=box.south, north=box.north) for column in _columns(zxy))

    def tile(self, layer: Layer, tile: Tile) -> bytes | None:
        """An encoded picture of one tile, or None where nothing lies there."""
        return self._tile(layer, tile)

    def _put_together(self, layer: Layer, tile: Tile) -> bytes | None:
        grid = self._grids.get(layer)
        if grid is None:
            return None
        data = self._from_below(grid, tile)
        return self._from_above(grid, tile) if data is None else data

    def _from_above(self, grid: _Grid, tile: Tile) -> bytes | None:
        """Cut out of the nearest stored ancestor, where there is one."""
        for z in range(tile.z - 1, max(-1, tile.z - 1 - MAX_STEPS), -1):
            found = grid.below(tile.parent(z), 0)
            if len(found):
                name = self._ids[found[0]]
                data = self._thumbnails([name]).get(name)
                return _cut_out(data, tile, tile.z - z) if data else None
        return None

    def _from_below(self, grid: _Grid, tile: Tile) -> bytes | None:
        if len(exact := grid.below(tile, 0)):
            name = self._ids[exact[0]]
            return self._thumbnails([name]).get(name)
        rows = np.sort(np.concatenate([grid.below(tile, steps) for steps in range(1, MAX_STEPS + 1)]))
        if not len(rows):
            return None
        pictures = self._thumbnails([self._ids[row] for row in rows])
        canvas = Image.new("RGBA", (TILE_SIZE_PX, TILE_SIZE_PX))
        for row in rows:
            if data := pictures.get(self._ids[row]):
                self._paste(canvas, data, self._zxy[row], tile)
        buffer = BytesIO()
        canvas.save(buffer, "WEBP", quality=80)
        return buffer.getvalue()

    @staticmethod
    def _paste(canvas: Image.Image, data: bytes, address: NDArray[np.int64], tile: Tile) -> None:
        z, x, y = (int(number) for number in address)
        side = max(1, TILE_SIZE_PX >> (z - tile.z))
        with Image.open(BytesIO(data)) as picture:
            picture.draft("RGB", (side, side))
            small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
        left, top = x - (tile.x << (z - tile.z)), y - (tile.y << (z - tile.z))
        canvas.paste(small, (left * side, top * side))


class _Grid:
    """Rows of one layer, found by tile address however many there are.

    Args:
        zxy: (n, 3) addresses of all rows. rows: (m,) the layer's own, ascending.
    """

    def __init__(self, zxy: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        keys = tile_keys(*zxy[rows].T)
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], rows[order]

    def below(self, tile: Tile, steps: int) -> NDArray[np.int64]:
        """Rows of the part of a tile `steps` zooms below it, or of the tile itself; of one address in their order."""
        side = 1 << steps
        down = (tile.y << steps) + np.arange(side)
        starts = tile_keys(np.full(side, tile.z + steps), np.full(side, tile.x << steps), down)
        first, last = np.searchsorted(self._keys, starts), np.searchsorted(self._keys, starts + side)
        return np.concatenate([self._rows[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)])


def _columns(zxy: NDArray[np.int64]) -> Iterator[Bounds]:
    """Strips of the globe, from north to south, that hold tiles."""
    for z in np.unique(zxy[:, 0]).tolist():
        for x in np.unique(zxy[zxy[:, 0] == z, 1]).tolist():
            yield Tile(z, x, 0).bounds


def _cut_out(data: bytes, tile: Tile, steps: int) -> bytes:
    """A tile's part of an ancestor's picture, `steps` zooms above it, at full size."""
    with Image.open(BytesIO(data)) as picture:
        side = picture.width / (1 << steps)
        left, top = (tile.x % (1 << steps)) * side, (tile.y % (1 << steps)) * side
        box = (left, top, left + side, top + side)
        cut = picture.convert("RGB").resize((TILE_SIZE_PX, TILE_SIZE_PX), Image.Resampling.BILINEAR, box)
    buffer = BytesIO()
    cut.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


def media_type(picture: bytes) -> str:
    """Media type of an encoded picture."""
    if picture[:4] == b"\x89PNG":
        return "image/png"
    return "image/webp" if picture[8:12] == b"WEBP" else "image/jpeg"
