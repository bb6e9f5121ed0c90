"""Vector search by LanceDB itself: a peer to measure the served indexes against, under the same contract."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoanchor.protocols import RowIds, Vectors
from retrieval.index.flat import FlatIndex, one_by_one

_CHUNK = 65_536


class LanceAnn:
    """LanceDB's search over a table of row numbers and vectors; exact until `train` gives it an IVF index.

    Args:
        table: columns `row` (int64) and `vector`; flat: the same vectors, for final scores.
    """

    def __init__(self, table: Any, flat: FlatIndex) -> None:
        self._table = table
        self._flat = flat
        self._nprobes = 0

    @classmethod
    def create(cls, folder: Path, vectors: Vectors) -> LanceAnn:
        """Write vectors (g, d) float32 into a table `ann` of a folder."""
        import lancedb

        dim = vectors.shape[1]
        schema = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        table = lancedb.connect(folder).create_table("ann", schema=schema, mode="overwrite")
        for start in range(0, len(vectors), _CHUNK):
            part = np.ascontiguousarray(vectors[start : start + _CHUNK])
            column = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), dim)
            table.add(pa.table([pa.array(np.arange(start, start + len(part))), column], schema=schema))
        return cls(table, FlatIndex(vectors))

    def train(self, nprobes: int) -> None:
        """Build LanceDB's IVF-PQ index, by its own defaults, and search with so many probes from now on."""
        self._table.create_index(metric="dot", vector_column_name="vector")
        self._nprobes = nprobes

    def search(self, vectors: Vectors, k: int, rows: RowIds | None = None) -> tuple[Vectors, RowIds]:
        """The k best rows for each query; see `VectorIndex.search`."""
        if rows is not None and not len(rows):
            return one_by_one(lambda _: (np.empty(0, np.float32), rows), vectors, k)
        return one_by_one(lambda vector: self._search_one(vector, k, rows), vectors, k)

    def _search_one(self, vector: Vectors, k: int, rows: RowIds | None) -> tuple[Vectors, RowIds]:
        limit = len(self._flat) if rows is None else len(rows)
        wanted = min(2 * k + 16, limit)
        while True:
            candidates = self._fetch(vector, wanted, rows)
            scores, hits = self._flat.best(vector, k, candidates)
            worst = self._flat.rescore(vector, candidates[-1:])
            if len(candidates) < wanted or wanted == limit or worst[0] < scores[-1] - self._flat.slack(vector):
                return scores, hits
            wanted = min(4 * wanted, limit)

    def _fetch(self, vector: Vectors, count: int, rows: RowIds | None) -> RowIds:
        """Rows of the `count` best by LanceDB's own scores, best first."""
        query = self._table.search(vector, vector_column_name="vector").distance_type("dot")
        query = query.select(["row", "_distance"]).limit(count)
        if self._nprobes:
            query = query.nprobes(self._nprobes).refine_factor(10)
        if rows is not None:
            query = query.where(_predicate(rows), prefilter=True)
        return np.asarray(query.to_arrow()["row"].to_numpy())


def _predicate(rows: RowIds) -> str:
    """Sorted row numbers as SQL: runs as ranges, loners as a list."""
    runs = [list(group) for _, group in itertools.groupby(enumerate(rows.tolist()), lambda pair: pair[1] - pair[0])]
    ranges = [f"(row >= {run[0][1]} AND row <= {run[-1][1]})" for run in runs if len(run) > 1]
    loners = [str(run[0][1]) for run in runs if len(run) == 1]
    return " OR ".join([*ranges, *([f"row IN ({', '.join(loners)})"] if loners else [])])
