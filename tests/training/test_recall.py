"""Recall against a plain count over whole rankings, ties drawn out one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.metrics import expected_precision
from training.recall import EncodedSet, mean_recall_interval, normalised, recall_figures

WORDS = ("a lake", "A lake.", "two roads", "a port", "trees .")


@st.composite
def encoded_sets(draw: st.DrawFn) -> EncodedSet:
    """Vectors of small whole numbers, so that there are ties, and captions that repeat."""
    images = draw(st.integers(1, 3))
    counts = draw(st.lists(st.integers(1, 2), min_size=images, max_size=images))
    owner = np.repeat(np.arange(images), counts)
    numbers = st.integers(-1, 1)
    rows = draw(st.lists(st.tuples(numbers, numbers), min_size=images, max_size=images))
    told = draw(st.lists(st.tuples(numbers, numbers), min_size=len(owner), max_size=len(owner)))
    texts = draw(st.lists(st.sampled_from(WORDS), min_size=len(owner), max_size=len(owner)))
    vectors = np.array(rows, np.float32), np.array(told, np.float32)
    return EncodedSet([f"{i}.jpg" for i in range(images)], vectors[0], texts, vectors[1], owner)


def drawn_out(scores: np.ndarray, right: set[int], k: int) -> float:
    """Share of all orders that respect the scores in which something right is among the first k."""
    orders = [p for p in itertools.permutations(range(len(scores))) if all(np.diff(scores[list(p)]) <= 0)]
    return float(np.mean([bool(right & set(order[:k])) for order in orders]))


def by_hand(encoded: EncodedSet, k: int) -> tuple[float, float, float, float]:
    """T->I, I->T, and both where the same words count, in percent."""
    words = [normalised(text) for text in encoded.texts]
    told = [{words[c] for c in np.flatnonzero(encoded.owner == i)} for i in range(len(encoded.names))]
    scores = encoded.captions @ encoded.images.T
    to_image = [drawn_out(scores[c], {int(i)}, k) for c, i in enumerate(encoded.owner)]
    to_text = [drawn_out(scores[:, i], set(np.flatnonzero(encoded.owner == i).tolist()), k) for i in range(len(told))]
    image_alike = [drawn_out(scores[c], {i for i, own in enumerate(told) if words[c] in own}, k)
                   for c in range(len(words))]  # fmt: skip
    text_alike = [drawn_out(scores[:, i], {c for c, word in enumerate(words) if word in told[i]}, k)
                  for i in range(len(told))]  # fmt: skip
    return tuple(100 * float(np.mean(own)) for own in (to_image, to_text, image_alike, text_alike))


@settings(max_examples=25, deadline=None)
@given(encoded_sets())
def test_recall_is_the_plain_count(encoded: EncodedSet) -> None:
    found = recall_figures(encoded)
    for k in (1, 5):
        exact_image, exact_text, alike_image, alike_text = by_hand(encoded, k)
        assert found["text_to_image"][f"R@{k}"] == pytest.approx(exact_image, abs=0.006)
        assert found["image_to_text"][f"R@{k}"] == pytest.approx(exact_text, abs=0.006)
        assert found["text_equivalent"]["text_to_image"][f"R@{k}"] == pytest.approx(alike_image, abs=0.006)
        assert found["text_equivalent"]["image_to_text"][f"R@{k}"] == pytest.approx(alike_text, abs=0.006)
    six = [value for way in ("text_to_image", "image_to_text") for value in found[way].values()]
    assert found["mean_recall"] == pytest.approx(np.mean(six), abs=0.01)
    assert found["text_equivalent"]["mean_recall"] >= found["mean_recall"]


def test_a_collapsed_model_gets_chance() -> None:
    count = 50
    flat = np.ones((count, 3), np.float32)
    encoded = EncodedSet([str(i) for i in range(count)], flat, [f"w{i}" for i in range(count)], flat, np.arange(count))
    found = recall_figures(encoded)
    assert found["text_to_image"] == found["image_to_text"] == {"R@1": 2.0, "R@5": 10.0, "R@10": 20.0}
    assert found["chance"]["text_to_image"] == {"R@1": 2.0, "R@5": 10.0, "R@10": 20.0}


def test_the_interval_draws_images_with_all_their_captions() -> None:
    """Where an image's captions all hit or all miss, five of them tell no more than one."""
    rng = np.random.default_rng(0)
    own = rng.random((200, 1)) < 0.3
    once = np.repeat(own, 3, axis=1).astype(float)
    five = np.repeat(once, 5, axis=0)
    assert mean_recall_interval(five, once, np.repeat(np.arange(200), 5)) == pytest.approx(
        mean_recall_interval(once, once, np.arange(200))
    )
    low, high = mean_recall_interval(once, once, np.arange(200))
    spread = 1.96 * np.sqrt(0.3 * 0.7 / 200) * 100
    assert (high - low) / 2 == pytest.approx(spread, rel=0.15)
    assert low < 100 * once.mean() < high


def test_nothing_to_judge_is_no_crash() -> None:
    assert mean_recall_interval(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.int64)) == [0.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6), st.integers(1, 4))
def test_precision_is_the_mean_over_all_orders_of_ties(items: list[tuple[int, bool]], k: int) -> None:
    scores = np.array([own[0] for own in items], np.float32)
    right = np.array([own[1] for own in items])
    orders = [p for p in itertools.permutations(range(len(items))) if all(np.diff(scores[list(p)]) <= 0)]
    plain = np.mean([right[list(order[:k])].mean() for order in orders])
    assert expected_precision(scores[None], right[None], k)[0] == pytest.approx(plain)
