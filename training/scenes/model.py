"""The tower and the text head in training, with what they are asked."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.text import MINILM_DIM
from models.towers import Head, ImageTower
from training.losses import Scale, info_nce, sigmoid_contrast
from training.recipe import Towers
from training.scenes.batches import Batch
from training.scenes.pictures import ScenePictures
from training.scenes.recipe import Objective


class SceneModel(nn.Module):
    """Aerial tower and text head into one space, and a head that names the scene."""

    def __init__(self, shape: Towers, kinds: int) -> None:
        super().__init__()
        self.aerial = ImageTower(shape.architecture, shape.size_px, shape.dim, shape.hidden, shape.layout_channels)
        self.text = nn.ModuleDict({"head": Head(MINILM_DIM, shape.hidden, shape.dim)})
        self.kind = nn.Linear(shape.dim, kinds, bias=False)
        self.scene_scale, self.drawn_scale, self.keyword_scale, self.kind_scale = (Scale() for _ in range(4))
        # Most words are not true of most pictures: the loss begins where that is what is believed.
        self.keyword_bias = nn.Parameter(torch.tensor(-6.0))

    def words(self, sentences: Tensor) -> Tensor:
        """(n, 384) sentence vectors -> (n, dim)."""
        return cast(Tensor, self.text["head"](sentences))

    def clamp(self) -> None:
        """Keep the scales in range; call after each step."""
        for scale in (self.scene_scale, self.drawn_scale, self.keyword_scale, self.kind_scale):
            scale.clamp()


class Memory(nn.Module):
    """The last pictures that were seen, as they were seen then, with their captions: negatives beyond the batch.

    Attributes:
        vectors: (k, dim); told: (k, 384) captions; rows: (k,) numbers of the pictures, -1 where nothing is yet.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, dim))
        self.register_buffer("told", torch.zeros(size, MINILM_DIM))
        self.register_buffer("rows", torch.full((size,), -1))
        self.vectors: Tensor
        self.told: Tensor
        self.rows: Tensor

    @torch.no_grad()
    def keep(self, vectors: Tensor, told: Tensor, rows: Tensor) -> None:
        """Put a batch before the others and forget the oldest."""
        for name, new in (("vectors", vectors), ("told", told), ("rows", rows)):
            held = getattr(self, name)
            setattr(self, name, torch.cat([new.to(held.dtype), held])[: len(held)])


class Bank:
    """All captions that are learned from, each as often as it was told.

    Attributes:
        sentences: (t, 384) of the distinct ones. often: (t,) logarithm of how often each was told.
    """

    def __init__(self, scenes: ScenePictures) -> None:
        self.sentences = torch.from_numpy(scenes.sentences)
        self._own = [torch.from_numpy(own) for own in scenes.captions]
        self.often = torch.bincount(torch.cat(self._own), minlength=len(self.sentences)).float().log()

    def own(self, rows: Tensor) -> Tensor:
        """(n, t) the share of each caption among those of pictures (n,)."""
        told = [torch.bincount(self._own[row], minlength=len(self.sentences)) for row in rows.tolist()]
        return torch.stack([counts / counts.sum() for counts in told])


class SceneLoss:
    """The objective of a scenes recipe over its pictures."""

    def __init__(self, objective: Objective, scenes: ScenePictures) -> None:
        self._objective = objective
        self._mean = torch.from_numpy(scenes.mean)
        self._bank = Bank(scenes) if objective.bank else None

    def __call__(self, model: SceneModel, batch: Batch, memory: Memory) -> Tensor:
        """A scalar; the memory takes the batch in."""
        goal, real = self._objective, len(batch.rows)
        vectors = model.aerial(batch.views)
        pictures, drawn = vectors[:real], vectors[real:]
        total = goal.scenes * self._contrast(model, pictures, batch, memory)
        logits = model.kind_scale() * model.kind(pictures)
        total = total + goal.kind * cross_entropy(logits, batch.mix @ torch.eye(logits.shape[1])[batch.kind])
        if len(drawn):
            captions = model.words(batch.captions)
            total = total + goal.drawn * info_nce(drawn, captions, model.drawn_scale(), batch.caption_of)
            total = total + goal.keyword * sigmoid_contrast(
                drawn, model.words(batch.keywords), model.keyword_scale(), model.keyword_bias, batch.keyword_of
            )
        # A mixture is no picture to be told from others later.
        if bool((batch.mix.diagonal() == 1).all()):
            memory.keep(pictures.detach(), batch.told, batch.rows)
        return total

    def _contrast(self, model: SceneModel, pictures: Tensor, batch: Batch, memory: Memory) -> Tensor:
        """Each picture among the captions of batch, memory and bank, each caption among the pictures."""
        held = memory.rows >= 0
        rows = torch.cat([batch.rows, memory.rows[held]])
        texts = model.words(torch.cat([batch.told, memory.told[held]]))
        gallery = torch.cat([pictures, memory.vectors[held]])
        target = self.targets(batch.rows, rows)
        scale = model.scene_scale()
        to_text = cross_entropy(scale * pictures @ texts.T, batch.mix @ target)
        if self._bank:
            all_told = scale * pictures @ model.words(self._bank.sentences).T + self._bank.often
            among_all = cross_entropy(all_told, batch.mix @ self._bank.own(batch.rows))
            to_text = to_text.lerp(among_all, self._objective.bank)
        mixed = target.clone()
        mixed[:, : len(pictures)] = target[:, : len(pictures)] @ batch.mix.T
        mixed = mixed / mixed.sum(dim=1, keepdim=True)
        to_picture = cross_entropy(scale * texts[: len(pictures)] @ gallery.T, mixed)
        return (to_text + to_picture) / 2

    def targets(self, rows: Tensor, others: Tensor) -> Tensor:
        """(n, m) shares, rows summing to 1: the same picture, and softly those told in like words."""
        same = (rows[:, None] == others[None, :]).float()
        same = same / same.sum(dim=1, keepdim=True)
        alike = (self._mean[rows] @ self._mean[others].T / self._objective.temperature).softmax(dim=1)
        return (1 - self._objective.soft) * same + self._objective.soft * alike
