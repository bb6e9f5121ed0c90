import math

import numpy as np
import pytest
import torch

from training.losses import Scale, info_nce, sigmoid_contrast

rng = np.random.default_rng(0)


def unit(n: int, d: int) -> torch.Tensor:
    x = rng.normal(size=(n, d))
    return torch.tensor(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=torch.float64)


def by_loops(first: np.ndarray, second: np.ndarray, scale: float, positive: np.ndarray) -> float:
    """The formula of the text, one number at a time."""
    total = 0.0
    for a, b, y in ((first, second, positive), (second, first, positive.T)):
        losses = []
        for i in range(len(a)):
            if y[i].sum() == 0:
                continue
            logits = [scale * sum(p * q for p, q in zip(a[i], b[j], strict=True)) for j in range(len(b))]
            log_sum = math.log(sum(math.exp(value) for value in logits))
            losses.append(-sum(y[i, j] / y[i].sum() * (logits[j] - log_sum) for j in range(len(b))))
        total += sum(losses) / max(len(losses), 1) / 2
    return total


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (5, 3), (2, 7)])
def test_equals_plain_loops(n: int, m: int) -> None:
    first, second = unit(n, 6), unit(m, 6)
    positive = torch.tensor(rng.integers(0, 2, (n, m)) * rng.random((n, m)))
    positive[0] = 0
    ours = info_nce(first, second, torch.tensor(7.0), positive)
    assert ours.item() == pytest.approx(by_loops(first.numpy(), second.numpy(), 7.0, positive.numpy()), abs=1e-9)


def test_diagonal_is_the_default() -> None:
    first, second = unit(5, 4), unit(5, 4)
    assert info_nce(first, second, torch.tensor(3.0)) == info_nce(first, second, torch.tensor(3.0), torch.eye(5))


@pytest.mark.parametrize("degrees", [0, 30, 60, 90, 180])
def test_two_pairs_at_a_known_angle(degrees: float) -> None:
    """Each pair is equal and the pairs stand at `degrees`: the loss is ln(1 + exp(s (cos - 1)))."""
    angle = math.radians(degrees)
    vectors = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    loss = info_nce(vectors, vectors, torch.tensor(5.0)).item()
    assert loss == pytest.approx(math.log1p(math.exp(5 * (math.cos(angle) - 1))), abs=1e-6)


def test_a_repeated_caption_is_nobodys_negative() -> None:
    """Two pictures with one caption: with both as positives the loss reaches its floor ln 2, not more."""
    pictures = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    positive = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    loss = info_nce(pictures, pictures, torch.tensor(50.0), positive).item()
    assert loss == pytest.approx(2 / 3 * math.log(2), abs=1e-6)


def test_nothing_in_common_is_zero_and_has_a_gradient() -> None:
    first = unit(3, 4).requires_grad_()
    info_nce(first, unit(2, 4), torch.tensor(9.0), torch.zeros(3, 2, dtype=torch.float64)).backward()
    assert first.grad is not None
    assert torch.equal(first.grad, torch.zeros(3, 4, dtype=torch.float64))


def test_scale_starts_at_its_value_and_is_clamped() -> None:
    scale = Scale()
    assert scale().item() == pytest.approx(1 / 0.07, rel=1e-5)
    scale.log.data.fill_(9.0)
    scale.clamp()
    assert scale().item() == pytest.approx(100, rel=1e-5)


def test_the_sigmoid_loss_equals_plain_loops() -> None:
    first, second = unit(4, 5), unit(3, 5)
    positive = torch.tensor(rng.integers(0, 2, (4, 3)), dtype=torch.float64)
    expected = 0.0
    for i in range(4):
        for j in range(3):
            sign = 1 if positive[i, j] else -1
            logit = 9.0 * sum(p * q for p, q in zip(first[i].tolist(), second[j].tolist(), strict=True)) - 2.0
            expected += math.log(1 + math.exp(-sign * logit)) / 4
    ours = sigmoid_contrast(first, second, torch.tensor(9.0), torch.tensor(-2.0), positive)
    assert ours.item() == pytest.approx(expected, abs=1e-6)


def test_a_rare_word_does_not_compete_with_a_common_one() -> None:
    """Adding a second true word leaves the pull on the first as it is."""
    picture, words = unit(1, 5).requires_grad_(), unit(2, 5)
    alone = sigmoid_contrast(picture, words[:1], torch.tensor(9.0), torch.tensor(-2.0), torch.ones(1, 1).double())
    both = sigmoid_contrast(picture, words, torch.tensor(9.0), torch.tensor(-2.0), torch.ones(1, 2).double())
    second = sigmoid_contrast(picture, words[1:], torch.tensor(9.0), torch.tensor(-2.0), torch.ones(1, 1).double())
    assert both.item() == pytest.approx(alone.item() + second.item())
