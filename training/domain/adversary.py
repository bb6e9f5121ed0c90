"""The domain discriminator and the turned-round gradient that makes the towers hide their domain from it.

Source: UrbanCross equation 12; gradient reversal and its ramp: Ganin and Lempitsky 2015; CORAL: Sun and Saenko 2016.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

_WIDTHS = (256, 128)


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return -ctx.strength * grads[0], None


def reversed_gradient(x: Tensor, strength: float) -> Tensor:
    """The same numbers; on the way back the gradient is turned round and multiplied by `strength`."""
    return cast(Tensor, _Reversed.apply(x, strength))


def ramp(progress: float) -> float:
    """lambda_p = 2 / (1 + exp(-10 p)) - 1, from 0 at the beginning towards 1, for progress 0..1."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


class Discriminator(nn.Module):
    """Three layers with bounded slopes: (n, features) -> (n,) logits of "this is the source"."""

    def __init__(self, features: int) -> None:
        super().__init__()
        sizes = (features, *_WIDTHS)
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [spectral_norm(nn.Linear(inner, outer)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Linear(_WIDTHS[-1], 1)))

    def forward(self, z: Tensor) -> Tensor:
        """(n, features) -> (n,)."""
        return cast(Tensor, self.layers(z))[:, 0]


def domain_features(pictures: Tensor, words: Tensor | None) -> Tensor:
    """z = [e_T; e_I], (n, 2 d); e_I alone where the target has no words."""
    return torch.cat([words, pictures], dim=1) if words is not None else pictures


def domain_loss(source: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """-V = -mean w_i log D(s_i) - mean log(1 - D(t_j)) of logits (n,), (m,); weights (n,) are of the source alone."""
    return (weights * softplus(-source)).mean() + softplus(target).mean()


def accuracy(source: Tensor, target: Tensor) -> float:
    """Share of the logits on the right side, each domain counting half; 0.5 is all that a fooled one gets."""
    return float(((source > 0).float().mean() + (target <= 0).float().mean()) / 2)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the two covariances (n, d) and (m, d) over 4 d^2; a scalar."""
    dim = source.shape[1]
    return (source.T.cov() - target.T.cov()).square().sum() / (4 * dim * dim)
