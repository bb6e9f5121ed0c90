"""Fits calibrations of relevance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Encoder, Vectors
from geoanchor.query import TextPart
from indexer.concepts import CONCEPTS, tags_of
from retrieval.calibration import (
    ANSWER_FEATURES,
    FEATURES,
    UNFITTED,
    Calibration,
    Domain,
    Features,
    Judge,
    Kind,
    Model,
    packed,
)
from retrieval.naming import Naming
from retrieval.relevance import DEPTH, Asked, Relevance, together
from retrieval.serving import Serving
from retrieval.terms import VectorTerm
from training.logistic import logistic_curve
from training.relevance.cases import Case, called, cases_of
from training.relevance.galleries import Gallery
from training.relevance.indexes import Indexes

_SPACE = "semantic"
_RIDGE = 1.0
_INDEXED = 900
"""Pictures of an index that is fitted on, about; a small gallery makes two."""
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
        features: (n, f) of the hits. known: what `Relevance.known` says beyond them.
    """

    kind: Kind
    features: Features
    right: NDArray[np.bool_]
    answerable: bool
    known: tuple[float, ...]


def bank_texts() -> tuple[str, ...]:
    """What a picture's agreement with a query is compared with."""
    return tuple(dict.fromkeys([concept.nouns[0].singular for concept in CONCEPTS.values()] + list(_PLAIN_TEXTS)))


def meanings() -> dict[str, tuple[str, ...]]:
    """What the plain names of things mean in map tags, where tags alone decide it."""
    return {
        noun.singular: tags
        for concept in CONCEPTS.values()
        for noun in concept.nouns
        if (tags := tuple(tag for name in sorted(called(noun)) for tag in tags_of(CONCEPTS[name])))
    }


def banked(encoder: Encoder) -> Calibration:
    """A calibration with its bank and names, before anything is fitted."""
    texts = bank_texts()
    vectors = np.asarray(encoder.encode(texts, "text", "query")[_SPACE], np.float32)
    return UNFITTED.model_copy(
        update={
            "space": encoder.spaces[_SPACE].fingerprint,
            "bank": texts,
            "bank_vectors": packed(vectors),
            "called": meanings(),
        }
    )


def samples(
    cases: Iterable[Case], gallery: Gallery, indexes: Indexes, calibration: Calibration, words: Mapping[str, Vectors]
) -> Iterator[Sample]:
    """Evidence of the best hits of each case: all of it, as if no name were known, as if only the background were.

    Args:
        words: vector of each case's text.
    """
    numbers = {name: number for number, name in enumerate(gallery.ids)}
    for case in cases:
        serving = indexes.without(case.keep)
        relevance, asked = Relevance(serving, calibration), asked_of(serving, case.text, words[case.text])
        nameless = Relevance(serving, calibration, Naming(serving, {}))
        ways: dict[Kind, Sample] = {}
        for judged, way in ((relevance, asked), (nameless, asked), (relevance, replace(asked, text=""))):
            # Ranked as a search ranks them, where names are known and where they are not.
            part, borne = TextPart(text=case.text), judged.naming.share(way.text)
            _, rows = VectorTerm(serving, _SPACE, [(part, words[case.text])], borne).best(DEPTH, None)
            right = np.array([case.right[numbers[fact["id"]]] for fact in serving.facts(rows)])
            for some in judged.evidence(way, rows):
                told = relevance.known(some.kind, asked)
                ways[some.kind] = Sample(some.kind, some.features, right[some.at], case.answerable, told)
        yield from ways.values()


def asked_of(serving: Serving, text: str, vector: Vectors) -> Asked:
    """A question as search puts it."""
    index = serving.exact(_SPACE)
    return Asked(text, lambda rows: index.rescore(vector, rows).astype(np.float64), vector, _SPACE)


def judges(found: Sequence[Sample]) -> dict[Kind, Judge]:
    """Models and thresholds of samples, by kind."""
    by_kind: dict[Kind, list[Sample]] = defaultdict(list)
    for sample in found:
        by_kind[sample.kind].append(sample)
    return {kind: _judge(kind, some) for kind, some in by_kind.items()}


def _judge(kind: Kind, some: Sequence[Sample]) -> Judge:
    features = np.vstack([sample.features for sample in some])
    hit = _logistic(features, np.concatenate([sample.right for sample in some]), FEATURES[kind])
    answerable = np.array([sample.answerable for sample in some])
    whole = np.array([together(kind, hit, sample.features, sample.known) for sample in some])
    answer = _logistic(whole, answerable, ANSWER_FEATURES[kind])
    found = _threshold(answer.probability(whole, ANSWER_FEATURES[kind]), answerable)
    return Judge(hit=hit, answer=answer, found=found)


def _logistic(features: Features, right: NDArray[np.bool_], names: tuple[str, ...]) -> Model:
    """Ridge logistic regression on features (n, f), each by its own spread: a large one is held down as a small one."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    curve = logistic_curve((features - mean) / spread, right, _RIDGE)
    slopes = curve[1:] / spread
    told = {name: round(float(slope), 5) for name, slope in zip(names, slopes, strict=True)}
    return Model(weights=told, bias=round(float(curve[0] - slopes @ mean), 5))


def _threshold(answered: NDArray[np.float64], answerable: NDArray[np.bool_]) -> float:
    """Where both ways of going wrong stay equally far within what is allowed."""

    def worst(threshold: float) -> float:
        missed, invented = (answered[answerable] < threshold).mean(), (answered[~answerable] >= threshold).mean()
        return float(max(missed / _MISSED, invented / _INVENTED))

    candidates: list[float] = sorted(set(answered.tolist()))
    return round(float(min(candidates, key=worst)), 5)


def fit(encoder: Encoder, galleries: Sequence[Gallery], folder: Path) -> Calibration:
    """A calibration with a domain of each gallery.

    A gallery's pictures are dealt into parts; each serves as an index once, with the next as its reference. The first
    stays as the domain's reference.

    Args:
        folder: for the files of passing indexes.
    """
    calibration, domains = banked(encoder), []
    for gallery in galleries:
        count = max(2, round(len(gallery) / _INDEXED))
        parts = [gallery.part(slice(number, None, count)) for number in range(count)]
        found: list[Sample] = []
        for number, rest in enumerate(parts):
            reference = parts[(number + 1) % count]
            domain = Domain(name=gallery.name, reference_vectors=packed(reference.vectors), judges={})
            alone = calibration.model_copy(update={"domains": (domain,)})
            for some in [rest, rest.wordless()] if any(rest.captions) else [rest]:
                words = "told" if any(some.captions) else "untold"
                found += _asked_all(some, encoder, alone, folder / f"{gallery.name}-{number}-{words}")
        reference_vectors = packed(parts[0].vectors)
        domains.append(Domain(name=gallery.name, reference_vectors=reference_vectors, judges=judges(found)))
    return calibration.model_copy(update={"domains": tuple(domains)})


def _asked_all(gallery: Gallery, encoder: Encoder, calibration: Calibration, folder: Path) -> list[Sample]:
    cases = cases_of(gallery)
    texts = sorted({case.text for case in cases})
    words = dict(zip(texts, encoder.encode(texts, "text", "query")[_SPACE], strict=True))
    return list(samples(cases, gallery, Indexes(gallery, encoder, folder), calibration, words))
