"""Recall with ties against enumeration, chance, intervals, and a worked 4 x 6 example."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import metrics


def by_enumeration(scores: np.ndarray, right: set[int], k: int) -> float:
    """Share of all tie-breaking orders that put a relevant item among the k best."""
    orders = [order for order in permutations(range(len(scores)))
              if all(scores[a] >= scores[b] for a, b in pairwise(order))]  # fmt: skip
    return float(np.mean([bool(right & set(order[:k])) for order in orders]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.sets(st.integers(0, 5), max_size=3), st.integers(1, 6))
def test_expected_hits_equal_the_share_of_tie_breaking_orders(levels: list[int], right: set[int], k: int) -> None:
    right = {item for item in right if item < len(levels)}
    scores = np.asarray([levels], np.float32)
    found = metrics.expected_hits(scores, [np.asarray(sorted(right), np.int64)], [k])[0, 0]
    assert found == pytest.approx(by_enumeration(scores[0], right, k))


def test_a_collapsed_model_gets_chance() -> None:
    right = [np.asarray([i], np.int64) for i in range(50)]
    hits = metrics.expected_hits(np.ones((50, 50), np.float32), right)
    assert metrics.percent(hits) == {"R@1": 2.0, "R@5": 10.0, "R@10": 20.0}
    assert metrics.chance(right, 50) == {"R@1": 2.0, "R@5": 10.0, "R@10": 20.0}


def test_worked_example_of_four_queries_and_six_items() -> None:
    scores = np.asarray([[9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4]], np.float32)
    right = [np.asarray(r, np.int64) for r in ([0], [1], [5], [2, 4])]
    hits = metrics.expected_hits(scores, right, (1, 2, 3, 6))
    np.testing.assert_array_equal(hits, [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]])


def test_chunks_equal_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(37, 8)).astype(np.float32), rng.normal(size=(53, 8)).astype(np.float32)
    right = [rng.integers(0, 53, rng.integers(0, 4)) for _ in range(37)]
    whole = metrics.expected_hits(queries @ gallery.T, right)
    monkeypatch.setattr(metrics, "_CHUNK_SCORES", 53 * 5)
    np.testing.assert_allclose(metrics.hits_of_vectors(queries, gallery, right), whole)


def test_chance_of_several_right_items_matches_simulation() -> None:
    rng = np.random.default_rng(0)
    simulated = np.mean([len({0, 1, 2} & set(rng.permutation(20)[:5])) > 0 for _ in range(20_000)])
    assert metrics.chance([np.arange(3)], 20, [5])["R@5"] == pytest.approx(100 * simulated, abs=1.5)


def test_intervals_cover_the_mean_and_grow_with_clusters() -> None:
    values = np.repeat(np.random.default_rng(3).integers(0, 2, 100), 5).astype(float)
    groups = np.repeat(np.arange(100), 5)
    single, clustered = metrics.interval(values), metrics.interval(values, groups)
    assert single[0] < values.mean() < single[1]
    assert clustered[1] - clustered[0] > 1.8 * (single[1] - single[0])
    assert metrics.interval(values, groups) == clustered


def test_auroc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(5)
    scores, positive = rng.integers(0, 5, 40).astype(float), rng.integers(0, 2, 40).astype(bool)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    assert metrics.auroc(scores, positive) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="negatives"):
        metrics.auroc(scores, np.ones(40, bool))


def test_best_threshold_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(6)
    scores, positive = rng.normal(size=60), rng.integers(0, 2, 60).astype(bool)
    best = max(metrics.f1_of(scores >= cut, positive) for cut in scores)
    assert metrics.f1_of(scores >= metrics.best_threshold(scores, positive), positive) == pytest.approx(best)
    apart = np.array([0.02, 0.01, 0.9, 0.86])
    assert metrics.best_threshold(apart, apart > 0.5) == pytest.approx(0.44), "halfway between those that count and not"
    assert metrics.best_threshold(apart, apart > 0) == pytest.approx(0.01)


def test_the_error_of_a_gain_shrinks_with_groups_and_is_none_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)

    def error(groups: int, moved: float) -> float:
        keys = np.repeat(np.arange(groups), 4)
        positive = np.tile([True, False, False, False], groups)
        before = rng.normal(size=len(keys)) + positive
        after = before + moved * rng.normal(size=len(keys))
        return metrics.auroc_gain_error(before, after, positive, keys, np.ones(len(keys)))

    assert error(50, 0.0) == 0.0
    few, many = error(50, 1.0), error(800, 1.0)
    assert 3 < few / many < 5.5  # the root of sixteen
    # A weight of nothing takes an item out.
    keys, positive = np.repeat(np.arange(60), 2), np.tile([True, False], 60)
    before, after = rng.normal(size=(2, 120))
    weights = (keys < 40).astype(np.float64)
    few = metrics.auroc_gain_error(before[:80], after[:80], positive[:80], keys[:80], np.ones(80))
    assert metrics.auroc_gain_error(before, after, positive, keys, weights) == pytest.approx(few, rel=0.35)
