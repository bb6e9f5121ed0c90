"""Which source pairs a step learns from, and what each counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.domain.curriculum import band_of, draw_source, likeness, pair_vectors, source_weights
from training.domain.recipe import Adaptation

SHAPE = Adaptation(learning_rate=1e-3)
ALIKE = torch.linspace(1, -1, 80).expand(16, 80)
"""Candidate i is the i-th most like the target."""


def _shape(**changes: object) -> Adaptation:
    return SHAPE.model_copy(update=changes)


@pytest.mark.parametrize("epoch", range(5))
def test_the_five_epochs_of_80_to_16_draw_from_their_bands_without_replacement(epoch: int) -> None:
    cumulative = draw_source(ALIKE, epoch, _shape(band="cumulative"), np.random.default_rng(epoch))
    assert len(set(cumulative.tolist())) == 16
    assert cumulative.max() < 16 * (epoch + 1)
    disjoint = draw_source(ALIKE, epoch, _shape(band="disjoint"), np.random.default_rng(epoch))
    assert sorted(disjoint.tolist()) == list(range(16 * epoch, 16 * (epoch + 1)))


def test_disjoint_bands_share_nothing_and_leave_nothing_out() -> None:
    bands = [set(range(*band_of(epoch, _shape(band="disjoint")))) for epoch in range(5)]
    assert set.union(*bands) == set(range(80))
    assert sum(map(len, bands)) == 80


def test_longer_schedules_stretch_the_bands_and_never_leave_the_candidates() -> None:
    found = [band_of(epoch, _shape(epochs=10)) for epoch in range(10)]
    assert found[0] == found[1] == (0, 16)
    assert found[-1] == (0, 80)


def test_without_curriculum_it_stays_with_the_most_alike_fifth() -> None:
    fixed = _shape(curriculum=False)
    drawn = [draw_source(ALIKE, epoch, fixed, np.random.default_rng(epoch)) for epoch in range(5)]
    assert all(sorted(rows.tolist()) == list(range(16)) for rows in drawn)


def test_without_source_sampling_likeness_has_no_say() -> None:
    plain = _shape(sampling="random")
    first = draw_source(ALIKE, 0, plain, np.random.default_rng(7))
    assert np.array_equal(first, draw_source(-ALIKE, 4, plain, np.random.default_rng(7)))
    assert len(set(first.tolist())) == 16
    assert first.max() >= 16


def test_ranking_is_by_the_mean_over_the_target_batch() -> None:
    # Candidate 2 is the best of one target picture and bad for the others; candidate 0 is good for all.
    alike = torch.tensor([[0.6, 0.2, 1.0, 0.0], [0.6, 0.5, 0.0, 0.1]])
    shape = _shape(batch=1, candidates=4, band="disjoint", epochs=4)
    order = [int(draw_source(alike, epoch, shape, np.random.default_rng(0))[0]) for epoch in range(4)]
    assert order == [0, 2, 1, 3]


def test_likeness_is_the_cosine_of_target_rows_with_source_columns() -> None:
    target = pair_vectors(torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[0.0, 1], [0, 1]]))
    source = pair_vectors(torch.tensor([[1.0, 0], [0, 1], [0.6, 0.8]]), None)
    root = math.sqrt(0.5)
    expected = torch.tensor([[root, root, 1.4 * root], [0, 1, 0.8]])
    assert torch.allclose(likeness(target, source), expected, atol=1e-6)


def test_weights_are_of_the_source_columns() -> None:
    # One source pair is like every target picture, the other like none.
    alike = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    weights = source_weights(alike, "softmax", 0.1)
    high = 2 * math.exp(8) / (math.exp(8) + 1)
    assert weights.tolist() == pytest.approx([high, 2 - high], rel=1e-4)
    assert source_weights(alike, "paper", 0.1).tolist() == pytest.approx([2, 0], abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["softmax", "paper"]))
def test_weights_have_mean_one_and_are_never_negative(seed: int, weighting: str) -> None:
    alike = torch.rand(16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    weights = source_weights(alike, weighting, 0.1)  # type: ignore[arg-type]
    assert float(weights.mean()) == pytest.approx(1, rel=1e-4)
    assert bool((weights >= 0).all())


@pytest.mark.parametrize("weighting", ["softmax", "paper"])
def test_pairs_that_are_all_alike_count_one_each(weighting: str) -> None:
    weights = source_weights(torch.full((16, 16), 0.37), weighting, 0.1)  # type: ignore[arg-type]
    assert torch.allclose(weights, torch.ones(16))
