"""Judges relevance as users meet it: probabilities and verdicts of the real search over galleries with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Encoder
from geoanchor.query import Query, TextPart
from retrieval.calibration import Calibration
from retrieval.relevance import DEPTH, Relevance
from retrieval.searcher import Searcher
from training.relevance.cases import Case
from training.relevance.fit import asked_of
from training.relevance.galleries import Gallery
from training.relevance.indexes import Indexes

_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What search said of m hits of q questions, and the truth.

    Attributes:
        probability, right: (m,).
        answerable, nothing: (q,): truth and verdict. shown: (q,): whether a right one was among the hits.
        sure: (q,): how likely the verdict held an answer to be there, less what it asks for.
    """

    probability: NDArray[np.float64]
    right: NDArray[np.bool_]
    answerable: NDArray[np.bool_]
    nothing: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    sure: NDArray[np.float64]


def judge(
    cases: Sequence[Case], gallery: Gallery, encoder: Encoder, calibration: Calibration | None, folder: Path
) -> Judged:
    """Ask every question of the index that it goes with."""
    indexes, numbers = Indexes(gallery, encoder, folder), {name: number for number, name in enumerate(gallery.ids)}
    probabilities: list[float] = []
    right: list[bool] = []
    verdicts: list[tuple[bool, bool, bool]] = []
    sure: list[float] = []
    for case in cases:
        serving = indexes.without(case.keep)
        searcher = Searcher(serving, lambda: encoder, lambda: calibration)
        answer = searcher.search(Query(parts=(TextPart(text=case.text),), k=DEPTH, relations=False))
        truth = [bool(case.right[numbers[hit.id]]) for hit in answer.hits]
        probabilities += [hit.why["probability"] for hit in answer.hits]
        right += truth
        verdicts.append((case.answerable, answer.verdict == "nothing", any(truth)))
        asked = asked_of(serving, case.text, encoder.encode([case.text], "text", "query")["semantic"][0])
        best = np.array([serving.row_of(hit.id) for hit in answer.hits])
        sure.append(Relevance(serving, calibration).answer(asked, best))
    answerable, nothing, shown = np.array(verdicts, bool).T
    return Judged(np.array(probabilities), np.array(right), answerable, nothing, shown, np.array(sure))


def reliability(probability: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[int, float, float]]:
    """Hits by tenths of probability: how many, their mean probability, the share that is right; no empty tenths."""
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    inside = [bins == number for number in range(_BINS)]
    return [
        (int(some.sum()), float(probability[some].mean()), float(right[some].mean())) for some in inside if some.any()
    ]


def calibration_error(probability: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over tenths of probability (Naeini et al. 2015): 0 is perfect."""
    return sum(count * abs(told - true) for count, told, true in reliability(probability, right)) / len(probability)


def share_interval(count: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, p = 1.959964, count / of
    centre, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return float((centre - half) / scale), float((centre + half) / scale)
