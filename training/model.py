"""The model in training: two image towers, a head on frozen sentence vectors, one scale a contrast."""

from __future__ import annotations

from typing import cast

import timm
import torch
from torch import Tensor, nn

from geoanchor.errors import UsageError
from geoanchor.settings import Settings
from models.bundle import Branch
from models.text import MINILM_DIM
from models.towers import Head, ImageTower
from training.batches import Batch
from training.hub import fetching
from training.losses import Scale, info_nce, sigmoid_contrast
from training.recipe import Anchors, Towers, Weights


class PairModel(nn.Module):
    """Aerial tower, map tower and text head into one space.

    Args:
        anchors: how frozen anchor texts of `anchor_dim` numbers get into the space; None where none are learned from.
        settings: whether the hub may be asked for weights.
    """

    def __init__(
        self, shape: Towers, anchors: Anchors | None = None, anchor_dim: int = 0, settings: Settings | None = None
    ) -> None:
        super().__init__()
        self.aerial, self.map = (
            ImageTower(shape.architecture, shape.size_px, shape.dim, shape.hidden, shape.layout_channels)
            for _ in range(2)
        )
        if shape.pretrained:
            for tower in (self.aerial, self.map):
                _load_imagenet(tower, shape.architecture, settings)
        self.text = nn.ModuleDict({"head": Head(MINILM_DIM, shape.hidden, shape.dim)})
        self.text_scale, self.keyword_scale, self.pair_scale, self.anchor_scale = (Scale() for _ in range(4))
        # Most words are not true of most pictures: the loss begins where that is what is believed.
        self.keyword_bias = nn.Parameter(torch.tensor(-6.0))
        self.anchor_projection = _projection(anchors, anchor_dim, shape.dim) if anchors else None

    def words(self, sentences: Tensor) -> Tensor:
        """(n, 384) sentence vectors -> (n, dim)."""
        return cast(Tensor, self.text["head"](sentences))

    def loss(self, batch: Batch, weights: Weights) -> Tensor:
        """Weighted sum of the contrasts of one batch, a scalar."""
        aerial, maps = self.aerial(batch.aerial), self.map(batch.map)
        total = weights.aerial_map * info_nce(aerial, maps, self.pair_scale())
        if len(batch.captions) and (weights.captions or weights.keyword):
            total = total + self._caption_loss(aerial, maps, batch, weights)
        if weights.anchors:
            total = total + self._anchor_loss(aerial, maps, batch, weights)
        return total

    def _caption_loss(self, aerial: Tensor, maps: Tensor, batch: Batch, weights: Weights) -> Tensor:
        captions, keywords = self.words(batch.captions), self.words(batch.keywords)
        total = torch.zeros(())
        for pictures, weight in ((aerial, weights.aerial_text), (maps, weights.map_text)):
            total = total + weight * info_nce(pictures, captions, self.text_scale(), batch.caption_of)
            total = total + weights.keyword * sigmoid_contrast(
                pictures[batch.told], keywords, self.keyword_scale(), self.keyword_bias, batch.keyword_of[batch.told]
            )
        return total

    def _anchor_loss(self, aerial: Tensor, maps: Tensor, batch: Batch, weights: Weights) -> Tensor:
        """L_AT + L_MT: each branch against what it is told of its tile (U-CSA, equations 1 to 3)."""
        if self.anchor_projection is None:
            raise UsageError("the recipe weighs anchors, but the model was made without them")
        total = torch.zeros(())
        for pictures, texts, weight in (
            (aerial, batch.aerial_anchors, weights.aerial_anchor),
            (maps, batch.map_anchors, weights.map_anchor),
        ):
            told = nn.functional.normalize(self.anchor_projection(texts), dim=-1)
            total = total + weight * info_nce(pictures, told, self.anchor_scale(), batch.anchor_of)
        return total

    def clamp(self) -> None:
        """Keep the scales in range; call after each step."""
        for scale in (self.text_scale, self.keyword_scale, self.pair_scale, self.anchor_scale):
            scale.clamp()


def branch_of(shape: Towers) -> Branch:
    """How pictures are prepared for both towers: with ImageNet weights, by the colours those were learned with."""
    branch = Branch(architecture=shape.architecture, size_px=shape.size_px, layout_channels=shape.layout_channels)
    if not shape.pretrained:
        return branch
    known = timm.get_pretrained_cfg(shape.architecture)
    return branch.model_copy(update={"mean": known.mean, "std": known.std}) if known else branch


def _projection(anchors: Anchors, inner: int, dim: int) -> nn.Module:
    """Frozen text vectors of `inner` numbers to `dim`. Raises UsageError where they fit no other way."""
    if anchors.text_projection == "none":
        if inner != dim:
            reason = f"has {inner} numbers and the towers {dim}; set towers.dim={inner} or anchors.text_projection"
            raise UsageError(f"the text encoder {anchors.text!r} {reason}")
        return nn.Identity()
    layer = nn.Linear(inner, dim, bias=False)
    if anchors.text_projection == "frozen_orthogonal":
        nn.init.orthogonal_(layer.weight)
        layer.requires_grad_(False)
    return layer


def _load_imagenet(tower: ImageTower, architecture: str, settings: Settings | None) -> None:
    with fetching(architecture, settings):
        ready = timm.create_model(architecture, pretrained=True, features_only=True, out_indices=(-2, -1))
    tower.backbone.load_state_dict(ready.state_dict())
