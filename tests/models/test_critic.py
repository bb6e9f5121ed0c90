"""What the critic looks at: window minima against brute force, and the extremes of agreement."""

import numpy as np
import pytest
from test_codes import PRIOR, random_books

from geoanchor.protocols import Vectors
from models.critic import Critic, Evidence, content, feature_count, features

SIDE = 20
WINDOWS = ((5, 3), (10, 5), (20, 5))


def pair(shares: Vectors, log_odds: Vectors, seen: np.ndarray | None = None) -> Evidence:
    seen = np.ones(shares.shape[:3], bool) if seen is None else seen
    beliefs = random_books().beliefs(log_odds) * seen[..., None]
    zero = np.zeros(len(shares), np.float32)
    return Evidence(shares, log_odds * seen[..., None], beliefs, seen, zero, zero, zero)


def random_pair(count: int = 3, seed: int = 0) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(7, 0.2), (count, SIDE, SIDE)).astype(np.float32)
    return shares, rng.normal(size=shares.shape).astype(np.float32)


def test_there_are_as_many_features_as_it_says() -> None:
    found = features(pair(*random_pair()), PRIOR)
    assert found.shape == (3, feature_count())
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_the_worst_windows_are_those_of_a_plain_search() -> None:
    shares, log_odds = random_pair(2, 1)
    seen = np.ones((2, SIDE, SIDE), bool)
    seen[0, :, :9] = False
    evidence = pair(shares, log_odds, seen)
    found = features(evidence, PRIOR)[:, 7 : 7 + 4 * len(WINDOWS)].reshape(2, len(WINDOWS), 4)
    short = np.maximum(content(shares, PRIOR) * seen, 0) - evidence.cells * seen
    for row in range(2):
        for at, (side, stride) in enumerate(WINDOWS):
            means: dict[str, list[float]] = {"cells": [], "short": []}
            for y in range(0, SIDE - side + 1, stride):
                for x in range(0, SIDE - side + 1, stride):
                    box = np.s_[row, y : y + side, x : x + side]
                    if seen[box].mean() >= 0.5:
                        means["cells"].append((evidence.cells * seen)[box].sum() / seen[box].sum())
                        means["short"].append(short[box].sum() / seen[box].sum())
            wanted = [
                np.min(means["cells"]), np.quantile(means["cells"], 0.1),
                np.max(means["short"]), np.quantile(means["short"], 0.9),
            ]  # fmt: skip
            np.testing.assert_allclose(found[row, at], wanted, atol=1e-4)


@pytest.mark.filterwarnings("error")
def test_where_the_shift_left_too_little_of_a_window_nothing_is_said() -> None:
    shares, log_odds = random_pair(1)
    seen = np.zeros((1, SIDE, SIDE), bool)
    seen[0, 0, 0] = True
    found = features(pair(shares, log_odds, seen), PRIOR)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0, 7 : 7 + 4 * len(WINDOWS)], 0)


def test_a_perfect_picture_leaves_no_shortfall_and_a_wrong_corner_shows() -> None:
    rng = np.random.default_rng(3)
    shares = np.eye(7, dtype=np.float32)[rng.integers(0, 7, (1, SIDE, SIDE))]
    perfect = np.log((shares + 1e-6) / PRIOR).astype(np.float32)
    right = features(pair(shares, perfect), PRIOR)[0]
    assert right[1] == pytest.approx(right[5], abs=1e-4)  # evidence is all that the map could ask for
    assert right[6] == pytest.approx(np.maximum(-content(shares, PRIOR), 0).mean(), abs=1e-4)
    spoiled = perfect.copy()
    spoiled[:, :5, :5] = -3
    wrong = features(pair(shares, spoiled), PRIOR)[0]
    assert wrong[1] < right[1]
    least = 7  # of the smallest windows
    assert wrong[least] == pytest.approx(-3, abs=1e-4)
    assert right[least] > 0
    assert wrong[least + 2] > right[least + 2] + 3
    # All wrong is the worst of all.
    nothing = features(pair(shares, np.full_like(perfect, -3)), PRIOR)[0]
    assert nothing[1] < wrong[1]
    assert nothing[6] > wrong[6]


def test_content_is_least_for_what_is_everywhere() -> None:
    common, rare = (np.eye(7, dtype=np.float32)[[[[number]]]] for number in (0, 6))
    assert 0 < content(common, PRIOR)[0, 0, 0] < content(rare, PRIOR)[0, 0, 0]
    usual = np.broadcast_to(PRIOR, (1, 4, 4, 7)).astype(np.float32)
    np.testing.assert_allclose(content(usual, PRIOR), 0, atol=1e-4)


def test_two_layers_on_standardised_features() -> None:
    rng, count = np.random.default_rng(0), feature_count()
    arrays = {
        "mean": rng.normal(size=count), "scale": np.full(count, 0.5), "inner.weight": rng.normal(size=(3, count)),
        "inner.bias": rng.normal(size=3), "outer.weight": rng.normal(size=(1, 3)), "outer.bias": rng.normal(size=1),
    }  # fmt: skip
    found = np.array([arrays["mean"], arrays["mean"] + 100]).astype(np.float32)
    logits = Critic({name: array.astype(np.float32) for name, array in arrays.items()})(found)
    for row, standard in enumerate((np.zeros(count), np.full(count, 5.0))):  # far off counts as five deviations
        hidden = np.maximum(arrays["inner.weight"] @ standard + arrays["inner.bias"], 0)
        assert logits[row] == pytest.approx(
            float((arrays["outer.weight"] @ hidden + arrays["outer.bias"])[0]), abs=1e-4
        )
