"""The segments of a serving snapshot: vectors, outlines and which belong to which row, memory-mapped.

segments.starts.npy    (g + 1,) int64: row r has the segments starts[r] .. starts[r + 1] - 1
segments.vectors.npy   (m, d) float16
segments.arrow         outline, area, score and weight of each
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geoanchor.errors import IndexCorrupt, UsageError
from geoanchor.protocols import RowColumns, RowIds, Vectors
from geoanchor.segment import OUTLINE_UNITS, Outline
from geoanchor.tiling import Bounds
from retrieval.index.segment_columns import FACTS
from retrieval.outline import on_ground

_STARTS, _VECTORS, _FACTS_FILE = "segments.starts.npy", "segments.vectors.npy", "segments.arrow"


def write_segments(folder: Path, store: RowColumns, dim: int, places: RowIds) -> None:
    """Write the segments of a store's rows in serving order.

    Args:
        places: (g,) place in serving order of each of the store's rows.
    """
    facts = store.columns(["segments"]).column(0)
    lengths = pc.fill_null(pc.list_value_length(facts), 0).to_numpy().astype(np.int64)
    ordered = np.zeros(len(places) + 1, np.int64)
    ordered[1:][places] = lengths
    starts = np.cumsum(ordered)
    np.save(folder / _STARTS, starts)
    _write_facts(folder / _FACTS_FILE, facts.take(pa.array(np.argsort(places))))
    vectors = store.columns(["segment_vectors"]).column(0)
    if not starts[-1]:
        np.save(folder / _VECTORS, np.zeros((0, dim), np.float16))
        return
    matrix = np.lib.format.open_memmap(folder / _VECTORS, mode="w+", dtype=np.float16, shape=(int(starts[-1]), dim))
    row = 0
    for chunk in vectors.chunks:
        own = slice(row, row + len(chunk))
        values = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        matrix[_positions(starts[places[own]], lengths[own])] = values
        row += len(chunk)
    matrix.flush()


def _positions(starts: RowIds, lengths: RowIds) -> RowIds:
    """starts[0] .. starts[0] + lengths[0] - 1, starts[1] .. and so on, in one array."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _write_facts(path: Path, facts: pa.ChunkedArray) -> None:
    flat = pa.chunked_array([chunk.flatten() for chunk in facts.chunks], FACTS).combine_chunks()
    table = pa.table({"segment": flat})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]:
            writer.write_batch(batch)


@dataclass(frozen=True, eq=False)
class SegmentGallery:
    """Opened segments. A segment's number counts from 0 within its row, best first.

    Attributes:
        starts: (g + 1,). vectors: (m, d) float16, of unit length but for rounding. facts: one struct each.
    """

    starts: NDArray[np.int64]
    vectors: NDArray[np.float16]
    facts: pa.StructArray

    @classmethod
    def open(cls, folder: Path) -> SegmentGallery:
        """Open what `write_segments` wrote. Raises IndexCorrupt."""
        try:
            starts = np.load(folder / _STARTS, mmap_mode="r", allow_pickle=False)
            vectors = np.load(folder / _VECTORS, mmap_mode="r", allow_pickle=False)
            facts = pa.ipc.open_file(pa.memory_map(str(folder / _FACTS_FILE))).get_batch(0).column(0)
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            reason = f"{folder}: segments cannot be read ({error}); `geoanchor doctor --repair` rebuilds them"
            raise IndexCorrupt(reason) from error
        return cls(np.asarray(starts), vectors, facts)

    def best(self, rows: RowIds, vector: Vectors) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The likest segment of each row.

        Args:
            rows: (n,). vector: (d,).
        Returns:
            scores (n,), NaN where a row has no segments; numbers (n,), -1 there.
        """
        first, lengths = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        scores, numbers = np.full(len(rows), np.nan), np.full(len(rows), -1, np.int64)
        there = np.flatnonzero(lengths)
        if not len(there):
            return scores, numbers
        own = np.asarray(self.vectors[_positions(first[there], lengths[there])], np.float32)
        likeness = own.astype(np.float64) @ vector.astype(np.float64)
        # Padded with less than any cosine, so that padding never wins and is never averaged.
        table = np.full((len(there), int(lengths.max())), -np.inf)
        table[np.arange(table.shape[1]) < lengths[there, None]] = likeness
        numbers[there], scores[there] = table.argmax(axis=1), table.max(axis=1)
        return scores, numbers

    def vector(self, row: int, number: int) -> Vectors:
        """A segment's vector (d,) float32 of unit length. Raises UsageError where the row has no such segment."""
        vector = np.asarray(self.vectors[self._at(row, number)], np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def outline(self, row: int, number: int) -> Outline:
        """(p, 2) corners as shares of width and height in `OUTLINE_UNITS`; none stand for the whole picture."""
        corners = self.facts.field("outline")[self._at(row, number)].values
        return np.asarray(corners.to_numpy(), np.uint16).reshape(-1, 2)

    def told(self, row: int, number: int, score: float, bounds: Bounds | None) -> dict[str, Any] | None:
        """A segment as a hit's `why.segment`, None where it is the whole picture.

        `picture` is its ring, not closed, in shares of the picture's width and height; `outline` the same in degrees
        (lng, lat) where the row has a position.
        """
        corners = self.outline(row, number) / OUTLINE_UNITS
        if not len(corners):
            return None
        ground = corners.round(4) if bounds is None else on_ground(corners, bounds)
        return {
            "number": number,
            "score": round(score, 4),
            "area": round(self.facts.field("area")[self._at(row, number)].as_py(), 4),
            "outline": ground.tolist(),
            "picture": corners.round(4).tolist(),
        }

    def _at(self, row: int, number: int) -> int:
        if not 0 <= number < self.starts[row + 1] - self.starts[row]:
            held = int(self.starts[row + 1] - self.starts[row])
            raise UsageError(f"there is no segment {number}: the row has {held}, counted from 0")
        return int(self.starts[row]) + number
