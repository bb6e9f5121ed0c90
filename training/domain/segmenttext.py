"""Segments against captions: each counts by how well the caption fits it (UrbanCross, equation 4)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LEAST = 1e-6


@torch.no_grad()
def caption_weights(
    segments: Tensor, there: Tensor, captions: Tensor, weighting: Literal["softmax", "paper"], temperature: float
) -> Tensor:
    """(n, k) what each segment counts, rows sum to 1, nothing where there is none; no gradient goes through.

    Args:
        segments: (n, k, d) and captions: (n, d), of unit length. there: (n, k) bool, one or more in each row.
        weighting: softmax of cosine / temperature, or the paper's cosines with those below 0 clamped.
    """
    cosines = torch.einsum("nkd,nd->nk", segments, captions)
    if weighting == "softmax":
        return (cosines / temperature).masked_fill(~there, -torch.inf).softmax(dim=1)
    clamped = (cosines.clamp(min=0) + _LEAST) * there
    return clamped / clamped.sum(dim=1, keepdim=True)


def pooled(segments: Tensor, weights: Tensor) -> Tensor:
    """E_S: (n, k, d) and (n, k) -> (n, d) of unit length; segments of weight 0 have no part in it."""
    return normalize(torch.einsum("nkd,nk->nd", segments, weights), dim=-1)
