"""What a query's terms make of its hits: a probability for each, and whether the index answers the question at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geoanchor.protocols import RowIds, Vectors
from retrieval.calibration import Calibration, Scores
from retrieval.counterpart import CounterpartTerm
from retrieval.relevance import DEPTH, Asked, Relevance
from retrieval.serving import Serving
from retrieval.terms import FusedTerm, RelationTerm, Term, VectorTerm

_LEAST_PAIR = 0.1
"""Both things may be in an index, and nowhere near each other: the likeliest pair is to be so likely at least."""
_COUNTERPARTS = 10
"""Best rows of the other layer that are asked how likely they are."""
_LEAST_ALIKE = 0.1
"""The likeliest counterpart of a map or a picture is to be so likely at least. Of 80 New York maps whose pictures were
there, moved by up to a tenth of their side, none had less than .34; of 113 others half had no more than .13."""


class Verdicts:
    """Judges the hits of queries over one opened index.

    Args:
        open_calibration: gives that of the index's bundle, None where it has none; called once, when first needed.
    """

    def __init__(self, serving: Serving, open_calibration: Callable[[], Calibration | None]) -> None:
        self._serving = serving
        self._open_calibration = open_calibration

    @cached_property
    def relevance(self) -> Relevance:
        """Over this index."""
        return Relevance(self._serving, self._open_calibration())

    def on(self, terms: Sequence[Term]) -> Verdict:
        """The one on a query of these terms."""
        counterpart = next((term for term in terms if isinstance(term, CounterpartTerm)), None)
        return Verdict(self.relevance, [_wish_of(term) for term in terms if _tells(term)], counterpart)


@dataclass(frozen=True, slots=True)
class _Nearby:
    """Another thing, wanted near the first.

    Attributes:
        partners: gives the rows (n, p) that may show it for each of some rows, -1 for none.
    """

    asked: Asked
    partners: Callable[[RowIds], RowIds]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a term asks.

    Attributes:
        in_words: only words can go unanswered: there is always a picture that is likest to a picture.
    """

    asked: Asked
    in_words: bool
    nearby: _Nearby | None = None


class Verdict:
    """Judges the hits of one query.

    Args:
        wishes: what it asks, but for places. counterpart: the other side of a picture, where that is asked for.
    """

    def __init__(
        self, relevance: Relevance, wishes: Sequence[_Wish], counterpart: CounterpartTerm | None = None
    ) -> None:
        self._relevance = relevance
        self._wishes = wishes
        self._counterpart = counterpart

    def probabilities(self, rows: RowIds) -> Scores | None:
        """How likely each of some rows (n,) is right, 0..1, NaN where nothing tells; None where only places were asked
        for.

        A row is right for several wishes when it is for each; for "A by B" when it shows A and one of its partners B;
        for a map or an aerial picture, in the other layer, when it shows the same ground.
        """
        found = [self._likely(wish, rows) for wish in self._wishes]
        likely = np.prod(found, axis=0) if found else None
        if self._counterpart is None:
            return likely
        same = self._counterpart.probabilities(rows)
        return same if likely is None else np.where(np.isnan(same), likely, same)

    def answered(self, best: RowIds, allowed: RowIds | None = None) -> bool:
        """Whether one of the best rows at least is likely enough to be right.

        Args:
            allowed: rows that could have been among the best, None for all.
        """
        if not len(best) or self._unlike(best):
            return False
        return all(self._answers(wish, best[:DEPTH], allowed) for wish in self._wishes if wish.in_words)

    def _unlike(self, best: RowIds) -> bool:
        """Whether rows of the other layer alone are the best, and none of them shows the picture's ground."""
        if self._counterpart is None or self._counterpart.part.weight <= 0:
            return False
        same = self._counterpart.probabilities(best[:_COUNTERPARTS])
        return bool((same < _LEAST_ALIKE).all())

    def _likely(self, wish: _Wish, rows: RowIds) -> Scores:
        likely = self._relevance.probability(wish.asked, rows)
        if wish.nearby is None:
            return likely
        partners = wish.nearby.partners(rows)
        some, at = np.unique(partners, return_inverse=True)
        other = self._relevance.probability(wish.nearby.asked, np.maximum(some, 0))
        there = np.where(partners >= 0, other[at.reshape(partners.shape)], 0.0).max(axis=1)
        return np.asarray(likely * there)

    def _answers(self, wish: _Wish, rows: RowIds, allowed: RowIds | None) -> bool:
        if self._relevance.answer(wish.asked, rows, allowed) < 0:
            return False
        if wish.nearby is None:
            return True
        partners = np.unique(wish.nearby.partners(rows))
        partners = partners[partners >= 0]
        return (
            len(partners) > 0
            and self._relevance.answer(wish.nearby.asked, partners) >= 0  # It may lie outside of what is allowed.
            and float(self._likely(wish, rows).max()) >= _LEAST_PAIR
        )


def _tells(term: Term) -> bool:
    return isinstance(term, VectorTerm | FusedTerm | RelationTerm)


def _wish_of(term: Term) -> _Wish:
    if isinstance(term, RelationTerm):
        nearby = _Nearby(_part_of(term, term.thing, term.relation.object), term.partners)
        return _Wish(_part_of(term, term.subject, term.relation.subject), in_words=True, nearby=nearby)
    if isinstance(term, VectorTerm):
        return _Wish(Asked(term.words, term.likeness, term.vector, term.space), in_words=bool(term.words))
    return _Wish(Asked("", term.scores), in_words=False)


def _part_of(term: RelationTerm, vector: Vectors, text: str) -> Asked:
    index = term.serving.exact(term.space)
    return Asked(text, lambda rows: index.rescore(vector, rows).astype(np.float64), vector, term.space)
