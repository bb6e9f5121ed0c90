"""The map tower of a scenes recipe: maps into the space that aerial pictures and words already share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from geoanchor.protocols import Vectors
from models.towers import Head, ImageTower
from training.batches import Batch, Batches
from training.data import TilePairs
from training.fitting import Fitting
from training.losses import Scale, info_nce, sigmoid_contrast
from training.model import branch_of
from training.readahead import ReadAhead
from training.recipe import Schedule, Towers
from training.scenes.model import SceneModel

CHECKPOINT = "maps.pt"


class MapModel(nn.Module):
    """A map tower with the scales of its contrasts."""

    def __init__(self, shape: Towers) -> None:
        super().__init__()
        self.map = ImageTower(shape.architecture, shape.size_px, shape.dim, shape.hidden, shape.layout_channels)
        self.pair_scale, self.text_scale, self.keyword_scale = (Scale() for _ in range(3))
        self.keyword_bias = nn.Parameter(torch.tensor(-6.0))


class MapSession(Fitting[MapModel]):
    """The map tower at one step of a schedule; the aerial tower and the words that it learns from stay as they are.

    Args:
        aerial: takes pictures of any side. words: head of the sentence vectors.
    """

    def __init__(
        self, shape: Towers, schedule: Schedule, aerial: ImageTower, words: Head, pairs: TilePairs, run: Path
    ) -> None:
        torch.manual_seed(schedule.seed)
        super().__init__(MapModel(shape), schedule, run / CHECKPOINT, run / "maps.jsonl")
        self._aerial, self._words = aerial.eval(), words.eval()
        self._batches = ReadAhead(Batches(pairs, branch_of(shape), schedule))

    def loss(self, step: int) -> Tensor:
        """Maps with the aerial pictures of their places, their captions, and words for what is in them."""
        batch = self._batches(step)
        with torch.no_grad():
            seen = self._aerial(batch.aerial)
            captions, keywords = self._words(batch.captions), self._words(batch.keywords)
        maps = cast(Tensor, self.model.map(batch.map))
        total = info_nce(maps, seen, self.model.pair_scale())
        return total + self._told(maps[batch.told], batch, captions, keywords) if len(captions) else total

    def _told(self, maps: Tensor, batch: Batch, captions: Tensor, keywords: Tensor) -> Tensor:
        model = self.model
        told = info_nce(maps, captions, model.text_scale(), batch.caption_of[batch.told])
        named = sigmoid_contrast(
            maps, keywords, model.keyword_scale(), model.keyword_bias, batch.keyword_of[batch.told]
        )
        return told + 0.2 * named

    def bound(self) -> None:
        """Keep the scales in range."""
        for scale in (self.model.pair_scale, self.model.text_scale, self.model.keyword_scale):
            scale.clamp()

    def start_from(self, tower: Mapping[str, Vectors], scales: SceneModel) -> None:
        """Begin with what another map tower saw in maps, its head left out, and with the scales of the words."""
        seen = {name: torch.from_numpy(array) for name, array in tower.items() if not name.startswith("head.")}
        for model in (self.model, self.average):
            model.map.load_state_dict(seen, strict=False)
            model.pair_scale.load_state_dict(scales.drawn_scale.state_dict())
            model.text_scale.load_state_dict(scales.drawn_scale.state_dict())
            model.keyword_scale.load_state_dict(scales.keyword_scale.state_dict())
            with torch.no_grad():
                model.keyword_bias.copy_(scales.keyword_bias)
