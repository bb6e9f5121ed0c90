"""The weighted triplet loss of an adaptation step, within the source (UrbanCross equation 11)."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_triplet(pictures: Tensor, words: Tensor, weights: Tensor, positive: Tensor, margin: float) -> Tensor:
    """Sum of w_i ([d(T_i, I_i) - d(T_i, I_n) + margin]+ + [d(I_i, T_i) - d(I_i, T_n) + margin]+) / n; a scalar.

    d is 1 - cosine; n the semi-hard negative: the nearest that is farther than the positive, else the nearest. An
    anchor without negatives costs nothing.

    Args:
        pictures, words: (n, d) of unit length, the i-th text drawn for the i-th picture. weights: (n,).
        positive: (n, n) not 0 where text j is true of picture i: those are no negatives.
    """
    cosines = pictures @ words.T
    wrong = positive == 0
    from_words = _hinge(cosines.T, wrong.T, margin)
    from_pictures = _hinge(cosines, wrong, margin)
    return (weights * (from_words + from_pictures)).sum() / len(weights)


def _hinge(cosines: Tensor, wrong: Tensor, margin: float) -> Tensor:
    """(n,) [margin - S_ii + S_in]+ of each row with its semi-hard negative n."""
    own = cosines.diagonal()
    chosen = semi_hard(cosines.detach(), wrong)
    losses = (margin - own + cosines.gather(1, chosen[:, None])[:, 0]).clamp(min=0)
    return torch.where(wrong.any(dim=1), losses, 0)


def semi_hard(cosines: Tensor, wrong: Tensor) -> Tensor:
    """(n,) for each row the wrong column of the greatest cosine below its own, or the greatest at all where none is."""
    below = wrong & (cosines < cosines.diagonal()[:, None])
    usable = torch.where(below.any(dim=1, keepdim=True), below, wrong)
    return cosines.masked_fill(~usable, -torch.inf).argmax(dim=1)
