"""PMTiles version 3: one file of raster or vector tiles along a Hilbert curve, memory-mapped."""

from __future__ import annotations

import gzip
import json
import mmap
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pmtiles.tile import (
    Compression,
    MagicNumberNotFound,
    SpecVersionUnsupported,
    TileType,
    deserialize_directory,
    deserialize_header,
    find_tile,
    tileid_to_zxy,
    zxy_to_tileid,
)

from geoanchor.errors import BadInput, UsageError
from geoanchor.protocols import TileSource
from geoanchor.tiling import MAX_ZOOM, Tile
from indexer.sources.grid import MAX_TILE_BYTES, GridTiles, pick_zoom, plain_text
from indexer.sources.identity import file_stamp, source_name
from indexer.sources.registry import SourceOptions
from indexer.sources.vectortile import open_vector_tiles

if TYPE_CHECKING:
    from pmtiles.tile import Entry

_T = TypeVar("_T")
_DEEPEST_DIRECTORY = 4
_BROKEN = (ValueError, IndexError, EOFError, OSError, OverflowError, zlib.error, KeyError, AttributeError)


def open_pmtiles(uri: str, options: SourceOptions) -> TileSource:
    """Open a PMTiles file; vector tiles are drawn as maps.

    Raises UsageError when there is no such file or no such zoom, BadInput when it is no PMTiles file or is cut short.
    """
    store = PMTilesStore(Path(uri))
    try:
        attribution = plain_text(str(store.metadata().get("attribution", "")))
        if store.is_vector:
            return open_vector_tiles(uri, store, options, store.zooms, attribution)
        zoom = pick_zoom(uri, options.zoom, store.zooms)
    except Exception:
        store.close()
        raise
    return GridTiles(uri, store, options, zoom, options.layer or "aerial", attribution)


class PMTilesStore:
    """A TileStore over a memory-mapped archive."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        self.name = source_name(path)
        self._path = path
        self._stamp = file_stamp(path.stat())
        self._directory = lru_cache(maxsize=64)(self._read_directory)
        try:
            with open(path, "rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._header = deserialize_header(self._bytes[:127])
        except MagicNumberNotFound as error:
            raise BadInput(str(path), "not a PMTiles file") from error
        except SpecVersionUnsupported as error:
            raise BadInput(str(path), "not PMTiles version 3; convert it with `pmtiles convert`") from error
        except _BROKEN as error:
            raise BadInput(str(path), f"not a PMTiles file, or cut short ({error})") from error
        self._check()

    def _check(self) -> None:
        header, size = self._header, len(self._bytes)
        for part in ("root", "metadata", "leaf_directory", "tile_data"):
            end = header[f"{part}_offset"] + header[f"{part}_length"]
            if end > size:
                raise BadInput(str(self._path), f"cut short: {size} bytes where the header speaks of {end}")
        shallowest, deepest = self.zooms
        if not shallowest <= deepest <= MAX_ZOOM:
            raise BadInput(
                str(self._path), f"damaged: its header speaks of zooms {shallowest} to {deepest}, of 0 to {MAX_ZOOM}"
            )
        if header["tile_type"] is TileType.MLT:
            raise BadInput(str(self._path), "holds MapLibre tiles (MLT), which cannot be read; use MVT or pictures")
        if header["tile_compression"] in (Compression.BROTLI, Compression.ZSTD):
            raise BadInput(
                str(self._path), f"tiles are packed with {header['tile_compression'].name}; use gzip or none"
            )

    @property
    def is_vector(self) -> bool:
        """Whether the tiles are MVT."""
        return bool(self._header["tile_type"] is TileType.MVT)

    @property
    def zooms(self) -> tuple[int, int]:
        """Shallowest and deepest zoom."""
        return int(self._header["min_zoom"]), int(self._header["max_zoom"])

    def metadata(self) -> dict[str, Any]:
        """The archive's JSON metadata."""
        return self._whole("metadata", self._read_metadata)

    def tiles(self, zoom: int) -> Iterator[Tile]:
        """Addresses at one zoom, along the Hilbert curve."""
        first, end = zxy_to_tileid(zoom, 0, 0), zxy_to_tileid(zoom + 1, 0, 0)
        for start, count in self._runs(self._root, first, end, 0):
            for tile_id in range(max(start, first), min(start + count, end)):
                z, x, y = tileid_to_zxy(tile_id)
                yield Tile(z, x, y)

    def get(self, tile: Tile) -> bytes | None:
        """The bytes at one address, as they lie in the archive."""
        tile_id, place = zxy_to_tileid(tile.z, tile.x, tile.y), self._root
        for _ in range(_DEEPEST_DIRECTORY):
            entry = find_tile(self._entries(*place), tile_id)
            if entry is None:
                return None
            if entry.run_length:
                start = self._header["tile_data_offset"] + entry.offset
                return self._slice(start, entry.length)
            place = self._header["leaf_directory_offset"] + entry.offset, entry.length
        raise BadInput(str(self._path), f"its directories are nested over {_DEEPEST_DIRECTORY} deep")

    def stamp(self, tile: Tile) -> str:
        """Size and time of the whole file."""
        return self._stamp

    def close(self) -> None:
        """Unmap the file."""
        self._directory.cache_clear()
        self._bytes.close()

    @property
    def _root(self) -> tuple[int, int]:
        return self._header["root_offset"], self._header["root_length"]

    def _runs(self, place: tuple[int, int], first: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
        """(tile id, count) of each run that may meet first..end."""
        if depth == _DEEPEST_DIRECTORY:
            raise BadInput(str(self._path), f"its directories are nested over {_DEEPEST_DIRECTORY} deep")
        entries = self._entries(*place)
        for entry, following in zip(entries, [*(e.tile_id for e in entries[1:]), end], strict=True):
            if entry.tile_id >= end:
                break
            if entry.run_length:
                yield entry.tile_id, entry.run_length
            elif following > first:
                leaf = self._header["leaf_directory_offset"] + entry.offset, entry.length
                yield from self._runs(leaf, first, end, depth + 1)

    def _entries(self, offset: int, length: int) -> list[Entry]:
        return self._whole("directory", lambda: self._directory(offset, length))

    def _read_directory(self, offset: int, length: int) -> list[Entry]:
        entries: list[Entry] = deserialize_directory(self._bytes[offset : offset + length])
        return entries

    def _read_metadata(self) -> dict[str, Any]:
        start, length = self._header["metadata_offset"], self._header["metadata_length"]
        packed = self._bytes[start : start + length]
        text = gzip.decompress(packed) if self._header["internal_compression"] is Compression.GZIP else packed
        found = json.loads(text or b"{}")
        return found if isinstance(found, dict) else {}

    def _slice(self, start: int, length: int) -> bytes:
        if length > MAX_TILE_BYTES or start + length > len(self._bytes):
            raise BadInput(str(self._path), f"a tile of {length} bytes lies beyond the file or the limit")
        return self._bytes[start : start + length]

    def _whole(self, part: str, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except _BROKEN as error:
            raise BadInput(str(self._path), f"its {part} is broken ({type(error).__name__}: {error})") from error
