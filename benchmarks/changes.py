"""The whole of `changes` beside the bare matcher over the same pairs, on all cores; times of one run, in turns.

The pairs are real: tiles of a procedural town, imagery newer than the map, encoded by the model that ships and repeated
over a square of ground. Nothing is read from disk, so that what is compared is the work on pairs alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.timing import in_turn, ratio
from geoanchor.change import ChangeList
from geoanchor.image import Layer
from geoanchor.manifest import Manifest
from geoanchor.protocols import Encoder, RowVectors
from geoanchor.tiling import Bounds, Tile, cell_at, tile_at
from indexer.city.city import City
from indexer.sources.registry import SourceOptions, open_source
from models.bundle import load_bundle
from retrieval.index.flat import FlatIndex
from retrieval.matching import RowMatcher
from retrieval.mismatch import ChangeFinder
from retrieval.serving import ROW_COLUMNS, Serving
from retrieval.survey import CHUNK

PAIRS, MANY_PAIRS, ROUNDS = 20_000, 100_000, 2
KINDS, ZOOM = 128, 17
"""Tiles that are encoded and then repeated; zoom of the addresses they are given."""

Rows = Mapping[str, RowVectors]


class Square(Serving):
    """An index of n map and n aerial tiles side by side, in memory; rows of one place follow each other."""

    def __init__(self, encoder: Encoder, maps: Rows, aerials: Rows, pairs: int) -> None:
        places = _places(pairs)
        spaces = {name: encoder.spaces[name] for name in maps}
        self.manifest = Manifest(model=encoder.name, spaces=spaces, rows=2 * pairs)
        self.folder = self._path = Path(tempfile.gettempdir()) / "geoanchor-bench-has-no-files"
        self.rows = _batch(places)
        self._found_rows: dict[str, int] = {}
        self._present = dict.fromkeys(maps)
        vectors = {name: _alternating(aerials[name], maps[name], pairs) for name in maps}
        self._exact = {name: FlatIndex(rows) for name, rows in vectors.items() if spaces[name].searchable}
        self._codes = {name: rows for name, rows in vectors.items() if not spaces[name].searchable}


def run() -> dict[str, Any]:
    """Pairs judged a second, bare and by `changes`; memory; the cost of 100,000 pairs."""
    encoder = load_bundle("mini")
    maps, aerials = _encoded(encoder, "city:3", "map"), _encoded(encoder, "city:3@1", "aerial")
    town = Square(encoder, maps, aerials, PAIRS)
    _bare(encoder, town)
    seconds = in_turn({"bare": lambda: _bare(encoder, town), "changes": lambda: _changes(encoder, town)}, ROUNDS, 0)
    middle, low, high = ratio(seconds["bare"], seconds["changes"])
    many = Square(encoder, maps, aerials, MANY_PAIRS)
    _forget_peak()
    held, start = _peak_mb(), time.perf_counter()
    found = _changes(encoder, many)
    return {
        "pairs; cores": f"{PAIRS}; {os.cpu_count()}",
        "pairs/s of bare matcher, of whole changes": ", ".join(
            f"{PAIRS / min(seconds[side]):.0f}" for side in ("bare", "changes")
        ),
        "changes over bare matcher, at least 0.90": f"{middle:.3f} ({low:.3f}-{high:.3f})",
        f"{MANY_PAIRS} pairs, s: from the above, measured": (
            f"{min(seconds['changes']) * MANY_PAIRS / PAIRS:.0f}, {time.perf_counter() - start:.0f}"
        ),
        f"{MANY_PAIRS} pairs: peak memory above the index's own, MB": f"{_peak_mb() - held:.0f}",
        f"{MANY_PAIRS} pairs: places listed": len(found.changes),
    }


def _bare(encoder: Encoder, town: Square) -> None:
    """Every pair through the matcher, on all cores, in chunks of the same size; nothing is kept."""
    matcher = encoder.matcher
    assert matcher is not None
    vectors = {name: _vectors(town, name) for name in matcher.spaces}

    def judge(start: int) -> None:
        maps, aerials = ({name: v[2 * start + side : 2 * (start + CHUNK) : 2] for name, v in vectors.items()}
                         for side in (1, 0))  # fmt: skip
        matcher.judge(maps, aerials)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(judge, range(0, len(town) // 2, CHUNK)))


def _changes(encoder: Encoder, town: Square) -> ChangeList:
    return ChangeFinder(town, RowMatcher(town, encoder), lambda _ids, _column: {}).find(k=50)  # type: ignore[arg-type]


def _vectors(town: Square, name: str) -> RowVectors:
    return town.exact(name).vectors if town.manifest.spaces[name].searchable else town.codes(name)


def _encoded(encoder: Encoder, uri: str, layer: Layer) -> Rows:
    """Vectors of the town's first tiles in the spaces that the matcher compares."""
    assert encoder.matcher is not None
    lng, lat = City(3).extent.center
    box = Bounds(lng - 0.015, lat - 0.01, lng + 0.015, lat + 0.01)
    source = open_source(uri, SourceOptions(within=box, layer=layer))
    refs = list(source.plan())[:KINDS]
    made = encoder.encode([encoder.prepare(source.read(ref).pixels, layer) for ref in refs], layer)
    return {name: made[name] for name in encoder.matcher.spaces}


def _alternating(aerials: RowVectors, maps: RowVectors, pairs: int) -> RowVectors:
    """(2 pairs, d): the aerial and the map row of each pair, repeated from the few that there are."""
    at = np.arange(pairs) % len(maps)
    return np.stack([aerials[at], maps[at]], axis=1).reshape(2 * pairs, -1)


def _places(count: int) -> list[tuple[int, int, int]]:
    """(cell, x, y) of a square of tiles, sorted by cell."""
    first, side = tile_at(12.5, 47.5, ZOOM), int(np.ceil(count**0.5))
    tiles = [Tile(ZOOM, first.x + i % side, first.y + i // side) for i in range(count)]
    return sorted((cell_at(*tile.center, 10), tile.x, tile.y) for tile in tiles)


def _batch(places: list[tuple[int, int, int]]) -> pa.RecordBatch:
    """What `changes` asks of the rows, two rows a place, aerial first."""
    tiles = [Tile(ZOOM, x, y) for _, x, y in places for _ in range(2)]
    bounds, centers = np.array([tile.bounds for tile in tiles]), np.array([tile.center for tile in tiles])
    layers: list[Layer] = ["aerial", "map"] * len(places)
    columns = {
        "id": [f"{layer}/bench/{tile}" for layer, tile in zip(layers, tiles, strict=True)],
        "layer": layers,
        "z": [ZOOM] * len(tiles),
        "x": [tile.x for tile in tiles],
        "y": [tile.y for tile in tiles],
        **dict(zip(("west", "south", "east", "north"), bounds.T, strict=True)),
        **dict(zip(("lng", "lat"), centers.T, strict=True)),
        "cell": pa.array([cell for cell, _, _ in places for _ in range(2)], pa.uint64()),
        "acquired": pa.nulls(len(tiles), pa.timestamp("us", "UTC")),
        "attribution": [""] * len(tiles),
    }
    unasked = {name: pa.nulls(len(tiles)) for name in ROW_COLUMNS if name not in columns}
    return pa.RecordBatch.from_pydict(columns | unasked)


def _forget_peak() -> None:
    """Lets the kernel count the peak of resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Peak of resident memory since then, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
