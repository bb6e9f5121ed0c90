"""Fits what stands on a frozen model: words, and a small projection that pictures and segments share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training.losses import Scale, info_nce
from training.segments.features import FrozenSet
from training.segments.weights import Mode, caption_weights, pooled


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit.

    Attributes:
        segment_weight: of the segment-text loss; 0 leaves segments out. mode: how captions weigh segments.
        epochs, batch, rate, decay: of AdamW with a cosine schedule and one caption an image a step; no epochs leave the
            model as it is.
    """

    segment_weight: float = 1.0
    mode: Mode = "softmax"
    epochs: int = 12
    batch: int = 256
    rate: float = 1e-3
    decay: float = 0.05


class Shared(nn.Module):
    """What is learned; it begins as the frozen model itself.

    `look` is the one projection of pictures and segments: the segment branch shares the picture's.
    """

    def __init__(self, dim: int, sentence_dim: int, hidden: int = 512) -> None:
        super().__init__()
        self.look = nn.Linear(dim, dim)
        self.inner, self.outer = nn.Linear(sentence_dim, hidden), nn.Linear(hidden, dim)
        for layer in (self.look, self.outer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.scale = Scale()

    def pictures(self, vectors: Tensor) -> Tensor:
        """(..., d) frozen vectors of pictures or segments -> (..., d) of unit length."""
        return normalize(vectors + self.look(vectors), dim=-1)

    def words(self, texts: Tensor, sentences: Tensor) -> Tensor:
        """(n, d) frozen vectors of captions and their (n, 384) sentence vectors -> (n, d) of unit length."""
        return normalize(texts + self.outer(nn.functional.gelu(self.inner(sentences))), dim=-1)


def fit(frozen: FrozenSet, options: FitOptions, seed: int) -> Shared:
    """L = NCE(image, text) + segment_weight NCE(segments, text) over the pictures of a set; the same for a seed."""
    torch.manual_seed(seed)
    model = Shared(frozen.images.shape[1], frozen.sentences.shape[1])
    data = {name: torch.from_numpy(getattr(frozen, name)) for name in ("images", "segments", "present")}
    words = {name: torch.from_numpy(getattr(frozen, name)) for name in ("texts", "sentences", "same")}
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=options.decay)
    rng, order = np.random.default_rng(seed), np.argsort(frozen.owner, kind="stable")
    first = np.searchsorted(frozen.owner[order], np.arange(len(frozen.images) + 1))
    steps = max(1, len(frozen.images) // options.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, options.epochs * steps))
    for _ in range(options.epochs):
        for rows in np.array_split(rng.permutation(len(frozen.images)), steps):
            told = order[rng.integers(first[rows], first[rows + 1])]
            loss = _loss(model, data, words, torch.from_numpy(rows), torch.from_numpy(told), options)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            model.scale.clamp()
    return model.eval()


def _loss(
    model: Shared, data: dict[str, Tensor], words: dict[str, Tensor], rows: Tensor, told: Tensor, options: FitOptions
) -> Tensor:
    texts = model.words(words["texts"][told], words["sentences"][told])
    # Where two pictures are told of in the same words, both are right.
    positive = (words["same"][told][:, None] == words["same"][told][None]).float()
    images = model.pictures(data["images"][rows])
    total = info_nce(images, texts, model.scale(), positive)
    if options.segment_weight:
        segments, present = model.pictures(data["segments"][rows]), data["present"][rows]
        weights = caption_weights(segments, present, texts, options.mode)
        total = total + options.segment_weight * info_nce(
            pooled(segments, present, weights), texts, model.scale(), positive
        )
    return total
