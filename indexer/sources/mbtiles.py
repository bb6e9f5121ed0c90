"""MBTiles: a SQLite file of raster or vector tiles (MBTiles 1.3)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from geoanchor.errors import BadInput, UsageError
from geoanchor.protocols import TileSource
from geoanchor.tiling import Tile
from indexer.sources.grid import GridTiles, pick_zoom, plain_text
from indexer.sources.identity import file_stamp, source_name
from indexer.sources.registry import SourceOptions
from indexer.sources.vectortile import open_vector_tiles


def open_mbtiles(uri: str, options: SourceOptions) -> TileSource:
    """Open an MBTiles file; vector tiles are drawn as maps.

    Raises UsageError when there is no such file or no such zoom, BadInput when it is no MBTiles file or has no tiles.
    """
    store = MBTilesStore(Path(uri))
    try:
        metadata, zooms = store.metadata(), store.zooms()
        attribution = plain_text(metadata.get("attribution", ""))
        if metadata.get("format") in ("pbf", "mvt"):
            return open_vector_tiles(uri, store, options, zooms, attribution)
        zoom = pick_zoom(uri, options.zoom, zooms)
    except Exception:
        store.close()
        raise
    return GridTiles(uri, store, options, zoom, options.layer or "aerial", attribution)


class MBTilesStore:
    """A TileStore over the table or view `tiles`, opened for reading only."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        self.name = source_name(path)
        self._path = path
        self._stamp = file_stamp(path.stat())
        self._lock = threading.Lock()
        self._connection = self._connect()

    def metadata(self) -> dict[str, str]:
        """Names and values of the table `metadata`; empty where the file has none."""
        has = self._ask("SELECT 1 FROM sqlite_master WHERE name = 'metadata'")
        return {str(name): str(value) for name, value in self._ask("SELECT name, value FROM metadata")} if has else {}

    def zooms(self) -> tuple[int, int]:
        """Shallowest and deepest zoom that has tiles."""
        shallowest, deepest = self._ask("SELECT min(zoom_level), max(zoom_level) FROM tiles")[0]
        if not isinstance(shallowest, int) or not isinstance(deepest, int):
            raise BadInput(str(self._path), "this MBTiles file has no tiles")
        return shallowest, deepest

    def tiles(self, zoom: int) -> Iterator[Tile]:
        """Addresses at one zoom, by column and row."""
        # Its own connection: a plan may still be going on while other threads read.
        question = "SELECT DISTINCT tile_column, tile_row FROM tiles WHERE zoom_level = ? ORDER BY 1, 2 DESC"
        side = 1 << zoom
        try:
            with closing(self._connect()) as connection:
                for x, row in connection.execute(question, (zoom,)):
                    # MBTiles counts rows from the south (TMS).
                    if isinstance(x, int) and isinstance(row, int) and 0 <= x < side and 0 <= row < side:
                        yield Tile(zoom, x, side - 1 - row)
        except sqlite3.Error as error:
            raise self._bad(error) from error

    def get(self, tile: Tile) -> bytes | None:
        """The blob at one address."""
        row = (1 << tile.z) - 1 - tile.y
        found = self._ask(
            "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ? LIMIT 1",
            (tile.z, tile.x, row),
        )
        data = found[0][0] if found else None
        if data is not None and not isinstance(data, bytes):
            raise BadInput(f"{self._path} tile {tile}", f"holds {type(data).__name__}, not bytes")
        return data

    def stamp(self, tile: Tile) -> str:
        """Size and time of the whole file."""
        return self._stamp

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            address = f"file:{quote(str(self._path.resolve()))}?mode=ro"
            return sqlite3.connect(address, uri=True, check_same_thread=False, timeout=10)
        except sqlite3.Error as error:
            raise self._bad(error) from error

    def _ask(self, question: str, values: tuple[int, ...] = ()) -> list[tuple[object, ...]]:
        try:
            with self._lock:
                return self._connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._bad(error) from error

    def _bad(self, error: sqlite3.Error) -> BadInput:
        return BadInput(str(self._path), f"cannot be read as MBTiles ({error})")
