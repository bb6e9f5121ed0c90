"""Learning from segments: what each counts, what never counts, and what the ablation compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geoanchor.settings import Settings
from models.segments import MOST, open_segments
from models.toy import ToyEncoder
from training.segments import features
from training.segments.features import FrozenSet, freeze
from training.segments.fit import FitOptions, Shared, fit
from training.segments.judge import fused_vectors, judge, mean_recall
from training.segments.weights import TEMPERATURE, Mode, caption_weights, pooled

MODES: tuple[Mode, ...] = ("softmax", "paper")


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def present_of(counts: list[int], most: int = 5) -> torch.Tensor:
    return torch.arange(most) < torch.tensor(counts)[:, None]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 999), st.sampled_from(MODES))
def test_weights_sum_to_one_and_absent_segments_get_none(counts: list[int], seed: int, mode: Mode) -> None:
    present, texts = present_of(counts), unit(len(counts), 8, seed=seed)
    weights = caption_weights(unit(len(counts), 5, 8, seed=seed + 1), present, texts, mode)
    assert torch.isfinite(weights).all()
    assert (weights[~present] == 0).all()
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(counts)), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_what_stands_in_for_absent_segments_changes_nothing(mode: Mode) -> None:
    present, texts, segments = present_of([2, 5, 1]), unit(3, 8, seed=1), unit(3, 5, 8, seed=2)
    kept = pooled(segments, present, caption_weights(segments, present, texts, mode))
    for filler in (0.0, 7.0, torch.nan):
        other = torch.where(present[..., None], segments, torch.full_like(segments, filler))
        weights = caption_weights(torch.nan_to_num(other), present, texts, mode)
        assert torch.allclose(pooled(other, present, weights), kept)


def test_both_modes_by_hand() -> None:
    texts = torch.tensor([[1.0, 0.0]])
    segments = torch.tensor([[[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]])
    present = torch.ones(1, 3, dtype=torch.bool)
    soft = np.exp(np.array([0.6, 0.8, -1.0]) / TEMPERATURE)
    assert caption_weights(segments, present, texts)[0].numpy() == pytest.approx(soft / soft.sum(), abs=1e-6)
    paper = caption_weights(segments, present, texts, "paper")[0].numpy()
    assert paper == pytest.approx(np.array([0.6, 0.8, 0.0]) / 1.4, abs=1e-5)


def test_no_gradient_flows_through_the_weights() -> None:
    segments, texts = unit(2, 5, 8).requires_grad_(), unit(2, 8, seed=3).requires_grad_()
    weights = caption_weights(segments, present_of([5, 3]), texts)
    assert not weights.requires_grad
    pooled(segments, present_of([5, 3]), weights).sum().backward()
    assert segments.grad is not None
    assert texts.grad is None
    assert (segments.grad[1, 3:] == 0).all()


def toy_set(count: int = 24, seed: int = 0) -> FrozenSet:
    """Pictures of two colours each; every caption names the smaller part alone."""
    random = np.random.default_rng(seed)
    colours = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (240, 240, 240)}
    pictures, captions = [], []
    for _ in range(count):
        large, small = random.choice(list(colours), 2, replace=False)
        pixels = np.empty((64, 64, 3), np.uint8)
        pixels[:], pixels[20:44, 20:44] = colours[large], colours[small]
        pictures.append(pixels)
        captions.append([f"{small} thing", f"a {small} one"])
    encoder = ToyEncoder()
    return freeze(encoder, open_segments("regions", encoder, Settings()), pictures, captions)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> FrozenSet:
    with pytest.MonkeyPatch.context() as patch:
        # The sentence encoder has its own tests; here any numbers that tell captions apart will do.
        patch.setattr(features, "SentenceEncoder", lambda: Sentences())
        return toy_set()


class Sentences:
    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(list(text.encode())).normal(size=16) for text in texts]).astype(
            np.float32
        )


def test_a_frozen_set_is_kept_whole(frozen: FrozenSet, tmp_path: Path) -> None:
    frozen.save(tmp_path / "below" / "set.npz")
    again = FrozenSet.load(tmp_path / "below" / "set.npz")
    for name in FrozenSet.__dataclass_fields__:
        assert (getattr(again, name) == getattr(frozen, name)).all(), name
    assert frozen.segments.shape == (24, MOST, 4)
    assert frozen.present.sum(axis=1).tolist() == [2] * 24
    assert (frozen.segments[~frozen.present] == 0).all()
    assert frozen.owner.tolist() == np.repeat(np.arange(24), 2).tolist()


def random_set(count: int = 30) -> FrozenSet:
    """Pictures, segments and captions in no relation but that a caption leans to one segment of its picture."""
    random = np.random.default_rng(5)
    images, segments = unit(count, 8, seed=6).numpy(), unit(count, MOST, 8, seed=7).numpy()
    present = np.arange(MOST) < random.integers(1, MOST + 1, count)[:, None]
    texts = segments[:, 0] + 0.4 * unit(count, 8, seed=8).numpy()
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    areas, sentences = random.uniform(0.01, 0.4, (count, MOST)), random.normal(size=(count, 16))
    return FrozenSet(
        images, segments * present[..., None], present, areas.astype(np.float32), texts, sentences.astype(np.float32),
        np.arange(count), np.arange(count),
    )  # fmt: skip


def test_every_way_of_asking_equals_the_plain_loop() -> None:
    share, held_out = 0.4, random_set()
    found = judge(Shared(8, 16), held_out, share)
    late, mixed = np.zeros((2, len(held_out.texts), len(held_out.images)), np.float32)
    for row, (picture, parts, there) in enumerate(
        zip(held_out.images, held_out.segments, held_out.present, strict=True)
    ):
        weights = (np.maximum(parts[there] @ picture, 0) + 1e-6) * np.sqrt(held_out.areas[row][there])
        whole = (1 - share) * picture + share * (weights / weights.sum()) @ parts[there]
        for column, text in enumerate(held_out.texts):
            late[column, row] = (1 - share) * text @ picture + share * max(text @ part for part in parts[there])
            mixed[column, row] = text @ whole / np.linalg.norm(whole)
    assert found["late"] == pytest.approx(mean_recall(late, held_out.owner), abs=0.01)
    assert found["fused"] == pytest.approx(mean_recall(mixed, held_out.owner), abs=0.01)
    plain = mean_recall(held_out.texts @ held_out.images.T, held_out.owner)
    assert found["image only"] == pytest.approx(plain, abs=0.01)
    assert found["late"] > plain


def test_an_untrained_model_is_the_frozen_one(frozen: FrozenSet) -> None:
    untrained = Shared(4, 16).eval()
    with torch.inference_mode():
        assert torch.allclose(
            untrained.pictures(torch.from_numpy(frozen.images)), torch.from_numpy(frozen.images), atol=1e-6
        )
        told = untrained.words(torch.from_numpy(frozen.texts), torch.from_numpy(frozen.sentences))
    assert torch.allclose(told, torch.from_numpy(frozen.texts), atol=1e-6)
    assert judge(fit(frozen, FitOptions(epochs=0), 0), frozen) == judge(untrained, frozen)


def test_fitting_is_the_same_for_a_seed_and_learns(frozen: FrozenSet) -> None:
    options = FitOptions(epochs=20, batch=12, rate=1e-2)
    first, second, other = (fit(frozen, options, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in first.parameters())
    assert judge(first, frozen)["image only"] > judge(Shared(4, 16), frozen)["image only"]


@pytest.mark.parametrize("mode", MODES)
def test_the_segment_loss_is_what_is_switched(frozen: FrozenSet, mode: Mode) -> None:
    off, on = (fit(frozen, FitOptions(weight, mode, epochs=2, batch=12), 0) for weight in (0.0, 1.0))
    assert any(not torch.equal(a, b) for a, b in zip(off.parameters(), on.parameters(), strict=True))


def test_fused_vectors_are_of_unit_length_and_of_the_picture_alone_without_share(frozen: FrozenSet) -> None:
    for share in (0.0, 0.3, 1.0):
        vectors = fused_vectors(frozen.images, frozen.segments, frozen, share)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert fused_vectors(frozen.images, frozen.segments, frozen, 0.0) == pytest.approx(frozen.images, abs=1e-6)


def test_mean_recall_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    # Captions 0 and 1 are of picture 0, caption 2 of picture 1. R@1 to pictures 1/3, to captions 1/2, all else 1.
    owner = np.array([0, 0, 1])
    to_text_first = 0.5  # picture 0's best caption is its own, picture 1's best is caption 1
    expected = 50 * (np.mean([1 / 3, 1, 1]) + np.mean([to_text_first, 1, 1]))
    assert mean_recall(scores, owner) == pytest.approx(expected, abs=0.01)
