"""The reversed gradient, and what one step of each player does to how far the domains can be told apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.domain.adversary import Discriminator, accuracy, domain_features, domain_loss, ramp, reversed_gradient


def test_the_encoders_gradient_is_the_discriminators_turned_round() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    plain, turned = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.tensor([0.3, -2.0, 1.0])
    (plain @ weights).square().sum().backward()  # type: ignore[no-untyped-call]
    (reversed_gradient(turned, 0.7) @ weights).square().sum().backward()  # type: ignore[no-untyped-call]
    assert plain.grad is not None
    assert turned.grad is not None
    assert torch.allclose(turned.grad, -0.7 * plain.grad)


def _players() -> tuple[nn.Linear, Discriminator, Tensor, Tensor]:
    """An encoder and a discriminator that has learned to tell two clouds of points apart."""
    torch.manual_seed(3)
    source, target = torch.randn(64, 4) + 1, torch.randn(64, 4) - 1
    encoder, judge = nn.Linear(4, 4), Discriminator(4)
    optimiser = torch.optim.Adam(judge.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        _loss(encoder, judge, source, target).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    encoder.zero_grad()
    judge.zero_grad()
    return encoder, judge.eval(), source, target


def _loss(encoder: nn.Module, judge: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    logits = judge(reversed_gradient(encoder(torch.cat([source, target])), 1.0))
    return domain_loss(logits[: len(source)], logits[len(source) :], torch.ones(len(source)))


@pytest.mark.parametrize(("player", "apart"), [("encoder", False), ("judge", True)])
def test_one_step_of_the_encoder_hides_the_domain_and_one_of_the_discriminator_shows_it(
    player: str, apart: bool
) -> None:
    encoder, judge, source, target = _players()
    before = _loss(encoder, judge, source, target)
    before.backward()  # type: ignore[no-untyped-call]
    moved = encoder if player == "encoder" else judge
    with torch.no_grad():
        for weight in moved.parameters():
            assert weight.grad is not None
            weight -= 0.01 * weight.grad
    after = _loss(encoder, judge, source, target)
    assert (float(after.detach()) < float(before.detach())) is apart


def test_the_adversary_makes_a_discriminator_wrong_that_alone_is_right() -> None:
    torch.manual_seed(0)
    source, target = torch.randn(128, 4), torch.randn(128, 4) + torch.tensor([3.0, 0, 0, 0])

    def after_playing(strength: float) -> float:
        torch.manual_seed(1)
        encoder, judge = nn.Linear(4, 4), Discriminator(4)
        optimiser = torch.optim.Adam(
            [{"params": encoder.parameters(), "lr": 0.01}, {"params": judge.parameters(), "lr": 0.02}]
        )
        for _ in range(150):
            logits = judge(reversed_gradient(encoder(torch.cat([source, target])), strength))
            optimiser.zero_grad()
            domain_loss(logits[:128], logits[128:], torch.ones(128)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        logits = judge.eval()(encoder(torch.cat([source, target])))
        return accuracy(logits[:128], logits[128:])

    assert after_playing(0.0) > 0.85
    assert after_playing(1.0) < 0.75


def test_the_ramp_begins_at_nothing_and_ends_near_one() -> None:
    assert ramp(0) == 0
    assert ramp(1) == pytest.approx(0.9999, abs=1e-4)
    assert [ramp(p / 10) for p in range(11)] == sorted(ramp(p / 10) for p in range(11))


def test_slopes_of_the_discriminator_are_bounded() -> None:
    torch.manual_seed(0)
    judge = Discriminator(6)
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter *= 50
    for _ in range(30):
        judge(torch.randn(4, 6))  # the power iteration finds the largest singular value
    first, second = torch.randn(100, 6), torch.randn(100, 6)
    judge.eval()
    slopes = (judge(first) - judge(second)).abs() / (first - second).norm(dim=1)
    assert float(slopes.detach().max()) <= 1.05


def test_without_target_words_the_discriminator_sees_pictures_alone() -> None:
    pictures, words = torch.ones(2, 3), torch.zeros(2, 3)
    assert domain_features(pictures, None).shape == (2, 3)
    assert domain_features(pictures, words).tolist()[0] == [0, 0, 0, 1, 1, 1]
