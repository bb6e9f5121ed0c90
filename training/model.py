"""The model in training: two image towers, a head on frozen sentence vectors, one scale a contrast."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.bundle import Branch
from models.text import MINILM_DIM
from models.towers import Head, ImageTower
from training.batches import Batch
from training.losses import Scale, info_nce, sigmoid_contrast
from training.recipe import Towers, Weights


class PairModel(nn.Module):
    """Aerial tower, map tower and text head into one space."""

    def __init__(self, shape: Towers) -> None:
        super().__init__()
        self.aerial, self.map = (
            ImageTower(shape.architecture, shape.size_px, shape.dim, shape.hidden, shape.layout_channels)
            for _ in range(2)
        )
        self.text = nn.ModuleDict({"head": Head(MINILM_DIM, shape.hidden, shape.dim)})
        self.text_scale, self.keyword_scale, self.pair_scale = Scale(), Scale(), Scale()
        # Most words are not true of most pictures: the loss begins where that is what is believed.
        self.keyword_bias = nn.Parameter(torch.tensor(-6.0))

    def words(self, sentences: Tensor) -> Tensor:
        """(n, 384) sentence vectors -> (n, dim)."""
        return cast(Tensor, self.text["head"](sentences))

    def loss(self, batch: Batch, weights: Weights) -> Tensor:
        """Weighted sum of the contrasts of one batch, a scalar."""
        aerial, maps = self.aerial(batch.aerial), self.map(batch.map)
        captions, keywords = self.words(batch.captions), self.words(batch.keywords)
        total = weights.aerial_map * info_nce(aerial, maps, self.pair_scale())
        for pictures, weight in ((aerial, weights.aerial_text), (maps, weights.map_text)):
            total = total + weight * info_nce(pictures, captions, self.text_scale(), batch.caption_of)
            total = total + weights.keyword * sigmoid_contrast(
                pictures, keywords, self.keyword_scale(), self.keyword_bias, batch.keyword_of
            )
        return total

    def clamp(self) -> None:
        """Keep the scales in range; call after each step."""
        for scale in (self.text_scale, self.keyword_scale, self.pair_scale):
            scale.clamp()


def branch_of(shape: Towers) -> Branch:
    """How pictures are prepared for both towers."""
    return Branch(architecture=shape.architecture, size_px=shape.size_px, layout_channels=shape.layout_channels)
