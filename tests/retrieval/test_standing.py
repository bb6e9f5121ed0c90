"""Where a score stands among reference pictures and beside rival texts, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.calibration import UNFITTED
from retrieval.standing import Standing

DICE = np.random.default_rng(0)
REFERENCE = DICE.normal(size=(400, 6)).astype(np.float32)
BANK = DICE.normal(size=(9, 6)).astype(np.float32)


def features(vector: np.ndarray, pictures: np.ndarray, layer: np.ndarray = REFERENCE) -> np.ndarray:
    standing = Standing(UNFITTED.domains[0], REFERENCE, BANK)
    scores, background = (some.astype(np.float64) @ vector for some in (pictures, layer))
    return standing.ruler(vector, background).features(scores, pictures)


def test_heights_and_passed_are_those_of_the_reference() -> None:
    vector = DICE.normal(size=6).astype(np.float32)
    own = REFERENCE @ vector
    order = np.argsort(own)
    # A hair below the reference's own scores, so that rounding cannot decide who is higher.
    pictures = REFERENCE[order[[0, 200, 399]]] - 1e-5 * vector
    height, _, _, top, shelf, passed, crowd = features(vector, pictures).T
    assert height == pytest.approx((own[order[[0, 200, 399]]] - own.mean()) / own.std(), abs=1e-4)
    assert passed == pytest.approx(-np.log([1 + 1 / 400, 0.5 + 1 / 400, 2 / 400]), abs=0.01)
    assert top[2] == pytest.approx((own[order[399]] - own[order[398:]].mean()) / own.std(), abs=1e-4)
    assert shelf[2] == pytest.approx((own[order[399]] - own[order[384:]].mean()) / own.std(), abs=1e-4)
    assert np.expm1(crowd) == pytest.approx(0.9, abs=0.2)  # Three of 400 score higher than the fourth, which may round.


def test_a_query_leads_texts_that_mean_something_else_though_not_its_synonym() -> None:
    vector = BANK[0] + 0.01 * BANK[1]
    _, lead, apart, *_ = features(vector, (3 * vector / np.linalg.norm(vector))[None])[0]
    assert apart > lead
    assert apart > 0
    against = features(vector, -vector[None])[0]
    assert against[1] < 0
    assert against[2] < 0


def test_scale_and_offset_of_a_text_s_scores_do_not_count() -> None:
    vector = DICE.normal(size=6).astype(np.float32)
    pictures = DICE.normal(size=(5, 6)).astype(np.float32)
    assert features(3 * vector, pictures) == pytest.approx(features(vector, pictures), abs=1e-3)


def test_imagery_is_as_strange_as_its_mean_heights_are_large() -> None:
    standing = Standing(UNFITTED.domains[0], REFERENCE, BANK)
    assert standing.strangeness(REFERENCE) == pytest.approx(0, abs=1e-5)
    moved = REFERENCE + np.array((2, 0, 0, 0, 0, 0), np.float32)
    own = REFERENCE @ BANK.T
    heights = ((moved @ BANK.T).mean(axis=0) - own.mean(axis=0)) / own.std(axis=0)
    assert standing.strangeness(moved) == pytest.approx(np.sqrt((heights**2).mean()), rel=1e-4)
    assert standing.strangeness(REFERENCE + 4) > standing.strangeness(REFERENCE + 1) > 0.4
    assert Standing(UNFITTED.domains[0], REFERENCE, BANK[:0]).strangeness(moved) == 0
