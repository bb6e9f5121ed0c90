"""The one way to ask an index: Query in, Answer out.

Filters leave rows; the parts become terms; the terms rank the rows; a page of the ranking becomes hits. What a text or
a picture means is the encoder's business, and it is opened only when a query needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

import numpy as np

from geoanchor.count import counted
from geoanchor.errors import UnsupportedModality
from geoanchor.image import Layer, Pixels
from geoanchor.picture import read_rgb
from geoanchor.protocols import Details, Encoder, Reranker, RowIds
from geoanchor.query import Answer, Hit, LikePart, Query, row_fields
from retrieval.calibration import Calibration
from retrieval.interpreter import Interpreter, ReadPicture
from retrieval.late import RERANKER, Ranked, with_segments
from retrieval.matching import RowMatcher
from retrieval.region import region_rows
from retrieval.relevance import DEPTH
from retrieval.serving import Serving
from retrieval.suppression import suppress
from retrieval.terms import PointTerm, Ranking, RelationTerm, Scores, Term, VectorTerm
from retrieval.verdict import Verdict, Verdicts

NEAREST = 3
"""Nearest misses that an answer tells of where nothing matches."""


@dataclass(frozen=True, slots=True)
class Description:
    """A text of the index that suits a picture; score: higher is better."""

    text: str
    score: float


class Searcher:
    """Answers queries over an opened index.

    Args:
        serving: the index's snapshot.
        open_encoder: gives the encoder that the index was built with; called once, when first needed.
        open_calibration: gives what makes scores of that encoder's bundle probabilities, None where it has none.
        details: of rows, from the store of record.
        read: pixels of the bytes of a layer's picture to ask with; raises BadInput, naming what it is told.
    """

    def __init__(
        self,
        serving: Serving,
        open_encoder: Callable[[], Encoder],
        open_calibration: Callable[[], Calibration | None] = lambda: None,
        details: Details = lambda _ids, _column: {},
        read: ReadPicture = lambda data, where, layer: read_rgb(data, where, layer=layer),
    ) -> None:
        self._serving = serving
        self._verdicts = Verdicts(serving, open_calibration)
        self._details = details
        self._interpreter = Interpreter(
            serving, open_encoder, lambda: self._verdicts.relevance.naming, read, lambda ids: details(ids, "thumbnail")
        )

    @property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with, opened on first use."""
        return self._interpreter.encoder

    @property
    def matcher(self) -> RowMatcher:
        """What compares rows of the two layers. Raises UnsupportedModality where model or index have no means."""
        return self._interpreter.row_matcher

    def search(self, query: Query) -> Answer:
        """A page of the best rows.

        With one embedding space a score is the inner product with the query vector (the cosine, where the space's
        metric is that), and 1 more where the row bears the map tags of what the text names (`Query.tags`); a relation's
        score is a belief 0..1; a point adds weight / (1 + kilometres), and on its own 1 more for rows whose bounds hold
        it; several spaces are averaged in standard deviations from the gallery's usual score. A map or an aerial
        picture, alone or where the other layer is asked for, is also compared, cell by cell, with the other layer's
        rows, whose likeness of structure is added, in standard deviations above the usual.

        Each hit's `why` has its probability, except where only places are asked for; see `retrieval.relevance`.

        Raises UsageError on what makes no sense (an unknown id, space or reranker, an invalid region), BadInput on an
        unreadable picture, UnsupportedModality and SpaceMismatch where the encoder cannot answer.
        """
        reranker = self._reranker(query)
        if reranker is not None:
            query = query.model_copy(update={"layer": reranker.layer})
        terms = self._interpreter.terms(query)
        passed = self._filtered(query)
        rows = self._comparable(query, terms, passed)
        total = len(self._serving) if rows is None else len(rows)
        ranking = with_segments(
            Ranking(self._serving, terms, rows), terms, self._serving, reorder=query.rerank == RERANKER
        )
        scores, found, suppressed = self._page(ranking, query, total)
        verdict = self._verdicts.on(terms)
        hits = self._hits(ranking, verdict, scores, found, query.offset)
        if reranker is not None:
            hits = tuple(reranker.rerank(query, hits))
        answer = Answer(hits=hits, total=total, note=_note(query, len(passed), total, len(found)))
        best = found if query.offset == 0 and len(found) >= min(DEPTH, total) else ranking.best(min(DEPTH, total))[1]
        if not verdict.answered(best, rows):
            nearest = hits[:NEAREST] if query.offset == 0 else self._hits(ranking, verdict, *ranking.best(NEAREST), 0)
            answer = answer.model_copy(update={"verdict": "nothing", "nearest": nearest})
        return _hiding(answer, query.min_probability, suppressed)

    def scores(self, query: Query) -> tuple[Scores, RowIds]:
        """Every row that the query's filters let pass, with its score, in serving order: what a heat map shows."""
        terms = self._interpreter.terms(query)
        rows = self._comparable(query, terms, self._filtered(query))
        rows = np.arange(len(self._serving)) if rows is None else rows
        return np.sum([term.scores(rows) for term in terms], axis=0), rows

    def describe(self, pixels: Pixels, layer: Layer, k: int = 5) -> tuple[Description, ...]:
        """The k texts of the index that suit a picture best.

        Args:
            pixels: (h, w, 3) uint8; layer: what kind of picture it is.
        """
        spaces = self._serving.manifest.spaces
        space = next((name for name, space in spaces.items() if {layer, "text"} <= set(space.modalities)), None)
        if space is None:
            raise UnsupportedModality(
                f"{self._serving.folder}: no embedding space holds both {layer} pictures and texts"
            )
        texts, index = self._serving.texts(space)
        self._interpreter.require(space)
        scores, found = index.search(self.encoder.encode([pixels], layer, "query")[space], k)
        return tuple(
            Description(str(texts[int(row)]), float(score))
            for score, row in zip(scores[0], found[0], strict=True)
            if row >= 0
        )

    def _reranker(self, query: Query) -> Reranker | None:
        if not query.rerank or query.rerank == RERANKER:
            return None
        from retrieval.rerank import open_reranker

        return open_reranker(
            query.rerank, query, self._serving, lambda: self.matcher, self._details, self._interpreter.pixels
        )

    def _filtered(self, query: Query) -> RowIds:
        """Sorted positions of the rows that pass every filter."""
        serving, parts = self._serving, []
        if query.region is not None:
            parts.append(region_rows(query.region, serving.places))
        if query.layer is not None:
            parts.append(serving.layers[query.layer])
        if query.since is not None or query.until is not None:
            first, last = _microseconds(query.since, np.iinfo(np.int64).min + 1), _microseconds(query.until)
            parts.append(np.flatnonzero((serving.acquired_us >= first) & (serving.acquired_us <= last)))
        return reduce(_both, sorted(parts, key=len)) if parts else np.arange(len(serving))

    def _comparable(self, query: Query, terms: Sequence[Term], rows: RowIds) -> RowIds | None:
        """Those of some sorted positions that the terms can rank, without the rows that others shall be like; None for
        all rows of the index."""
        parts = [rows]
        if all(isinstance(term, VectorTerm | RelationTerm) for term in terms):
            present = (
                self._serving.present(term.space) for term in terms if isinstance(term, VectorTerm | RelationTerm)
            )
            parts += [there for there in present if there is not None]
        if any(isinstance(term, PointTerm) for term in terms):
            parts.append(self._serving.places.placed)
        liked = [self._interpreter.row(part) for part in query.parts if isinstance(part, LikePart)]
        if liked:
            parts.append(np.delete(np.arange(len(self._serving)), liked))
        found = reduce(_both, sorted(parts, key=len))
        return None if len(found) == len(self._serving) else found

    def _page(self, ranking: Ranked, query: Query, total: int) -> tuple[Scores, RowIds, int]:
        """Scores and rows of the page, and how many rows were passed over for it as too near to better ones."""
        end, suppressed = min(query.offset + query.k, total), 0
        if query.suppress_m > 0:
            scores, found, suppressed = self._suppressed(ranking, query, total)
        else:
            scores, found = ranking.best(end)
        return scores[query.offset : end], found[query.offset : end], suppressed

    def _suppressed(self, ranking: Ranked, query: Query, total: int) -> tuple[Scores, RowIds, int]:
        """The ranking without near neighbours of better rows, to the end of the page or of the rows; and how many such
        neighbours stand before the last of the page."""
        end = query.offset + query.k
        depth = min(4 * end, total)
        while True:
            scores, found = ranking.best(depth)
            kept = suppress(found, self._serving.places.lng, self._serving.places.lat, query.suppress_m)
            if len(kept) >= end or depth == total:
                last = int(np.flatnonzero(found == kept[min(end, len(kept)) - 1])[0]) if len(kept) else 0
                return scores[np.isin(found, kept)], kept, last + 1 - min(end, len(kept)) if len(kept) else 0
            depth = min(4 * depth, total)

    def _hits(self, ranking: Ranked, verdict: Verdict, scores: Scores, rows: RowIds, offset: int) -> tuple[Hit, ...]:
        facts, reasons = self._serving.facts(rows), ranking.why(rows)
        likely = verdict.probabilities(rows)
        if likely is not None:
            reasons = [
                why if np.isnan(p) else why | {"probability": round(float(p), 4)}
                for why, p in zip(reasons, likely, strict=True)
            ]
        return tuple(
            Hit(**row_fields(fact), rank=offset + i + 1, score=float(score), why=why)
            for i, (fact, score, why) in enumerate(zip(facts, scores, reasons, strict=True))
        )


def _both(few: RowIds, many: RowIds) -> RowIds:
    """Positions in both of two sorted sets."""
    at = np.searchsorted(many, few)
    return few[(at < len(many)) & (many[np.minimum(at, len(many) - 1)] == few)] if len(many) else many


def _microseconds(moment: datetime | None, otherwise: int = np.iinfo(np.int64).max) -> int:
    """Microseconds since 1970; a moment without time zone is UTC."""
    if moment is None:
        return otherwise
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _hiding(answer: Answer, least: float, suppressed: int) -> Answer:
    """The answer without improbable hits, with the number of all that are hidden."""
    shown = tuple(hit for hit in answer.hits if hit.why.get("probability", 1.0) >= least)
    hidden = {"improbable": len(answer.hits) - len(shown), "suppressed": suppressed}
    told = {reason: count for reason, count in hidden.items() if count}
    return answer.model_copy(update={"hits": shown, "hidden": sum(told.values()), "hidden_why": told})


def _note(query: Query, passed: int, total: int, count: int) -> str:
    """Why a page holds fewer than k hits, or "".

    Args:
        passed: rows that passed the filters; total: of these, those that can be ranked; count: of these, on the page.
    """
    if count == query.k:
        return ""
    filters = [name for name in ("region", "layer", "since", "until") if getattr(query, name) is not None]
    where = f" after the filters ({', '.join(filters)})" if filters else ""
    if passed == 0:
        return f"no row is left{where}"
    of = "" if total == passed else f", {total or 'none'} of which can be compared with this query"
    left = counted(passed, "row is left", "rows are left")
    if query.suppress_m > 0:
        return f"{left}{where}{of}; those within {query.suppress_m:g} m of a better one are not shown"
    starts = f", and the page starts at {query.offset}" if query.offset else ""
    return f"only {left}{where}{of}{starts}"
