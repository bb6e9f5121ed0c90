"""Late interaction: a hit is as good as its picture and as its likest segment, and says which one that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from geoanchor.errors import UsageError
from geoanchor.protocols import RowIds, Vectors
from geoanchor.tiling import Bounds
from retrieval.segments import SegmentGallery
from retrieval.serving import Serving
from retrieval.terms import RelationTerm, Scores, Term, VectorTerm

RERANKER = "segments"
SHARE = 0.3
"""Of the likest segment in a hit's score."""
BLOCK = 200
"""Hits that are reordered among themselves: the best 200, the next 200, ... so that pages never overlap."""


class Ranked(Protocol):
    """Rows of a query, best first, as deep as one asks."""

    def best(self, count: int) -> tuple[Scores, RowIds]:
        """Scores and rows of the best `count`."""

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """What explains the score of each of some rows."""


def with_segments(ranking: Ranked, terms: Sequence[Term], serving: Serving, reorder: bool) -> Ranked:
    """A ranking whose hits name the segment that suits the query best, where the index has segments.

    Args:
        terms: of the query. reorder: whether the segments' likeness also counts in the score.

    Raises UsageError where they are to be reordered and cannot be.
    """
    gallery, record = serving.segments, serving.manifest.segments
    if gallery is None or record is None:
        if reorder:
            raise UsageError(f"{serving.folder}: has no segments; build an index with `--segments regions`")
        return ranking
    alone = len(terms) == 1 and isinstance(terms[0], VectorTerm) and terms[0].space == record.space
    if reorder and not alone:
        raise UsageError(
            "--rerank segments needs words, pictures or rows alone: give no coordinate and no other space, and "
            'read "A by B" as one thing with --no-relations'
        )
    vector = next((found for term in terms if (found := _vector_in(term, record.space)) is not None), None)
    return ranking if vector is None else LateRanking(ranking, serving, gallery, vector, SHARE if reorder else 0.0)


def _vector_in(term: Term, space: str) -> Vectors | None:
    """What a hit itself should show, as a vector of a space."""
    if isinstance(term, VectorTerm) and term.space == space:
        return term.vector
    if isinstance(term, RelationTerm) and term.space == space:
        return term.subject
    return next((_vector_in(part, space) for part in getattr(term, "terms", ())), None)


class LateRanking:
    """Another ranking, its hits reordered by (1 - share) cos(picture, query) + share max cos(segment, query).

    Args:
        vector: (d,) of the query. share: 0 leaves order and scores as they are.
    """

    def __init__(
        self, ranking: Ranked, serving: Serving, gallery: SegmentGallery, vector: Vectors, share: float
    ) -> None:
        self._ranking = ranking
        self._serving = serving
        self._gallery = gallery
        self._vector = vector
        self._share = share

    def best(self, count: int) -> tuple[Scores, RowIds]:
        """Scores and rows of the best `count`; a row without segments keeps its score."""
        if not self._share:
            return self._ranking.best(count)
        scores, rows = self._ranking.best(-(-count // BLOCK) * BLOCK)
        likest, _ = self._gallery.best(rows, self._vector)
        late = scores + self._share * np.where(np.isnan(likest), 0.0, likest - scores)
        blocks = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
        order = np.concatenate([b.start + np.lexsort((rows[b], -late[b])) for b in blocks] or [np.zeros(0, np.int64)])
        return late[order][:count], rows[order][:count]

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """The reasons there are, and the likest segment of each row."""
        reasons = self._ranking.why(rows)
        scores, numbers = self._gallery.best(rows, self._vector)
        for reason, row, fact, score, number in zip(
            reasons, rows.tolist(), self._serving.facts(rows), scores.tolist(), numbers.tolist(), strict=True
        ):
            corners = [fact[side] for side in ("west", "south", "east", "north")]
            bounds = None if None in corners else Bounds(*corners)
            if number >= 0 and (told := self._gallery.told(row, number, score, bounds)) is not None:
                reason["segment"] = told
        return reasons
