"""How likely a hit is right: evidence from what is usual for the query, made a probability by a calibration.

A score of 0.3 is much for one query and little for another. What can be compared is where a score stands among those
that pictures of the same kind of imagery have with the query, how far the query leads other texts for the picture, and
whether the row's own words and tags say the same. A small logistic model per kind of imagery and of row turns that into
a probability; it is fitted by `scripts.relevance` and belongs to one embedding space. Without one only the query's own
background speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Layer
from geoanchor.protocols import RowIds, Vectors
from geoanchor.words import stems, tag_phrase
from retrieval.calibration import (
    ANSWER_FEATURES,
    FEATURES,
    UNFITTED,
    Calibration,
    Domain,
    Features,
    Kind,
    Model,
    Scores,
)
from retrieval.naming import Naming
from retrieval.serving import Serving
from retrieval.standing import Ruler, Standing

DEPTH = 10
"""The verdict looks at so many of the best hits."""
_STRANGE = 0.4
"""Strangeness of a layer from which its pictures are taken for another kind of imagery than any that was fitted on."""
_WORDED: frozenset[Kind] = frozenset({"named", "words"})
_EVEN = 0.5
"""A row with words that is likelier right than wrong is an answer. Pictures alone are not sure enough of themselves."""
_BACKGROUND = 4_096
"""Rows, evenly spread over a layer, that say what is usual for a query."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something wanted: its words, empty where it was no text, and how well rows suit it.

    Attributes:
        scores: of rows; vector: (d,) in the space, where there is one.
        rulers: what its scores are measured by, by layer, as far as that has been worked out.
    """

    text: str
    scores: Callable[[RowIds], Scores]
    vector: Vectors | None = None
    space: str = ""
    rulers: dict[Layer, Ruler] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some rows of one kind and domain.

    Attributes:
        at: their places among the rows asked for; features: (n, f) in the order of FEATURES.
        unsure: standard deviation of the error of their heights, because the imagery is of no kind that was fitted on.
    """

    kind: Kind
    domain: Domain
    at: NDArray[np.intp]
    features: Features
    unsure: float = 0.0


class Relevance:
    """Probabilities of hits over one opened index.

    Args:
        calibration: of the bundle that made the index; it counts only in the very space it was fitted in.
        naming: what names mean in tags; None for the calibration's names and the index's own tags.
    """

    def __init__(self, serving: Serving, calibration: Calibration | None = None, naming: Naming | None = None) -> None:
        self._serving = serving
        self._given_naming = naming
        spaces = {space.fingerprint: name for name, space in serving.manifest.spaces.items()}
        self.calibration = calibration if calibration and calibration.space in spaces else UNFITTED
        self.space = spaces.get(self.calibration.space, "")
        self._pools: dict[tuple[str, Layer], Vectors] = {}
        self._domains: dict[Layer, Standing] = {}
        self._unsure: dict[Layer, float] = {}

    def probability(self, asked: Asked, rows: RowIds) -> Scores:
        """(n,) 0..1 for rows."""
        out = np.zeros(len(rows))
        for some in self.evidence(asked, rows):
            judge = self.calibration.judge(some.domain, some.kind)
            out[some.at] = judge.hit.probability(some.features, FEATURES[some.kind], some.unsure)
        return out

    def answer(self, asked: Asked, best: RowIds, allowed: RowIds | None = None) -> float:
        """How likely one of the best rows is right, less the least that counts as an answer: from 0 on it is one.

        Of rows with words one that is by itself likelier right than wrong is enough.

        Args:
            best: at least one row; allowed: those that could have been among them, None for all.
        """
        found = self.evidence(asked, best)
        # Rows with words tell the most, then the layer that most of the rows are of.
        some = min(found, key=lambda some: (list(FEATURES).index(some.kind), -len(some.at)))
        if some.unsure:
            # Pictures of another kind of imagery: that nothing matches is more than they can tell.
            return 0.0
        judge = self.calibration.judge(some.domain, some.kind)
        whole = together(some.kind, judge.hit, some.features, self.known(some.kind, asked, allowed))
        sure = float(judge.answer.probability(whole[None], ANSWER_FEATURES[some.kind])[0]) - judge.found
        if some.kind in _WORDED:
            # However little the other nine have to do with the question.
            likeliest = float(judge.hit.probability(some.features, FEATURES[some.kind]).max())
            sure = max(sure, likeliest - _EVEN)
        return sure

    def evidence(self, asked: Asked, rows: RowIds) -> list[Evidence]:
        """What is known of each row, by layer and kind.

        tail: how far the score stands above the query's median over the layer, in units of its lower spread, less what
        the best of so many rows reaches by chance; height .. crowd: see `Ruler.features`.
        said: share of the query's words that the row's own words hold; all_said: whether all; alike: likeness of the
        row's words to the query's; named: share of the things the query names whose map tags the row bears.
        """
        scores, found = asked.scores(rows), []
        fitted = bool(asked.text and self.space and asked.space == self.space)
        for layer, at in self._serving.by_layer(rows):
            if not fitted or asked.vector is None:
                tail = _tail(scores[at], self._background(asked, layer), len(self._serving.layers[layer]))
                found.append(Evidence("plain", self.calibration.domains[0], at, tail[:, None]))
                continue
            standing = self._standing(layer)
            if layer not in asked.rulers:
                asked.rulers[layer] = standing.ruler(asked.vector, self._background(asked, layer))
            pictures = self._serving.exact(self.space).vectors[rows[at]]
            seen = asked.rulers[layer].features(scores[at], np.asarray(pictures, np.float32))
            facts = self._serving.facts(rows[at], ["tags", "caption"])
            worded = np.array([bool(fact["tags"] or fact["caption"]) for fact in facts])
            if not worded.all():
                found.append(Evidence("pictures", standing.domain, at[~worded], seen[~worded], self._unsure[layer]))
            if worded.any():
                told = self._told(asked, [fact for fact in facts if fact["tags"] or fact["caption"]])
                bearing = self.naming.bearing(asked.text)
                kind: Kind = "words" if bearing is None else "named"
                if bearing is not None:
                    told = np.column_stack([told, bearing[rows[at[worded]]].mean(axis=1)])
                found.append(Evidence(kind, standing.domain, at[worded], np.hstack([seen[worded], told])))
        return found

    def known(self, kind: Kind, asked: Asked, allowed: RowIds | None = None) -> tuple[float, ...]:
        """What the words of a whole index say of a question; in the order of ANSWER_FEATURES, beyond the hits.

        known: share of the query's words that any row holds; alike_any: the greatest likeness to a text of the index;
        any_named: share of the things the query names whose map tags any allowed row bears.
        """
        if kind not in _WORDED:
            return ()
        wanted = stems(asked.text)
        nearest = float((self._texts[1] @ asked.vector).max()) if len(self._texts[0]) else 0.0
        held = len(wanted & self._vocabulary) / max(len(wanted), 1)
        bearing = self.naming.bearing(asked.text) if kind == "named" else None
        if bearing is None:
            return held, nearest
        return held, nearest, float((bearing if allowed is None else bearing[allowed]).any(axis=0).mean())

    def _standing(self, layer: Layer) -> Standing:
        """Of the domain whose pictures are most like a layer's."""
        if layer not in self._domains:
            middle = self._pool(self.space, layer).mean(axis=0, dtype=np.float64)
            bank = self.calibration.vectors
            near = [domain.reference(len(middle)) for domain in self.calibration.domains]
            away = [float(np.linalg.norm(some.mean(axis=0) - middle)) for some in near]
            nearest = int(np.argmin(away))
            standing = Standing(self.calibration.domains[nearest], near[nearest], bank)
            strange = standing.strangeness(self._pool(self.space, layer))
            # Last what others look for: they may ask meanwhile.
            self._unsure[layer] = strange if strange > _STRANGE else 0.0
            self._domains[layer] = standing
        return self._domains[layer]

    def _background(self, asked: Asked, layer: Layer) -> Scores:
        """What rows all over a layer score."""
        if asked.vector is None:
            return asked.scores(_spread(self._serving.layers[layer]))
        return (self._pool(asked.space, layer) @ asked.vector).astype(np.float64)

    def _pool(self, space: str, layer: Layer) -> Vectors:
        """Vectors of rows all over a layer; side by side, for every question asks for them."""
        if (space, layer) not in self._pools:
            some = _spread(self._serving.layers[layer])
            self._pools[space, layer] = np.asarray(self._serving.exact(space).vectors[some])
        return self._pools[space, layer]

    def _told(self, asked: Asked, facts: list[dict[str, Any]]) -> Features:
        """said, all_said and alike of rows with words."""
        wanted = stems(asked.text)
        texts = [[fact["caption"] or "", *map(tag_phrase, fact["tags"] or ())] for fact in facts]
        held = [len(wanted & frozenset().union(*map(stems, some))) / max(len(wanted), 1) for some in texts]
        return np.column_stack([held, np.equal(held, 1.0), self._alike(asked.vector, texts)])

    def _alike(self, vector: Vectors | None, texts: list[list[str]]) -> list[float]:
        """The greatest likeness of each row's texts to the query, among the texts that the index has vectors of."""
        at, matrix = self._texts
        places = [[at[text] for text in some if text in at] for some in texts]
        if vector is None or not any(places):
            return [0.0] * len(texts)
        scores = iter((matrix[list(chain.from_iterable(places))] @ vector).tolist())
        return [max(islice(scores, len(some)), default=0.0) for some in places]

    @cached_property
    def naming(self) -> Naming:
        """Which rows bear what a text names."""
        return self._given_naming or Naming(self._serving, self.calibration.called, self._serving.vocabulary)

    @cached_property
    def _texts(self) -> tuple[dict[str, int], Any]:
        texts, index = self._serving.texts(self.space)
        return {text.as_py(): i for i, text in enumerate(texts)}, index.vectors  # type: ignore[attr-defined]

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset().union(*(stems(text) for text in self._texts[0])) if self._texts[0] else frozenset()


def together(kind: Kind, model: Model, features: Features, known: tuple[float, ...]) -> Features:
    """Features (f,) of an answer from those (n, f) of its best hits, in the order of ANSWER_FEATURES.

    few, all: mean log-odds of the three likeliest and of all; others: mean of the hits' own; then what is `known`.
    """
    names = FEATURES[kind]
    odds = np.sort(model.log_odds(features, names))
    own = [float(features[:, names.index(name)].mean()) for name in ANSWER_FEATURES[kind] if name in names]
    return np.array([odds[-3:].mean(), odds.mean(), *own, *known])


def _tail(scores: Scores, background: Scores, count: int) -> Scores:
    """tail of scores against those of a whole layer of `count` rows."""
    low, middle = np.quantile(background, (0.1587, 0.5))
    # The lower half is free of what fits the query; where scores hardly differ, their whole spread is the measure.
    spread = max(float(middle - low), float(background.std()) / 2, 1e-9)
    return np.asarray((scores - middle) / spread - np.sqrt(2 * np.log(max(count, 2))))


def _spread(rows: RowIds) -> RowIds:
    """Not many more rows than are needed to say what is usual, evenly spread."""
    return rows[:: max(1, len(rows) // _BACKGROUND)]
