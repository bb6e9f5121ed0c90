"""Which source pictures an adaptation step learns from, and how much each counts: those most like the target first.

Source: UrbanCross section 3.3, equations 9 and 10, with rows and columns put right (docs/adaptation.md).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from training.domain.recipe import Adaptation, Band

_LEAST = 1e-6


def pair_vectors(pictures: Tensor, words: Tensor | None) -> Tensor:
    """E_P = norm(e_I + e_T), (n, d); of pictures alone where no words are known."""
    return normalize(pictures + words, dim=-1) if words is not None else pictures


def likeness(target: Tensor, source: Tensor) -> Tensor:
    """W1 of equation 9: (t, s) cosines of target pairs (t, d) with source pairs (s, d), of unit length."""
    return target @ source.T


def band_of(epoch: int, shape: Adaptation) -> tuple[int, int]:
    """From which to which rank of the n^s candidates an epoch draws its n^t; the bands spread over the epochs."""
    bands = shape.candidates
    number = min(epoch * bands // max(shape.epochs, bands), bands - 1) if shape.curriculum else 0
    return _bounds(shape.band, number, shape.batch)


def _bounds(band: Band, number: int, batch: int) -> tuple[int, int]:
    return (0 if band == "cumulative" else number * batch), (number + 1) * batch


def draw_source(alike: Tensor, epoch: int, shape: Adaptation, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n^t,) columns of W1 (t, s) to learn from, none twice: out of the epoch's band by mean likeness to the batch.

    At random from all of them where the shape says so ("w/o SS").
    """
    if shape.sampling == "random":
        return rng.choice(alike.shape[1], shape.batch, replace=False)
    ranked = torch.argsort(alike.mean(dim=0), descending=True, stable=True).numpy()
    first, last = band_of(epoch, shape)
    return rng.choice(ranked[first:last], shape.batch, replace=False)


@torch.no_grad()
def source_weights(alike: Tensor, weighting: Literal["softmax", "paper"], temperature: float) -> Tensor:
    """(n,) how much each chosen source pair counts, of mean 1: by its mean likeness S to the target batch.

    Args:
        alike: (t, n) columns of W1.
        weighting: n softmax(S / temperature), which leaves none out, or the paper's min-max of S; pairs that are all
            alike count 1 each.
    """
    mean = alike.mean(dim=0)
    if weighting == "softmax":
        return len(mean) * (mean / temperature).softmax(dim=0)
    spread = mean.max() - mean.min()
    if spread < _LEAST:
        return torch.ones_like(mean)
    scaled = (mean - mean.min()) / spread + _LEAST
    return scaled / scaled.mean()
