"""What stage two minimises: the hinge of the discriminator, and three terms on the cosines to the prototypes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu

SINKHORN_ROUNDS = 3
SINKHORN_EPSILON = 0.05
ASSIGN_TEMPERATURE = 0.1


def hinge(matched: Tensor, swapped: Tensor, weight: Tensor) -> Tensor:
    """E[1 - D(match)]+ + E[1 + D(mismatch)]+ (U-CSA, equation 5).

    Args:
        matched: (n,) and swapped: (m,) logits. weight: (m,) of the mismatches; 0 leaves a false one out.
    """
    return relu(1 - matched).mean() + weighted_mean(relu(1 + swapped), weight)


def prototype_margin(matched: Tensor, swapped: Tensor, weight: Tensor, margin: float) -> Tensor:
    """Matches lie near a prototype, mismatches near none: 1 - max cos, and [max cos - margin]+ (U-CSA section 3.3).

    Args:
        matched: (n, k) and swapped: (m, k) cosines. weight: (m,) as in `hinge`.
    """
    far = relu(swapped.max(dim=1).values - margin)
    return (1 - matched.max(dim=1).values).mean() + weighted_mean(far, weight)


def assignment(cosines: Tensor) -> Tensor:
    """Cross-entropy of the softmax over prototypes against an even sharing-out of the batch among all of them.

    Keeps the library from falling into one prototype (Caron et al. 2020, section 3.1).

    Args:
        cosines: (n, k) of matches.
    """
    shared = sinkhorn(cosines.detach(), SINKHORN_EPSILON, SINKHORN_ROUNDS)
    return -(shared * (cosines / ASSIGN_TEMPERATURE).log_softmax(dim=1)).sum(dim=1).mean()


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, rounds: int) -> Tensor:
    """Shares of n samples in k prototypes: rows sum to 1, columns come near n / k (Sinkhorn & Knopp 1967).

    Args:
        scores: (n, k). epsilon: the smaller, the nearer to one prototype a sample. rounds: of scaling both ways.
    Returns:
        (n, k) non-negative.
    """
    shares = ((scores - scores.max()) / epsilon).exp()
    for _ in range(rounds):
        shares = shares / shares.sum(dim=0, keepdim=True).clamp(min=1e-12)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return shares


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean by weight; 0 where all weights are 0."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-12)
