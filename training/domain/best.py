"""The best weights so far of a run that may get worse, and when to stop it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.domain.network import TwoTowers

_LEFT = 0.05
"""Of the pictures' spread, below which a network is taken to tell none from another."""


class Best(nn.Module):
    """The best network of a run by its validation score, and how long ago it was.

    Attributes:
        network: a copy. score: of its validation. epoch: when; stopped: at which step the run was ended early, or -1.
    """

    score: Tensor
    epoch: Tensor
    stopped: Tensor

    def __init__(self, network: TwoTowers, score: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.register_buffer("score", torch.tensor(score))
        self.register_buffer("epoch", torch.tensor(0))
        self.register_buffer("stopped", torch.tensor(-1))

    def offer(self, network: TwoTowers, score: float, epoch: int) -> None:
        """Keep a copy where it is better."""
        if score > float(self.score):
            self.network.load_state_dict(network.state_dict())
            self.score.fill_(score)
            self.epoch.fill_(epoch)


def unsound(network: nn.Module, losses: Mapping[str, Tensor]) -> str:
    """Which loss or gradient is no number any more, in words; "" where all are. Ask after the backward pass."""
    for name, loss in losses.items():
        if not math.isfinite(float(loss.detach())):
            return f"the {name} loss is {float(loss.detach())}"
    for name, weight in network.named_parameters():
        if weight.grad is not None and not bool(weight.grad.isfinite().all()):
            return f"the gradient of {name} is not finite"
    return ""


def spread(vectors: Tensor) -> float:
    """1 - mean cosine between different ones of n > 1 unit vectors (n, d); 0 where all are the same."""
    n = len(vectors)
    return 1 - float((vectors.sum(dim=0).square().sum() - n) / (n * (n - 1)))


def collapsed(vectors: Tensor, before: float) -> bool:
    """Whether unit vectors (n, d) have all but become one, measured by their `spread` before, or are no numbers."""
    return not spread(vectors) > _LEFT * before


def epochs_since(best: Best, epoch: int) -> int:
    """Epochs since the best one."""
    return epoch - int(best.epoch)


def rounded(facts: Mapping[str, float]) -> dict[str, Any]:
    """Facts as they are logged."""
    return {name: round(value, 4) for name, value in facts.items()}
