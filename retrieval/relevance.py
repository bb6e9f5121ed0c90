"""How likely a hit is right: evidence from the query's own background, made a probability by a calibration.

A score of 0.3 is much for one query and little for another. What can be compared is how far a score stands out of the
scores that the same query has over the index, how much more the picture agrees with the query than with a bank of
other texts, and whether the row's own words say the same. A small logistic model per kind of row turns that into a
probability; it is fitted by `scripts.relevance` and belongs to one embedding space. Without one only the background
speaks.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import BadInput
from geoanchor.image import Layer
from geoanchor.protocols import RowIds, Vectors
from geoanchor.words import stems, tag_phrase
from retrieval.serving import Serving

FILE_NAME = "relevance.json"
"""In a bundle's folder."""
Scores = NDArray[np.float64]
Features = NDArray[np.float64]
Kind = Literal["words", "pictures", "plain"]
"""Rows that bear tags or a caption; rows that do not; scores of which nothing but their background is known."""

FEATURES: Mapping[Kind, tuple[str, ...]] = {
    "words": (
        "tail", "crowd", "bank", "bank_own", "margin", "lead", "grounded", "said", "all_said", "alike",
    ),
    "pictures": ("tail", "crowd", "bank", "bank_own", "margin", "lead", "grounded"),
    "plain": ("tail",),
}  # fmt: skip
"""What each kind of row is judged by; see `Relevance.evidence`."""
ANSWER_FEATURES: Mapping[Kind, tuple[str, ...]] = {
    "words": ("best", "few", "grounded", "known", "alike_any"), "pictures": ("best", "few", "grounded"),
    "plain": ("best", "few"),
}  # fmt: skip
"""What a whole answer is judged by; see `Relevance.answer_evidence`."""
DEPTH = 10
"""The verdict looks at so many of the best hits."""
_BACKGROUND, _BANK_ROWS = 4_096, 256
"""Rows, evenly spread over a layer, that say what is usual for a query; and what is usual for one beside the bank."""
_BANK_TOP, _REFERENCE_TOP = 5, 4


class Model(BaseModel):
    """A logistic model: probability = 1 / (1 + exp(-(bias + weights . features)))."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, float]
    bias: float

    def log_odds(self, features: Features, names: tuple[str, ...]) -> Scores:
        """(n,) of features (n, f) in the order of names, within -12..12."""
        weights = np.array([self.weights.get(name, 0.0) for name in names])
        return np.asarray(np.clip(self.bias + features @ weights, -12, 12))

    def probability(self, features: Features, names: tuple[str, ...]) -> Scores:
        """The same as probabilities."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features, names))))


class Calibration(BaseModel):
    """relevance.json of a bundle.

    Attributes:
        space: fingerprint of the embedding space that it was fitted in.
        bank: texts that a picture's agreement is compared with; bank_vectors: theirs, float16, base64.
        reference_vectors: of pictures of many kinds, float16, base64: what scores a text can reach at all.
        hits, answers: a model for each kind of row, of a hit and of the best hits together.
        found: the least probability of the latter at which a question counts as answered.
        quality: measured, in words and figures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    space: str = ""
    bank: tuple[str, ...] = ()
    bank_vectors: str = ""
    reference_vectors: str = ""
    hits: dict[Kind, Model]
    answers: dict[Kind, Model]
    found: dict[Kind, float]
    quality: dict[str, Any] = Field(default_factory=dict)

    @cached_property
    def vectors(self) -> Vectors:
        """Of the bank, (b, d) float32."""
        return unpacked(self.bank_vectors, len(self.bank))

    @cached_property
    def reference(self) -> Vectors:
        """Of the reference pictures, (r, d) float32."""
        dim = self.vectors.shape[1] if self.bank else 1
        return unpacked(self.reference_vectors, len(base64.b64decode(self.reference_vectors)) // (2 * dim))


UNFITTED = Calibration(
    hits={"plain": Model(weights={"tail": 1.5}, bias=-1.0)},
    answers={"plain": Model(weights={"best": 1.0}, bias=0.0)},
    found={"plain": 0.2},
)
"""For spaces that nothing was fitted in: only how far a hit stands out of its query's background."""


def packed(vectors: Vectors) -> str:
    """Vectors (n, d) as text: float16, base64."""
    return base64.b64encode(vectors.astype(np.float16).tobytes()).decode()


def unpacked(text: str, count: int) -> Vectors:
    """Vectors (n, d) float32 of `packed`."""
    raw = np.frombuffer(base64.b64decode(text), np.float16)
    return raw.reshape(count, -1).astype(np.float32) if count else np.zeros((0, 0), np.float32)


def read_calibration(path: Path) -> Calibration | None:
    """A bundle's calibration, None where it has none. Raises BadInput."""
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(str(path), "is no calibration of relevance; run `python -m scripts.relevance` again") from error


@dataclass(frozen=True, slots=True)
class Asked:
    """Something wanted: its words, empty where it was no text, and how well rows suit it.

    Attributes:
        scores: of rows; vector: (d,) in the space, where there is one.
    """

    text: str
    scores: Callable[[RowIds], Scores]
    vector: Vectors | None = None
    space: str = ""


class Relevance:
    """Probabilities of hits over one opened index.

    Args:
        calibration: of the bundle that made the index; it counts only in the very space it was fitted in.
    """

    def __init__(self, serving: Serving, calibration: Calibration | None = None) -> None:
        self._serving = serving
        spaces = {space.fingerprint: name for name, space in serving.manifest.spaces.items()}
        self.calibration = calibration if calibration and calibration.space in spaces else UNFITTED
        self.space = spaces.get(self.calibration.space, "")
        self._pools: dict[tuple[str, Layer], Vectors] = {}
        self._beside: dict[Layer, tuple[Vectors, Rivals]] = {}

    def probability(self, asked: Asked, rows: RowIds) -> Scores:
        """(n,) 0..1 for rows."""
        out = np.zeros(len(rows))
        for kind, at, features in self.evidence(asked, rows):
            out[at] = self.calibration.hits[kind].probability(features, FEATURES[kind])
        return out

    def answer(self, asked: Asked, best: RowIds) -> float:
        """How likely one of the best rows is right, less the least that counts as an answer: from 0 on it is one."""
        kind, features = self.answer_evidence(asked, best)
        told = self.calibration.answers[kind].probability(features[None], ANSWER_FEATURES[kind])
        return float(told[0]) - self.calibration.found[kind]

    def answer_evidence(self, asked: Asked, best: RowIds) -> tuple[Kind, Features]:
        """What the best rows (at least one), judged together, say: their kind and features (f,).

        best: log-odds of the likeliest row; few: mean of the three likeliest; grounded: as in `evidence`; known: share
        of the query's words that any row holds; alike_any: the greatest likeness of the query to a text of the index.
        """
        of_kind = {kind: features for kind, _, features in self.evidence(asked, best)}
        # Rows with words tell the most.
        kind: Kind = next(kind for kind in FEATURES if kind in of_kind)
        known = self.known(asked) if kind == "words" else ()
        return kind, together(kind, self.calibration.hits[kind], of_kind[kind], known)

    def evidence(self, asked: Asked, rows: RowIds) -> list[tuple[Kind, NDArray[np.intp], Features]]:
        """What is known of each row, by kind: places in `rows` and features (n, f) in the order of FEATURES.

        tail: how far the score stands above the query's median over the layer, in units of its lower spread, less what
        the best of so many rows reaches by chance; crowd: how far the best hundredth stands above it.
        bank: how far the picture prefers the query to the bank, in standard deviations over the bank; bank_own: the
        same less what the query usually has; margin: the lead over the bank's best few.
        lead: how far the score stands above the best few of the reference pictures, in units of their lower spread;
        grounded: how far these stand above the median, which tells how well the query can be seen at all.
        said: share of the query's words that the row's own words hold; all_said: whether all; alike: likeness of the
        row's words to the query's.
        """
        if not len(rows):
            return []
        scores, own = asked.scores(rows), np.zeros((len(rows), 2))
        for layer, at in self._serving.by_layer(rows):
            own[at] = _outstanding(scores[at], self._background(asked, layer), len(self._serving.layers[layer]))
        if not asked.text or asked.vector is None or not self.space or asked.space != self.space:
            return [("plain", np.arange(len(rows)), own[:, :1])]
        against = _against(scores, (self.calibration.reference @ asked.vector).astype(np.float64))
        features = np.hstack([own, self._beside_bank(asked.vector, rows), against])
        facts = self._serving.facts(rows, ["tags", "caption"])
        worded = np.array([bool(fact["tags"] or fact["caption"]) for fact in facts])
        found: list[tuple[Kind, NDArray[np.intp], Features]] = []
        if not worded.all():
            found.append(("pictures", np.flatnonzero(~worded), features[~worded]))
        if worded.any():
            at = np.flatnonzero(worded)
            said = self._said(asked, [facts[i] for i in at.tolist()])
            found.append(("words", at, np.hstack([features[at], said])))
        return found

    def _beside_bank(self, vector: Vectors, rows: RowIds) -> Features:
        """bank, bank_own and margin of rows."""
        index, bank = self._serving.exact(self.space), self.calibration.vectors
        out = np.zeros((len(rows), 3))
        for layer, at in self._serving.by_layer(rows):
            if layer not in self._beside:
                some = np.asarray(index.vectors[_spread(self._serving.layers[layer], _BANK_ROWS)], np.float32)
                self._beside[layer] = some, Rivals.of(some, bank)
            some, rivals = self._beside[layer]
            usual = float(np.median(rivals.preferred(some @ vector)))
            pictures = np.asarray(index.vectors[rows[at]], np.float32)
            own, rivals = pictures @ vector, Rivals.of(pictures, bank)
            preferred = rivals.preferred(own)
            out[at] = np.column_stack([preferred, preferred - usual, rivals.lead(own)])
        return out

    def _background(self, asked: Asked, layer: Layer) -> Scores:
        """What rows all over a layer score."""
        some = _spread(self._serving.layers[layer], _BACKGROUND)
        if asked.vector is None:
            return asked.scores(some)
        if (asked.space, layer) not in self._pools:
            # Side by side, for every question asks for them.
            self._pools[asked.space, layer] = self._serving.exact(asked.space).vectors[some]
        return (self._pools[asked.space, layer] @ asked.vector).astype(np.float64)

    def _said(self, asked: Asked, facts: list[dict[str, Any]]) -> Features:
        """said, all_said and alike of rows with words."""
        wanted = stems(asked.text)
        out = np.zeros((len(facts), 3))
        for i, fact in enumerate(facts):
            texts = [fact["caption"] or "", *(tag_phrase(tag) for tag in fact["tags"] or ())]
            held = len(wanted & frozenset().union(*map(stems, texts))) / max(len(wanted), 1)
            out[i] = held, held == 1.0, self._alike(asked.vector, texts)
        return out

    def known(self, asked: Asked) -> tuple[float, float]:
        """known and alike_any of a question: see `answer_evidence`."""
        wanted = stems(asked.text)
        nearest = float((self._texts[1] @ asked.vector).max()) if len(self._texts[0]) else 0.0
        return len(wanted & self._vocabulary) / max(len(wanted), 1), nearest

    def _alike(self, vector: Vectors | None, texts: list[str]) -> float:
        """The greatest likeness of a row's texts to the query, among the texts that the index has vectors of."""
        at, matrix = self._texts
        places = [at[text] for text in texts if text in at]
        return float((matrix[places] @ vector).max()) if places and vector is not None else 0.0

    @cached_property
    def _texts(self) -> tuple[dict[str, int], Any]:
        texts, index = self._serving.texts(self.space)
        return {text.as_py(): i for i, text in enumerate(texts)}, index.vectors  # type: ignore[attr-defined]

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset().union(*(stems(text) for text in self._texts[0])) if self._texts[0] else frozenset()


def together(kind: Kind, model: Model, features: Features, known: tuple[float, ...]) -> Features:
    """Features (f,) of an answer from those (n, f) of its best hits, in the order of ANSWER_FEATURES."""
    names = FEATURES[kind]
    odds = np.sort(model.log_odds(features, names))
    grounded = (float(features[0, names.index("grounded")]),) if "grounded" in names else ()
    return np.array([odds[-1], odds[-3:].mean(), *grounded, *known])


def _outstanding(scores: Scores, background: Scores, count: int) -> Features:
    """tail and crowd of scores against the scores of the whole layer of `count` rows."""
    low, middle, high = np.quantile(background, (0.1587, 0.5, 0.99))
    # The lower half is free of what fits the query; where scores hardly differ, their whole spread is the measure.
    spread = max(float(middle - low), float(background.std()) / 2, 1e-9)
    z = (scores - middle) / spread
    by_chance = np.sqrt(2 * np.log(max(count, 2)))
    return np.column_stack([z - by_chance, np.full(len(z), (high - middle) / spread)])


def _against(scores: Scores, reference: Scores) -> Features:
    """lead and grounded of scores against those of the reference pictures."""
    low, middle = np.quantile(reference, (0.1587, 0.5))
    best, spread = np.sort(reference)[-_REFERENCE_TOP:].mean(), max(float(middle - low), 1e-9)
    return np.column_stack([scores - best, np.full(len(scores), best - middle)]) / spread


@dataclass(frozen=True, slots=True)
class Rivals:
    """What pictures (n,) score with the texts of the bank: the mean, the spread, the mean of the best few."""

    mean: Scores
    spread: Scores
    best: Scores

    @classmethod
    def of(cls, pictures: Vectors, bank: Vectors) -> Rivals:
        """Of vectors (n, d) beside those of the bank (b, d)."""
        scores = (pictures @ bank.T).astype(np.float64)
        best = np.sort(scores, axis=1)[:, -_BANK_TOP:].mean(axis=1)
        return cls(scores.mean(axis=1), scores.std(axis=1) + 1e-9, best)

    def preferred(self, own: NDArray[np.floating]) -> Scores:
        """How far the pictures prefer a query that they score `own` (n,) with."""
        return (own - self.mean) / self.spread

    def lead(self, own: NDArray[np.floating]) -> Scores:
        """The query's lead over the best few texts."""
        return (own - self.best) / self.spread


def _spread(rows: RowIds, count: int) -> RowIds:
    """At most about `count` rows, evenly spread."""
    return rows[:: max(1, len(rows) // count)]
