"""How pictures, and segments, are held against captions: InfoNCE or the margin losses of UrbanCross."""

from __future__ import annotations

import torch
from torch import Tensor

from training.domain.recipe import Contrast
from training.losses import info_nce


def contrast(
    kind: Contrast, first: Tensor, second: Tensor, scale: Tensor, positive: Tensor, margin: float
) -> Tensor:  # fmt: skip
    """Loss of n pictures against n captions of unit length, the i-th caption drawn for the i-th picture; a scalar.

    Args:
        positive: (n, n) 1 where a caption is true of a picture, the diagonal included. scale: of the cosines, and
            margin: of the hinges.
    """
    if kind == "info_nce":
        return info_nce(first, second, scale, positive)
    return hinge(first, second, positive, margin, hardest=kind == "hinge_max")


def hinge(first: Tensor, second: Tensor, positive: Tensor, margin: float, hardest: bool) -> Tensor:
    """Margin loss both ways: [margin + S_ij - S_ii]+ over what does not belong together, mean over the n pairs.

    Args:
        first, second: (n, d) rows of unit length. positive: (n, n), 0 where j does not belong to i.
        hardest: only the worst of each row and column counts (Faghri et al. 2018), else their sum.
    """
    cosines = first @ second.T
    own = cosines.diagonal()
    wrong = positive == 0
    rows = torch.where(wrong, (margin + cosines - own[:, None]).clamp(min=0), 0)
    columns = torch.where(wrong, (margin + cosines - own[None, :]).clamp(min=0), 0)
    if hardest:
        return rows.amax(dim=1).mean() + columns.amax(dim=0).mean()
    return (rows.sum() + columns.sum()) / len(cosines)
