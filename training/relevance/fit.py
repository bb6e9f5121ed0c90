"""Fits and judges calibrations of relevance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Encoder, Vectors
from indexer.concepts import CONCEPTS
from retrieval.relevance import (
    ANSWER_FEATURES,
    DEPTH,
    FEATURES,
    UNFITTED,
    Asked,
    Calibration,
    Features,
    Kind,
    Model,
    Relevance,
    packed,
    together,
)
from retrieval.serving import Serving
from training.relevance.cases import Case, cases_of
from training.relevance.galleries import Gallery
from training.relevance.indexes import Indexes

_SPACE = "semantic"
_RIDGE = 1.0
_MISSED, _INVENTED = 0.05, 0.10
"""What may go wrong: answerable questions called unanswered, unanswerable ones called answered."""
_PLAIN_TEXTS = (
    "a photo", "an aerial photo", "a satellite image", "a map", "nothing in particular", "a blank picture", "clouds",
    "a person", "a dog", "a cat", "food on a table", "a screenshot of text", "an indoor room", "a night sky",
    "a chart", "a logo", "a street sign", "a face", "snow", "bare soil", "empty land", "a volcano", "a desert",
    "dense houses", "sparse houses", "a mountain ridge", "an oil rig", "a shipwreck", "a circus tent", "a pyramid",
)  # fmt: skip
"""Beside the names of things: texts that fit no picture, or many."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The best hits of one question, as evidence and truth.

    Attributes:
        features: (n, f) of the hits. known: what `Relevance.answer_evidence` says beyond them.
    """

    kind: Kind
    features: Features
    right: NDArray[np.bool_]
    answerable: bool
    known: tuple[float, ...]


def bank_texts() -> tuple[str, ...]:
    """What a picture's agreement with a query is compared with."""
    return tuple(dict.fromkeys([concept.nouns[0].singular for concept in CONCEPTS.values()] + list(_PLAIN_TEXTS)))


def banked(encoder: Encoder, reference: Vectors) -> Calibration:
    """A calibration with its bank and reference pictures (r, d), before anything is fitted."""
    texts = bank_texts()
    vectors = np.asarray(encoder.encode(texts, "text", "query")[_SPACE], np.float32)
    return UNFITTED.model_copy(
        update={
            "space": encoder.spaces[_SPACE].fingerprint,
            "bank": texts,
            "bank_vectors": packed(vectors),
            "reference_vectors": packed(reference),
        }
    )


def samples(
    cases: Iterable[Case], gallery: Gallery, indexes: Indexes, calibration: Calibration, words: Mapping[str, Vectors]
) -> Iterator[Sample]:
    """Evidence of the best hits of each case: once of all there is, once as if only the background were known.

    Args:
        words: vector of each case's text.
    """
    numbers = {name: number for number, name in enumerate(gallery.ids)}
    for case in cases:
        serving = indexes.without(case.keep)
        relevance, asked = Relevance(serving, calibration), _asked(serving, case.text, words[case.text])
        _, found = serving.exact(_SPACE).search(words[case.text][None], DEPTH)
        rows = found[0][found[0] >= 0]
        right = np.array([case.right[numbers[fact["id"]]] for fact in serving.facts(rows)])
        (kind, _, features), *others = relevance.evidence(asked, rows)
        assert not others, "a gallery's rows are all of one kind"
        known = relevance.known(asked) if kind == "words" else ()
        yield Sample(kind, features, right, case.answerable, known)
        yield Sample("plain", features[:, :1], right, case.answerable, ())


def _asked(serving: Serving, text: str, vector: Vectors) -> Asked:
    index = serving.exact(_SPACE)
    return Asked(text, lambda rows: index.rescore(vector, rows).astype(np.float64), vector, _SPACE)


def fitted(calibration: Calibration, found: Sequence[Sample]) -> Calibration:
    """The calibration with models and thresholds of the samples."""
    by_kind: dict[Kind, list[Sample]] = defaultdict(list)
    for sample in found:
        by_kind[sample.kind].append(sample)
    hits, answers, thresholds = {}, {}, {}
    for kind, some in by_kind.items():
        features = np.vstack([sample.features for sample in some])
        hits[kind] = _logistic(features, np.concatenate([sample.right for sample in some]), FEATURES[kind])
        answerable = np.array([sample.answerable for sample in some])
        whole = np.array([together(kind, hits[kind], sample.features, sample.known) for sample in some])
        answers[kind] = _logistic(whole, answerable, ANSWER_FEATURES[kind])
        thresholds[kind] = _threshold(answers[kind].probability(whole, ANSWER_FEATURES[kind]), answerable)
    return calibration.model_copy(update={"hits": hits, "answers": answers, "found": thresholds})


def _logistic(features: Features, right: NDArray[np.bool_], names: tuple[str, ...]) -> Model:
    """Ridge logistic regression by Newton's method."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    x = np.hstack([(features - mean) / spread, np.ones((len(features), 1))])
    weights, penalty = np.zeros(x.shape[1]), _RIDGE * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x + penalty, x.T @ (right - p) - penalty @ weights)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    slopes = weights[:-1] / spread
    told = {name: round(float(slope), 5) for name, slope in zip(names, slopes, strict=True)}
    return Model(weights=told, bias=round(float(weights[-1] - slopes @ mean), 5))


def _threshold(answered: NDArray[np.float64], answerable: NDArray[np.bool_]) -> float:
    """Where both ways of going wrong stay equally far within what is allowed."""

    def worst(threshold: float) -> float:
        missed, invented = (answered[answerable] < threshold).mean(), (answered[~answerable] >= threshold).mean()
        return float(max(missed / _MISSED, invented / _INVENTED))

    candidates: list[float] = sorted(set(answered.tolist()))
    return round(float(min(candidates, key=worst)), 5)


def fit(encoder: Encoder, galleries: Sequence[Gallery], folder: Path) -> Calibration:
    """A calibration from galleries of which every other picture serves as reference and the rest as an index.

    Args:
        folder: for the files of passing indexes.
    """
    calibration = banked(encoder, np.concatenate([gallery.part(slice(0, None, 2)).vectors for gallery in galleries]))
    found: list[Sample] = []
    for gallery in galleries:
        rest = gallery.part(slice(1, None, 2))
        for number, some in enumerate([rest, rest.wordless()] if any(rest.captions) else [rest]):
            cases = cases_of(some)
            texts = sorted({case.text for case in cases})
            words = dict(zip(texts, encoder.encode(texts, "text", "query")[_SPACE], strict=True))
            indexes = Indexes(some, encoder, folder / f"{gallery.name}-{number}")
            found += samples(cases, some, indexes, calibration, words)
    return fitted(calibration, found)
