"""The terms of a query: each gives every row a score, higher is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Layer
from geoanchor.protocols import RowIds, Vectors
from geoanchor.query import LikePart, Part, PointPart, TextPart
from retrieval.index.flat import best_first
from retrieval.region import distances_m
from retrieval.relations import Matches, Relation, beliefs, best_matches, grounded, likely_partners, match_relation
from retrieval.serving import Serving

Scores = NDArray[np.float64]

_BACKGROUND = 4_096
"""Rows, evenly spread over the gallery, whose scores say what is usual for a query."""

_PARTNERS = 4
"""Rows that may show the object of a relation, of those in reach."""


class Term(Protocol):
    """One thing that a query wants."""

    def scores(self, rows: RowIds) -> Scores:
        """Scores (n,) of rows (n,) sorted positions."""

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """What explains the score of each row."""


@dataclass(frozen=True)
class VectorTerm:
    """Likeness to the weighted sum of the parts' vectors, in one space, and what map tags add to it: 1 for rows that
    bear those of all that the words name, a share of it where they bear some, less the like for unwanted words.

    Attributes:
        parts: with their vectors (d,); the sum is brought to unit length where the space's metric is cosine.
        borne: what they add (g,) for every row, None where tags do not count.
    """

    serving: Serving
    space: str
    parts: Sequence[tuple[Part, Vectors]]
    borne: Scores | None = None

    @property
    def words(self) -> str:
        """The words that are wanted; "" where anything but words is."""
        wanted = [part for part, _ in self.parts if part.weight > 0]
        texts = [part.text for part in wanted if isinstance(part, TextPart)]
        return " ".join(texts) if len(texts) == len(wanted) else ""

    @cached_property
    def vector(self) -> Vectors:
        """The query vector (d,)."""
        total = np.sum([part.weight * vector for part, vector in self.parts], axis=0, dtype=np.float64)
        if self.serving.manifest.spaces[self.space].metric == "cosine":
            total /= max(float(np.linalg.norm(total)), 1e-12)
        return np.asarray(total, np.float32)

    def best(self, count: int, rows: RowIds | None) -> tuple[Scores, RowIds]:
        """The best `count` of the allowed rows, without scoring each where an index can tell."""
        if self.borne is None or (rows is not None and not len(rows)):
            return self._likest(count, rows)
        found = np.unique(np.concatenate([self._likest(count, some)[1] for some in _levels(self.borne, rows)]))
        return best_first(self.scores(found), found, count)

    def scores(self, rows: RowIds) -> Scores:
        """Likeness, and what tags add."""
        likeness = self.likeness(rows)
        return likeness if self.borne is None else likeness + self.borne[rows]

    def likeness(self, rows: RowIds) -> Scores:
        """Inner products in double precision."""
        return self.serving.exact(self.space).rescore(self.vector, rows).astype(np.float64)

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """The likeness, that of each part where there are several, and what tags add."""
        index = self.serving.exact(self.space)
        out: list[dict[str, Any]] = [{self.space: float(score)} for score in index.rescore(self.vector, rows)]
        if len(self.parts) > 1:
            columns = [index.rescore(vector, rows) for _, vector in self.parts]
            for i, reason in enumerate(out):
                reason["parts"] = [
                    {**_name(part), "weight": part.weight, "score": float(column[i])}
                    for (part, _), column in zip(self.parts, columns, strict=True)
                ]
        for reason, share in zip(out, _shares(self.borne, rows), strict=True):
            reason |= {"tags": share} if share else {}
        return out

    def _likest(self, count: int, rows: RowIds | None) -> tuple[Scores, RowIds]:
        scores, found = self.serving.index(self.space).search(self.vector[None], count, rows)
        return scores[0][found[0] >= 0].astype(np.float64), found[0][found[0] >= 0]


@dataclass(frozen=True)
class FusedTerm:
    """Several spaces: each one's scores in standard deviations from what is usual in the gallery, averaged.

    A row without a vector in a space counts there as usual, 0.

    Attributes:
        layer: rows of others count as usual, and what is usual is so on this one; None for all.
        weight: of the mean beside other terms.
    """

    serving: Serving
    terms: Sequence[VectorTerm]
    layer: Layer | None = None
    weight: float = 1.0

    def scores(self, rows: RowIds) -> Scores:
        """Mean of the standardised scores."""
        return np.asarray(self.weight * np.mean([self._standardised(term, rows) for term in self.terms], axis=0))

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """Each space's own score."""
        reasons = [term.why(rows) for term in self.terms]
        return [{key: value for part in parts for key, value in part.items()} for parts in zip(*reasons, strict=True)]

    def _standardised(self, term: VectorTerm, rows: RowIds) -> Scores:
        present = self.serving.present(term.space)
        pool = np.arange(len(self.serving)) if self.layer is None else self.serving.layers[self.layer]
        pool = pool if present is None else np.intersect1d(pool, present, assume_unique=True)
        if not len(pool):
            return np.zeros(len(rows))
        usual = term.scores(pool[:: max(1, len(pool) // _BACKGROUND)])
        z = (term.scores(rows) - usual.mean()) / (usual.std() + 1e-9)
        return z if len(pool) == len(self.serving) else np.where(np.isin(rows, pool), z, 0.0)


@dataclass(frozen=True)
class PointTerm:
    """Nearness to places: the sum of weight / (1 + kilometres).

    Attributes:
        holding_first: rows whose bounds hold a wanted point come first: 1 is added to their score.
    """

    serving: Serving
    parts: Sequence[PointPart]
    holding_first: bool

    def scores(self, rows: RowIds) -> Scores:
        """Sum over the points; 0 for rows without position."""
        total = np.zeros(len(rows))
        for part in self.parts:
            near = 1 / (1 + self._distances_m(part, rows) / 1000)
            total += part.weight * np.where(np.isnan(near), 0.0, near)
            if self.holding_first and part.weight > 0:
                total += self._holds(part, rows)
        return total

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """Distance to the nearest wanted point in metres, and whether the row's bounds hold one."""
        wanted = [part for part in self.parts if part.weight > 0] or self.parts
        metres = np.min([self._distances_m(part, rows) for part in wanted], axis=0)
        holds = np.any([self._holds(part, rows) for part in wanted], axis=0)
        return [
            {"distance_m": None if np.isnan(m) else round(float(m), 1), "holds_point": bool(h)}
            for m, h in zip(metres, holds, strict=True)
        ]

    def _distances_m(self, part: PointPart, rows: RowIds) -> Scores:
        places = self.serving.places
        return distances_m(part.lng, part.lat, places.lng[rows], places.lat[rows])

    def _holds(self, part: PointPart, rows: RowIds) -> NDArray[np.bool_]:
        west, south, east, north = self.serving.edges(rows)
        inside = np.where(
            west <= east, (west <= part.lng) & (part.lng <= east), (west <= part.lng) | (part.lng <= east)
        )
        return np.asarray(inside & (south <= part.lat) & (part.lat <= north))


@dataclass(frozen=True)
class RelationTerm:
    """A subject here with an object near; see `retrieval.relations`.

    Attributes:
        subject, thing: vectors (d,) of the two phrases.
        borne: for each of the two the share (g,) of its map tags that every row bears, None where tags do not count.
    """

    serving: Serving
    space: str
    relation: Relation
    subject: Vectors
    thing: Vectors
    weight: float = 1.0
    borne: tuple[Scores | None, Scores | None] = (None, None)
    _believed: list[tuple[Scores, Scores]] = field(default_factory=list, init=False, repr=False)

    def best(self, count: int, rows: RowIds | None) -> tuple[Scores, RowIds]:
        """The best `count` of the allowed rows, without looking around each."""
        subject, thing = self._beliefs
        rows = np.arange(len(subject)) if rows is None else rows
        scores, found = best_matches(subject, thing, self.relation.decay_m, self.serving.places, rows, count)
        return self.weight * scores, found

    def scores(self, rows: RowIds) -> Scores:
        """Belief in both, 0..1."""
        return self.weight * self._matches(rows).scores

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """The two phrases, how far each is believed, and the row of the object with its distance."""
        found = self._matches(rows)
        partners = iter(self.serving.facts(found.partner[found.partner >= 0], ["id"]))
        subject, thing = self._beliefs
        reasons = []
        for i, row in enumerate(rows.tolist()):
            reason: dict[str, Any] = {"subject": self.relation.subject, "object": self.relation.object}
            reason |= {"subject_score": round(float(subject[row]), 4)}
            if (partner := int(found.partner[i])) >= 0:
                reason |= {"object_id": next(partners)["id"], "object_score": round(float(thing[partner]), 4)}
                reason |= {"distance_m": round(float(found.distance_m[i]), 1)}
            reasons.append({"relation": reason})
        return reasons

    def partners(self, rows: RowIds) -> RowIds:
        """The rows (n, 4) where the object is believed most for each row, -1 where fewer are in reach."""
        return likely_partners(self._beliefs[1], self.relation.decay_m, self.serving.places, rows, _PARTNERS)

    def _matches(self, rows: RowIds) -> Matches:
        subject, thing = self._beliefs
        return match_relation(subject, thing, self.relation.decay_m, self.serving.places, rows)

    @property
    def _beliefs(self) -> tuple[Scores, Scores]:
        """Of subject and object; kept."""
        # Not a cached_property: until Python 3.12 these let but one thread compute at a time, whatever the instance.
        if not self._believed:
            self._believed.append(self._believe())
        return self._believed[0]

    def _believe(self) -> tuple[Scores, Scores]:
        index = self.serving.exact(self.space)
        present = self.serving.present(self.space)
        groups = list(self.serving.layers.values())
        if present is not None:
            groups = [np.intersect1d(rows, present, assume_unique=True) for rows in groups]
        first, second = (
            grounded(beliefs(scores.astype(np.float64), groups, self.serving.spill), borne)
            for scores, borne in zip(index.scores(np.stack([self.subject, self.thing])), self.borne, strict=True)
        )
        return first, second


class Ranking:
    """The allowed rows of a query, best first, as deep as one asks.

    Args:
        terms: at least one; their scores add up.
        rows: sorted positions that may be returned, None for all of the gallery.
    """

    def __init__(self, serving: Serving, terms: Sequence[Term], rows: RowIds | None) -> None:
        self._terms = terms
        self._allowed = rows
        self._scored: tuple[Scores, RowIds] | None = None
        self._total = len(serving) if rows is None else len(rows)

    def best(self, count: int) -> tuple[Scores, RowIds]:
        """Scores and rows of the best `count`, ties by lower row."""
        if len(self._terms) == 1 and isinstance(self._terms[0], VectorTerm | RelationTerm):
            return self._terms[0].best(count, self._allowed)
        self._scored = scores, rows = self._scored or self._score_all()
        return best_first(scores, rows, count)

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """What explains the score of each of some rows."""
        if not len(rows):
            return []
        reasons = [term.why(rows) for term in self._terms]
        return [{key: value for part in parts for key, value in part.items()} for parts in zip(*reasons, strict=True)]

    def _score_all(self) -> tuple[Scores, RowIds]:
        rows = np.arange(self._total) if self._allowed is None else self._allowed
        return np.sum([term.scores(rows) for term in self._terms], axis=0), rows


def _levels(borne: Scores, rows: RowIds | None) -> list[RowIds | None]:
    """The allowed rows, None for all, by what tags add to them. While tags take nothing away all of them do in place of
    those of 0: none of these comes among the best that is not among the likest of all."""
    own = borne if rows is None else borne[rows]
    bearing = np.flatnonzero(own)
    levels = [bearing[own[bearing] == level] for level in np.unique(own[bearing])]
    taken = own.min() < 0
    if taken:
        levels.append(np.flatnonzero(own == 0))
    told = [at if rows is None else rows[at] for at in levels]
    return [*told] if taken else [rows, *told]


def _shares(borne: Scores | None, rows: RowIds) -> list[float]:
    return [0.0] * len(rows) if borne is None else borne[rows].round(4).tolist()


def _name(part: Part) -> dict[str, str]:
    """What a part is called in an explanation."""
    match part:
        case TextPart(text=text):
            return {"text": text}
        case LikePart(id=row_id):
            return {"like": row_id}
        case _:
            return {part.kind: getattr(part, "layer", "")}
