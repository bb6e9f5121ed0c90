"""Approximate search for large galleries: a FAISS IVF file, memory-mapped, every hit re-checked and re-scored.

This is the only file that knows FAISS.
"""

from __future__ import annotations

import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from geoanchor.errors import IndexCorrupt
from geoanchor.protocols import RowIds, Vectors
from retrieval.index.flat import FlatIndex, one_by_one

EXACT_ROWS = 50_000
"""Galleries and filtered parts up to this size are scanned exactly: some milliseconds, and no approximation."""
_DEPTH = 1_000
"""Hits an approximate answer may hold; what lies deeper is ranked exactly."""
_SPARE = 6
"""Extra candidates, so that re-scoring can settle ties at the edge."""
_LISTS_PER_ROOT = 2
_POINTS_PER_LIST = 40
_TRAIN_ROUNDS = 10
_RECALL, _SAMPLE = 0.998, 256
_SEED = 7
_WORTH_SHARING = 1_000
"""Rows from which a scan is worth more than one core."""


class FaissIndex:
    """IVF over the same rows as a flat index; approximate for the first hits, exact where filters leave few rows.

    Args:
        flat: the same vectors, for exact scans and final scores.
        ivf: a FAISS IVF index over them, its nprobe set.
        exact_rows: filters that leave no more rows than this are answered by an exact scan.
    """

    def __init__(self, flat: FlatIndex, ivf: Any, exact_rows: int = EXACT_ROWS) -> None:
        self._flat = flat
        self._ivf = ivf
        self._exact_rows = exact_rows

    def search(self, vectors: Vectors, k: int, rows: RowIds | None = None) -> tuple[Vectors, RowIds]:
        """The k best rows for each query; see `VectorIndex.search`.

        Up to a fixed depth the first hits are the same however many are asked for, and what lies deeper is ranked
        exactly without them: so pages fit together and reach every row.
        """
        if len(self._flat.vectors if rows is None else rows) <= self._exact_rows:
            return self._flat.search(vectors, k, rows)
        return one_by_one(lambda vector: self._search_one(vector, k, rows), vectors, k)

    def _search_one(self, vector: Vectors, k: int, rows: RowIds | None) -> tuple[Vectors, RowIds]:
        scores, head = self._approximate(vector, min(k, _DEPTH), rows)
        if k <= len(head):
            return scores, head
        head_scores, head = (scores, head) if len(head) == _DEPTH else self._approximate(vector, _DEPTH, rows)
        pool = np.arange(len(self._flat)) if rows is None else rows
        rest = np.setdiff1d(pool, head, assume_unique=True)
        tail_scores, tail = self._flat.search(vector[None], min(k, len(pool)) - len(head), rest)
        return np.concatenate([head_scores, tail_scores[0]]), np.concatenate([head, tail[0]])

    def _approximate(self, vector: Vectors, k: int, rows: RowIds | None) -> tuple[Vectors, RowIds]:
        """At most k hits from the probed lists, all of them in `rows`, by final score."""
        share = 1.0 if rows is None else len(rows) / len(self._flat)
        wanted = math.ceil(k / share * 1.2) + _SPARE
        while True:
            scores, found = self._ivf.search(vector[None], min(wanted, len(self._flat)))
            scores, found = scores[0], found[0]
            exhausted = found[-1] < 0 or len(found) < wanted
            if exhausted:
                found = found[found >= 0]
            hits = found if rows is None else found[_members(found, rows)]
            best = self._flat.best(vector, k, hits)
            # Settled when no row that was not fetched can tie with the k-th hit.
            if exhausted or (len(hits) > k and scores[-1] < best[0][-1] - self._flat.slack(vector)):
                return best
            wanted *= 4


class SharedScan(FlatIndex):
    """Exact search whose scan of some rows copies none of them and is shared by the cores.

    The cores are ours, not those of FAISS's or BLAS's own threads: these wait for each other in a loop that keeps a
    core busy, which costs ten times the scan where another process wants that core.
    """

    def score(self, vector: Vectors, rows: RowIds | None = None) -> Vectors:
        """Scores (g',) float32 of a query (d,) against some rows or all, in their order, in single precision."""
        if rows is None or len(rows) < _WORTH_SHARING:
            return super().score(vector, rows)
        faiss, (dim,) = _faiss(), vector.shape
        cores = faiss.omp_get_max_threads()
        vector, rows, scores = np.ascontiguousarray(vector), np.ascontiguousarray(rows), np.empty(len(rows), np.float32)

        def scan(edges: tuple[int, int]) -> None:
            share = slice(*edges)
            into, ids = faiss.swig_ptr(scores[share]), faiss.swig_ptr(rows[share])
            query, matrix = faiss.swig_ptr(vector), faiss.swig_ptr(self.vectors)
            faiss.fvec_inner_products_by_idx(into, query, matrix, ids, dim, 1, share.stop - share.start)

        list(_scanners(cores).map(scan, pairwise(len(rows) * i // cores for i in range(cores + 1))))
        return scores


@cache
def _scanners(cores: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores, "scan", initializer=_faiss().omp_set_num_threads, initargs=(1,))


def build_faiss(vectors: Vectors, path: Path) -> FaissIndex:
    """Make an IVF-Flat file whose nprobe reaches a recall@10 of .998 against exact search on sampled queries.

    Args:
        vectors: (g, d) float32, inner product; path: file to write, replaced in one step.
    """
    faiss = _faiss()
    lists = max(1, min(len(vectors) // 40, _LISTS_PER_ROOT * math.isqrt(len(vectors))))
    ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    ivf.cp.max_points_per_centroid, ivf.cp.niter, ivf.cp.seed = _POINTS_PER_LIST, _TRAIN_ROUNDS, _SEED
    random = np.random.default_rng(_SEED)
    sample = np.sort(random.choice(len(vectors), min(len(vectors), lists * _POINTS_PER_LIST), replace=False))
    ivf.train(np.ascontiguousarray(vectors[sample]))
    for start in range(0, len(vectors), 65_536):
        ivf.add(np.ascontiguousarray(vectors[start : start + 65_536]))
    ivf.nprobe = _probes(ivf, vectors, _RECALL, random)
    partial = path.with_suffix(".part")
    faiss.write_index(ivf, str(partial))
    partial.replace(path)
    return open_faiss(path, vectors)


def open_faiss(path: Path, vectors: Vectors, exact_rows: int = EXACT_ROWS) -> FaissIndex:
    """Memory-map an IVF file over vectors (g, d). Raises IndexCorrupt when it is damaged or of another gallery."""
    faiss = _faiss()
    try:
        ivf = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise IndexCorrupt(
            f"{path}: FAISS cannot read it; `geoanchor doctor --repair` rebuilds the serving files"
        ) from error
    if (ivf.ntotal, ivf.d) != vectors.shape:
        raise IndexCorrupt(
            f"{path}: holds {ivf.ntotal} x {ivf.d} vectors where {vectors.shape[0]} x {vectors.shape[1]} belong; "
            "`geoanchor doctor --repair` rebuilds the serving files"
        )
    # Its prefetching starts threads for every single query, which costs more than the search.
    faiss.downcast_InvertedLists(ivf.invlists).prefetch_nthread = 0
    return FaissIndex(SharedScan(vectors), ivf, exact_rows)


def _probes(ivf: Any, vectors: Vectors, recall: float, random: np.random.Generator) -> int:
    """Fewest probed lists, to a quarter of an octave, that find that share of the true ten best."""
    rows = np.sort(random.choice(len(vectors), min(len(vectors), _SAMPLE), replace=False))
    queries = np.asarray(vectors[rows])
    # Queries lie near rows, not on them: half of a row's own length of noise in a random direction.
    noise = random.standard_normal(queries.shape).astype(np.float32)
    noise *= 0.5 * np.linalg.norm(queries, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    queries = queries + noise
    truth = _faiss().knn(queries, vectors, 10, metric=_faiss().METRIC_INNER_PRODUCT)[1]
    steps = sorted(
        {min(ivf.nlist, math.ceil(2 ** (i / 4))) for i in range(4 * math.ceil(math.log2(ivf.nlist + 1)) + 1)}
    )
    for ivf.nprobe in steps:
        found = ivf.search(queries, 10)[1]
        if np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, truth, strict=True)]) >= recall:
            break
    return int(ivf.nprobe)


def _members(found: RowIds, rows: RowIds) -> np.ndarray[Any, np.dtype[np.bool_]]:
    at = np.minimum(np.searchsorted(rows, found), len(rows) - 1)
    return np.asarray(rows[at] == found)


@cache
def _faiss() -> Any:
    """FAISS, on first use: small galleries never pay for it."""
    if sys.platform == "darwin":
        # torch and FAISS each bring an OpenMP runtime; two in one process abort there unless told to bear each other.
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    return faiss
