"""How much each segment of a picture counts for a caption, in training."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Mode = Literal["softmax", "paper"]
TEMPERATURE = 0.07
_LEAST = 1e-6


@torch.no_grad()
def caption_weights(
    segments: Tensor, present: Tensor, texts: Tensor, mode: Mode = "softmax", temperature: float = TEMPERATURE
) -> Tensor:
    """Weights (n, k) of n pictures' segments for a caption of each; rows sum to 1, 0 where there is no segment.

    No gradient flows through them: a segment is not to be moved so that it is weighed more.

    Args:
        segments: (n, k, d) of unit length, anything where absent. present: (n, k) bool, one or more a row.
        texts: (n, d) of unit length.
        mode: "softmax" of cosine / temperature, or "paper": the cosine, not below 0 (UrbanCross, equation 4).
    """
    cosine = torch.einsum("nkd,nd->nk", segments, texts)
    if mode == "softmax":
        return (cosine / temperature).masked_fill(~present, -torch.inf).softmax(dim=1)
    weights = (cosine.clamp(min=0) + _LEAST).masked_fill(~present, 0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def pooled(segments: Tensor, present: Tensor, weights: Tensor) -> Tensor:
    """(n, d) of unit length: the weighted mean of each picture's segments; absent ones take no part (equation 3)."""
    there = segments.masked_fill(~present[..., None], 0.0)
    return normalize((weights[..., None] * there).sum(dim=1), dim=-1)
