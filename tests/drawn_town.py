"""A drawn town, and what finds the changes of an index of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from structured import Classes, GridEncoder, town_block

from geoanchor.manifest import read_manifest
from geoanchor.tiling import Tile, tile_at
from retrieval.index.lance import LanceStore
from retrieval.matching import RowMatcher
from retrieval.mismatch import ChangeFinder
from retrieval.serving import Serving

FIRST = tile_at(12.5, 47.5, 17)
TOWN = {Tile(17, FIRST.x + x, FIRST.y + y): town_block(10 * y + x) for y in range(5) for x in range(6)}
TILES = tuple(TOWN)
SIDE_M = TILES[0].gsd_m(1)


def finder_of(folder: Path, chunk: int = 256) -> ChangeFinder:
    """That of an index, with its stored pictures."""
    serving = Serving.open(folder, read_manifest(folder))

    def details(ids: Sequence[str], column: str) -> dict[str, Any]:
        table = LanceStore.open(folder).fetch(list(ids), ["id", column])
        return dict(zip(table["id"].to_pylist(), table[column].to_pylist(), strict=True))

    matcher = RowMatcher(serving, GridEncoder(), lambda ids: details(ids, "thumbnail"))
    return ChangeFinder(serving, matcher, details, chunk)


def with_block(grid: Classes, number: int, row: int = 12, column: int = 12, side: int = 5) -> Classes:
    """The same ground with a square of one class on it."""
    changed = grid.copy()
    changed[row : row + side, column : column + side] = number
    return changed
