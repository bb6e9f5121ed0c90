"""Contrastive losses: symmetric InfoNCE with soft targets, and the sigmoid loss for words that are true of many."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

MAX_LOG_SCALE = math.log(100)


class Scale(nn.Module):
    """The learnable factor on cosines: exp(θ), θ from ln(1/0.07), kept at or below ln 100 (Radford et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self) -> Tensor:
        """The factor, a scalar."""
        return self.log.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """Call after each optimiser step."""
        self.log.clamp_(max=MAX_LOG_SCALE)


def info_nce(first: Tensor, second: Tensor, scale: Tensor, positive: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: half the cross-entropy of each row's softmax, half that of each column's.

    Args:
        first: (n, d) and second: (m, d), rows of unit length.
        scale: scalar factor on the cosines.
        positive: (n, m) weights >= 0 of what belongs together, shared out over each row for the rows' half and over
            each column for the columns' half; a row or column without any takes no part. None means the diagonal.
    Returns:
        Scalar; 0 where nothing belongs together.
    """
    logits = scale * first @ second.T
    if positive is None:
        positive = torch.eye(len(first), len(second), dtype=logits.dtype, device=logits.device)
    return (_one_way(logits, positive) + _one_way(logits.T, positive.T)) / 2


def sigmoid_contrast(first: Tensor, second: Tensor, scale: Tensor, bias: Tensor, positive: Tensor) -> Tensor:
    """Is this true of that, asked of every pair by itself (Zhai et al. 2023, equation 1).

    Where many words are true of one picture, a softmax makes them compete; here a rare word counts as much as a common
    one.

    Args:
        first: (n, d) and second: (m, d), rows of unit length.
        scale, bias: scalars; a pair's logit is scale * cosine + bias.
        positive: (n, m) 1 where the two belong together, else 0.
    Returns:
        Scalar: the sum over a row's pairs, mean over the rows.
    """
    logits = scale * first @ second.T + bias
    return binary_cross_entropy_with_logits(logits, positive, reduction="sum") / len(first)


def _one_way(logits: Tensor, positive: Tensor) -> Tensor:
    """Mean cross-entropy over the rows that have a positive."""
    weight = positive.sum(dim=1)
    shared = positive / weight.clamp(min=1e-12)[:, None]
    losses = -(shared * logits.log_softmax(dim=1)).sum(dim=1)
    return losses[weight > 0].sum() / (weight > 0).sum().clamp(min=1)
