"""The losses of UrbanCross against sums written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from training.domain.adversary import accuracy, coral, domain_loss
from training.domain.contrast import contrast, hinge
from training.domain.triplet import semi_hard, weighted_triplet


def units(*rows: tuple[float, ...]) -> Tensor:
    return normalize(torch.tensor(rows, dtype=torch.float64), dim=1)


def random_units(seed: int, n: int, d: int = 6) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


PICTURES = units((1, 0), (0, 1), (-1, 0))
WORDS = units((1, 0), (1, 1), (0, -1))
"""Cosines of picture (row) and caption: [[1, .707, 0], [0, .707, -1], [-1, -.707, 0]]."""


def test_hinge_sums_every_wrong_pair_or_takes_the_worst() -> None:
    root = math.sqrt(0.5)
    # Rows: own cosines 1, root, 0; columns against the same own cosines.
    rows = [[max(0, 0.2 + root - 1), 0.0], [0.0, 0.0], [0.0, 0.0]]
    columns = [[0.0, 0.0], [max(0, 0.2 + root - root), 0.0], [0.2 + 0 - 0, 0.0]]
    every = sum(map(sum, rows)) + sum(map(sum, columns))
    worst = sum(map(max, rows)) + sum(map(max, columns))
    eye = torch.eye(3)
    assert float(hinge(PICTURES, WORDS, eye, 0.2, hardest=False)) == pytest.approx(every / 3)
    assert float(hinge(PICTURES, WORDS, eye, 0.2, hardest=True)) == pytest.approx(worst / 3)


def test_what_belongs_together_is_no_negative_of_a_hinge() -> None:
    shared = torch.eye(3)
    shared[0, 1] = shared[2, 2] = 1
    only = hinge(PICTURES, WORDS, shared, 0.2, hardest=False)
    # The pair (0, 1) costs nothing in its row, where its own cosine is 1, and .2 in its column.
    former = hinge(PICTURES, WORDS, torch.eye(3), 0.2, hardest=False)
    assert float(former - only) == pytest.approx(0.2 / 3)


def test_info_nce_with_the_same_caption_twice_is_the_multi_positive_cross_entropy() -> None:
    pictures, words = random_units(0, 3), random_units(1, 3)
    words[1] = words[0]
    positive = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.float64)
    scale = torch.tensor(5.0, dtype=torch.float64)
    logits = (5 * pictures @ words.T).numpy()
    targets = positive.numpy() / positive.numpy().sum(axis=1, keepdims=True)

    def one_way(own: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(-(targets * (own - np.log(np.exp(own).sum(axis=1, keepdims=True)))).sum(axis=1).mean())

    expected = (one_way(logits) + one_way(logits.T)) / 2
    assert float(contrast("info_nce", pictures, words, scale, positive, 0.2)) == pytest.approx(expected)


def test_triplet_is_the_sum_written_out() -> None:
    root, margin = math.sqrt(0.5), 0.5
    weights = torch.tensor([2.0, 0.5, 0.5], dtype=torch.float64)
    # Semi-hard is the greatest wrong cosine below the own one, else the greatest wrong one.
    pictures = [(1, root), (root, 0), (0, -root)]
    words = [(1, 0), (root, -root), (0, -1)]
    expected = sum(
        w * (max(0, margin - own_i + n_i) + max(0, margin - own_t + n_t))
        for w, (own_i, n_i), (own_t, n_t) in zip(weights.tolist(), pictures, words, strict=True)
    )
    found = weighted_triplet(PICTURES, WORDS, weights, torch.eye(3), margin)
    assert float(found) == pytest.approx(expected / 3)


def test_the_semi_hard_negative_is_the_nearest_that_is_farther_than_the_positive() -> None:
    cosines = torch.tensor([[0.5, 0.9, 0.4, 0.1], [0.9, 0.1, 0.8, 0.7], [0.0, 0.1, 0.5, 0.2], [0.1, 0.2, 0.3, 0.9]])
    wrong = ~torch.eye(4, dtype=torch.bool)
    assert semi_hard(cosines, wrong).tolist() == [2, 0, 3, 2]


def test_identical_captions_are_no_negatives_and_none_left_costs_nothing() -> None:
    pictures = random_units(2, 3).requires_grad_()
    same = torch.ones(3, 3)
    loss = weighted_triplet(pictures, random_units(3, 3), torch.ones(3, dtype=torch.float64), same, 0.2)
    assert float(loss.detach()) == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert pictures.grad is not None
    assert bool(pictures.grad.isfinite().all())


def test_domain_loss_weighs_the_source_alone() -> None:
    source, target = torch.tensor([0.3, -1.2]), torch.tensor([0.7, -0.4, 2.0])
    weights = torch.tensor([1.5, 0.5])

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    own = sum(w * math.log(sigmoid(s)) for w, s in zip((1.5, 0.5), (0.3, -1.2), strict=True)) / 2
    other = sum(math.log(1 - sigmoid(t)) for t in (0.7, -0.4, 2.0)) / 3
    assert float(domain_loss(source, target, weights)) == pytest.approx(-own - other, rel=1e-5)
    assert accuracy(source, target) == pytest.approx((0.5 + 1 / 3) / 2)


def test_coral_against_numpy_and_zero_for_equal_moments() -> None:
    first, second = random_units(4, 9, 3), random_units(5, 7, 3)
    distance = np.cov(first.numpy().T) - np.cov(second.numpy().T)
    assert float(coral(first, second)) == pytest.approx((distance**2).sum() / 36)
    assert float(coral(first, first + 1)) == pytest.approx(0, abs=1e-12)
