"""Fitting and judging relevance: known truth comes back, the measures have known values."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.calibration import ANSWER_FEATURES, FEATURES
from training.relevance.cases import cases_of
from training.relevance.fit import Sample, judges
from training.relevance.galleries import SEEDS, Gallery
from training.relevance.judging import calibration_error, reliability, share_interval


def test_probabilities_of_a_fit_are_those_that_made_the_truth() -> None:
    dice = np.random.default_rng(0)
    samples = []
    for _ in range(400):
        features = dice.normal(size=(10, 1))
        right = dice.random(10) < 1 / (1 + np.exp(-(2 * features[:, 0] - 1)))
        samples.append(Sample("plain", features, right, bool(right.any()), ()))
    judge = judges(samples)["plain"]
    model = judge.hit
    assert model.weights["tail"] == pytest.approx(2, abs=0.2)
    assert model.bias == pytest.approx(-1, abs=0.2)
    told = np.concatenate([model.probability(sample.features, FEATURES["plain"]) for sample in samples])
    assert calibration_error(told, np.concatenate([sample.right for sample in samples])) < 0.02
    assert set(judge.answer.weights) == set(ANSWER_FEATURES["plain"])


def test_measures() -> None:
    told, right = np.array([0.05, 0.05, 0.95, 0.95]), np.array([False, False, True, False])
    assert reliability(told, right) == [(2, pytest.approx(0.05), 0.0), (2, pytest.approx(0.95), 0.5)]
    assert calibration_error(told, right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.45)
    assert share_interval(90, 100) == (pytest.approx(0.8256, abs=1e-3), pytest.approx(0.9448, abs=1e-3))


def test_every_question_is_asked_with_and_without_its_answers() -> None:
    shows = [frozenset({"stadium"} if row < 2 else {"river"} if row < 5 else {"house"}) for row in range(20)]
    n = len(shows)
    gallery = Gallery("city", [str(row) for row in range(n)], [()] * n, [""] * n, shows, [()] * n, np.zeros((n, 2)))
    cases = cases_of(gallery)
    assert [case.answerable for case in cases] == [True, False] * (len(cases) // 2)
    stadium = [case for case in cases if case.text == "stadium"]
    assert [case.right.sum() for case in stadium] == [2, 2]
    assert [case.keep.sum() for case in stadium] == [20, 18]


def test_what_is_judged_on_is_never_fitted_on() -> None:
    assert not set(SEEDS["fit"]) & set(SEEDS["judge"])
    assert max(SEEDS["judge"]) <= 999 < min(SEEDS["fit"])
