"""Rerankers by name: what reorders the best hits of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from geoanchor.change import MAX_OFFSET
from geoanchor.count import rounded
from geoanchor.errors import UsageError
from geoanchor.image import Layer, Pixels
from geoanchor.protocols import Details, Reranker, RowIds
from geoanchor.query import Hit, ImagePart, Query
from geoanchor.structure import informative
from retrieval.causes import diagnose, differences
from retrieval.late import RERANKER
from retrieval.matching import RowMatcher
from retrieval.pairs import NO_MAP, Pairs
from retrieval.registration import offsets_m, peaked, sides_m
from retrieval.serving import Serving
from retrieval.survey import CHUNK, mismatch_of


def open_reranker(
    name: str,
    query: Query,
    serving: Serving,
    open_matcher: Callable[[], RowMatcher],
    details: Details,
    read: Callable[[ImagePart], Pixels],
) -> Reranker:
    """The reranker of a name, ready for a query.

    Args:
        details: of rows, from the store of record. read: pixels of a picture of the query.

    Raises UsageError for an unknown name or a query that it cannot reorder, UnsupportedModality where model or index
    have no means.
    """
    if name != "mismatch":
        raise UsageError(f"no reranker is called {name!r}; there are mismatch and {RERANKER}")
    if _map_of(query) is None:
        raise UsageError("--rerank mismatch compares hits with the map picture of the query: give one with --map")
    if query.layer not in (None, MismatchReranker.layer):
        raise UsageError(
            f"--rerank mismatch compares a map with aerial pictures, not with {query.layer} ones: leave --layer out"
        )
    return MismatchReranker(serving, open_matcher(), details, read)


def _map_of(query: Query) -> ImagePart | None:
    wanted = (part for part in query.parts if isinstance(part, ImagePart) and part.weight > 0)
    return next((part for part in wanted if part.layer == "map"), None)


class MismatchReranker:
    """Orders hits by how much they disagree with the query's map picture, worst first.

    A hit's score becomes its mismatch, 0..1; what cannot be compared gets 0. `why` says mismatch, cause and offset,
    in metres that the map lies too far east and north. Only the hits of the page that is asked for are ordered.
    """

    layer: Layer = "aerial"

    def __init__(
        self, serving: Serving, matcher: RowMatcher, details: Details, read: Callable[[ImagePart], Pixels]
    ) -> None:
        self._serving, self._matcher, self._details, self._read = serving, matcher, details, read

    def rerank(self, query: Query, hits: Sequence[Hit]) -> Sequence[Hit]:
        """The same hits; equal ones keep their order, and the ranks of the page are given anew."""
        picture = _map_of(query)
        rows = np.asarray([self._serving.row_of(hit.id) for hit in hits], np.int64)
        told = [hit.model_copy(update={"score": 0.0}) for hit in hits]
        comparable = np.flatnonzero(np.isin(rows, self._matcher.comparable(self._serving.layers[self.layer])))
        if picture is not None and len(comparable):
            pixels = self._read(picture)
            for start in range(0, len(comparable), CHUNK):
                part = comparable[start : start + CHUNK]
                for at, (mismatch, why) in zip(part.tolist(), self._reasons(pixels, rows[part]), strict=True):
                    told[at] = hits[at].model_copy(update={"score": mismatch, "why": hits[at].why | why})
        first = min((hit.rank for hit in hits), default=1)
        ordered = sorted(told, key=lambda hit: -hit.score)
        return tuple(hit.model_copy(update={"rank": first + i}) for i, hit in enumerate(ordered))

    def _reasons(self, pixels: Pixels, rows: RowIds) -> Iterator[tuple[float, dict[str, Any]]]:
        """Mismatch and explanation of each row."""
        judged = self._matcher.judge_picture(pixels, rows, MAX_OFFSET)
        gap = self._matcher.gap_shares(Pairs(np.full(len(rows), NO_MAP), rows))
        ids = self._serving.rows.column("id").take(rows).to_pylist()
        nodata = self._details(ids, "nodata")
        found, said = differences(judged), informative(judged.shares)
        metres = offsets_m(judged.offset, sides_m(self._serving, rows))
        lies = said & peaked(judged.offset, MAX_OFFSET) & np.isfinite(metres).all(axis=1)
        for i, mismatch in enumerate(mismatch_of(judged, gap).tolist()):
            told = diagnose(
                found, i, mismatch=mismatch, informative=bool(said[i]), moved_m=None,
                nodata=(nodata.get(ids[i], 0.0), 0.0), gap=float(gap[i]),
            )  # fmt: skip
            why: dict[str, Any] = {"mismatch": round(mismatch, 4), "cause": told.cause, "reason": told.reason}
            if lies[i]:
                why["offset_m"] = [rounded(metre, 2) for metre in metres[i].tolist()]
            yield mismatch, why
