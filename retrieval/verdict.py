"""What a query's terms make of its hits: a probability for each, and whether the index answers the question at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from geoanchor.protocols import RowIds, Vectors
from retrieval.calibration import Calibration, Scores
from retrieval.relevance import DEPTH, Asked, Relevance
from retrieval.serving import Serving
from retrieval.terms import FusedTerm, RelationTerm, Term, VectorTerm

_LEAST_PAIR = 0.1
"""Both things may be in an index, and nowhere near each other: the likeliest pair is to be so likely at least."""


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

    def probabilities(self, terms: Sequence[Term], rows: RowIds) -> Scores | None:
        """How likely each of some rows (n,) is right, 0..1; None where only places were asked for.

        A row is right for several wishes when it is for each; for "A by B" when it shows A and one of its partners B.
        """
        found = [self._of_term(term, rows) for term in terms if _tells(term)]
        return np.prod(found, axis=0) if found else None

    def answered(self, terms: Sequence[Term], best: RowIds, allowed: RowIds | None = None) -> bool:
        """Whether one of the best rows at least is likely enough to be right. Only words can go unanswered: there is
        always a picture that is likest to a picture.

        Args:
            allowed: rows that could have been among the best, None for all.
        """
        if not len(best):
            return False
        return all(self._answers(term, best[:DEPTH], allowed) for term in terms if _in_words(term))

    def _of_term(self, term: Term, rows: RowIds) -> Scores:
        if not isinstance(term, RelationTerm):
            return self.relevance.probability(_asked(term), rows)
        partners = term.partners(rows)
        some, at = np.unique(partners, return_inverse=True)
        thing = self.relevance.probability(_part_of(term, term.thing, term.relation.object), np.maximum(some, 0))
        there = np.where(partners >= 0, thing[at.reshape(partners.shape)], 0.0).max(axis=1)
        subject = self.relevance.probability(_part_of(term, term.subject, term.relation.subject), rows)
        return np.asarray(subject * there)

    def _answers(self, term: Term, rows: RowIds, allowed: RowIds | None) -> bool:
        if not isinstance(term, RelationTerm):
            return self.relevance.answer(_asked(term), rows, allowed) >= 0
        partners = np.unique(term.partners(rows))
        partners = partners[partners >= 0]
        subject = _part_of(term, term.subject, term.relation.subject)
        thing = _part_of(term, term.thing, term.relation.object)
        return (
            len(partners) > 0
            and self.relevance.answer(subject, rows, allowed) >= 0
            and self.relevance.answer(thing, partners) >= 0  # It may lie outside of what is allowed.
            and float(self._of_term(term, rows).max()) >= _LEAST_PAIR
        )


def _tells(term: Term) -> bool:
    return isinstance(term, VectorTerm | FusedTerm | RelationTerm)


def _in_words(term: Term) -> bool:
    return isinstance(term, RelationTerm) or (isinstance(term, VectorTerm) and bool(term.words))


def _asked(term: Term) -> Asked:
    if isinstance(term, VectorTerm):
        return Asked(term.words, term.likeness, term.vector, term.space)
    return Asked("", term.scores)


def _part_of(term: RelationTerm, vector: Vectors, text: str) -> Asked:
    index = term.serving.exact(term.space)
    return Asked(text, lambda rows: index.rescore(vector, rows).astype(np.float64), vector, term.space)
