"""Rerankers by name: what reorders the best hits of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from geoanchor.errors import UsageError
from geoanchor.picture import read_rgb
from geoanchor.protocols import Encoder, Judgement, Reranker, RowIds
from geoanchor.query import Hit, ImagePart, Query
from retrieval.causes import diagnose, differences, informative
from retrieval.matching import RowMatcher
from retrieval.registration import offsets_m, sides_m
from retrieval.serving import Serving
from retrieval.survey import MAX_OFFSET, mismatch_of


def open_reranker(name: str, query: Query, serving: Serving, open_encoder: Callable[[], Encoder]) -> Reranker:
    """The reranker of a name, ready for a query.

    Raises UsageError for an unknown name or a query that it cannot reorder, UnsupportedModality where model or index
    have no means.
    """
    if name != "mismatch":
        raise UsageError(f"no reranker is called {name!r}; there is mismatch")
    if not any(isinstance(part, ImagePart) and part.layer == "map" and part.weight > 0 for part in query.parts):
        raise UsageError("--rerank mismatch compares hits with the map picture of the query: give one with --map")
    return MismatchReranker(serving, RowMatcher(serving, open_encoder()))


class MismatchReranker:
    """Orders hits by how much they disagree with the query's map picture, worst first.

    A hit's score becomes its mismatch, 0..1; what cannot be compared gets 0. `why` says mismatch, cause and offset.
    """

    def __init__(self, serving: Serving, matcher: RowMatcher) -> None:
        self._serving, self._matcher = serving, matcher

    def rerank(self, query: Query, hits: Sequence[Hit]) -> Sequence[Hit]:
        """The same hits; equal ones keep their order, and the ranks of the page are given anew."""
        picture = next(part for part in query.parts if isinstance(part, ImagePart) and part.layer == "map")
        rows = np.asarray([self._serving.row_of(hit.id) for hit in hits], np.int64)
        told = [hit.model_copy(update={"score": 0.0}) for hit in hits]
        comparable = np.flatnonzero(np.isin(rows, self._matcher.comparable(self._serving.layers["aerial"])))
        if len(comparable):
            pixels = read_rgb(picture.data, "the map picture of the query")
            judged = self._matcher.judge_picture(pixels, rows[comparable], MAX_OFFSET)
            for at, (mismatch, why) in zip(comparable.tolist(), self._reasons(judged, rows[comparable]), strict=True):
                told[at] = hits[at].model_copy(update={"score": mismatch, "why": hits[at].why | why})
        first = min((hit.rank for hit in hits), default=1)
        ordered = sorted(told, key=lambda hit: -hit.score)
        return tuple(hit.model_copy(update={"rank": first + i}) for i, hit in enumerate(ordered))

    def _reasons(self, judged: Judgement, rows: RowIds) -> Iterator[tuple[float, dict[str, Any]]]:
        """Mismatch and explanation of each row."""
        found, said = differences(judged), informative(judged.shares)
        metres = offsets_m(judged.offset, sides_m(self._serving, rows))
        for i, mismatch in enumerate(mismatch_of(judged).tolist()):
            told = diagnose(found, i, mismatch=mismatch, informative=bool(said[i]), moved_m=None, nodata=0.0)
            why: dict[str, Any] = {"mismatch": round(mismatch, 4), "cause": told.cause, "reason": told.reason}
            if said[i] and np.isfinite(metres[i]).all():
                why["offset_m"] = [round(metre, 2) for metre in metres[i].tolist()]
            yield mismatch, why
