"""Exact search: every row is looked at, and what comes back is the truth that other indexes are measured against."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import RowIds, Vectors

Score = TypeVar("Score", np.float32, np.float64)

_BRIDGE = 32
"""Rows between two wanted ones that are cheaper to score along with them than to jump over."""
_SHORT_RUN = 16
"""Mean run length below which one gather beats many slices."""
_SAMPLE = 512
_BLOCK = 512
"""Rows that stay in a core's own cache while several queries are compared with them."""
_CHUNK = 65_536
"""Rows rescored at once, to bound the memory of the double precision copy."""


class FlatIndex:
    """Exact inner products over a matrix that may be memory-mapped.

    A score is the inner product in double precision, rounded to float32; so it depends neither on the order of rows nor
    on how many are scored together, and pages of an answer fit together.

    Args:
        vectors: (g, d) float32, row-major.
    """

    def __init__(self, vectors: Vectors) -> None:
        # A plain view of the same memory: slicing np.memmap costs microseconds for each slice.
        self.vectors: Vectors = np.asarray(vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, vectors: Vectors, k: int, rows: RowIds | None = None) -> tuple[Vectors, RowIds]:
        """The k best rows for each query; see `VectorIndex.search`."""
        return one_by_one(lambda vector: self._search_one(vector, k, rows), vectors, k)

    def score(self, vector: Vectors, rows: RowIds | None = None) -> Vectors:
        """Scores (g',) float32 of a query (d,) against some rows or all, in their order, in single precision."""
        if rows is None:
            return np.asarray(self.vectors @ vector)
        if not len(rows):
            return np.empty(0, np.float32)
        breaks = np.flatnonzero(np.diff(rows) > _BRIDGE) + 1
        if len(rows) < _SHORT_RUN * (len(breaks) + 1):
            return np.asarray(self.vectors[rows] @ vector)
        scores = np.empty(len(rows), np.float32)
        for start, stop in pairwise([0, *breaks.tolist(), len(rows)]):
            self._score_run(vector, rows[start:stop], scores[start:stop])
        return scores

    def scores(self, vectors: Vectors) -> Vectors:
        """Scores (q, g) float32 of several queries (q, d) against all rows, each row read from memory but once."""
        out = np.empty((len(vectors), len(self.vectors)), np.float32)
        for start in range(0, len(self.vectors), _BLOCK):
            block = self.vectors[start : start + _BLOCK]
            for vector, line in zip(vectors, out, strict=True):
                np.dot(block, vector, out=line[start : start + len(block)])
        return out

    def rescore(self, vector: Vectors, rows: RowIds) -> Vectors:
        """Final scores (n,) float32 of a query (d,) against rows (n,)."""
        exact = vector.astype(np.float64)
        scores = np.empty(len(rows), np.float32)
        for i in range(0, len(rows), _CHUNK):
            scores[i : i + _CHUNK] = self.vectors[rows[i : i + _CHUNK]].astype(np.float64) @ exact
        return scores

    def best(self, vector: Vectors, k: int, candidates: RowIds) -> tuple[Vectors, RowIds]:
        """The k best of some candidate rows, by final score, ties by lower row: scores (<=k,), rows (<=k,)."""
        return best_first(self.rescore(vector, candidates), candidates, k)

    def slack(self, vector: Vectors) -> float:
        """How far a score in single precision may be off."""
        return math.sqrt(float(vector @ vector)) * self._rounding

    @cached_property
    def _rounding(self) -> float:
        """Rounding error of a score per length of the query; rows may be twice as long as those of a sample."""
        sample = self.vectors[:: max(1, len(self.vectors) // _SAMPLE)]
        longest = float(np.linalg.norm(sample, axis=1).max(initial=0.0))
        return 2 * longest * int(self.vectors.shape[1]) * float(np.finfo(np.float32).eps)

    def _search_one(self, vector: Vectors, k: int, rows: RowIds | None) -> tuple[Vectors, RowIds]:
        scores = self.score(vector, rows)
        chosen = top(scores, k)
        if k < len(scores):
            chosen = np.flatnonzero(scores >= scores[chosen].min() - self.slack(vector))
        return self.best(vector, k, chosen if rows is None else rows[chosen])

    def _score_run(self, vector: Vectors, run: RowIds, out: Vectors) -> None:
        first, last = int(run[0]), int(run[-1])
        scores = self.vectors[first : last + 1] @ vector
        out[:] = scores if len(run) == len(scores) else scores[run - first]


def one_by_one(search: Callable[[Vectors], tuple[Vectors, RowIds]], vectors: Vectors, k: int) -> tuple[Vectors, RowIds]:
    """Answers of `search` to each of the queries (q, d), padded to scores (q, k) and rows (q, k) by -inf and -1."""
    scores = np.full((len(vectors), k), -np.inf, np.float32)
    found = np.full((len(vectors), k), -1, np.int64)
    for i, vector in enumerate(vectors):
        best_scores, best_rows = search(vector)
        scores[i, : len(best_rows)] = best_scores
        found[i, : len(best_rows)] = best_rows
    return scores, found


def top(scores: NDArray[np.floating], k: int) -> RowIds:
    """Positions of k largest scores (all when fewer), in no particular order."""
    if k >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - k)[len(scores) - k :]


def best_first(scores: NDArray[Score], rows: RowIds, k: int) -> tuple[NDArray[Score], RowIds]:
    """The k best of some rows, best first, ties by lower row: scores (<=k,), rows (<=k,)."""
    chosen = top(scores, k)
    if k < len(scores):
        chosen = np.flatnonzero(scores >= scores[chosen].min())
    order = chosen[np.lexsort((rows[chosen], -scores[chosen]))][:k]
    return scores[order], rows[order]
