"""Recall of a network over a domain's pictures and their captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoanchor.protocols import Vectors
from retrieval import metrics
from training.domain.batches import Side
from training.domain.network import TwoTowers
from training.recall import EncodedSet, mean_recall

_BATCH = 128


@torch.inference_mode()
def picture_vectors(network: TwoTowers, side: Side) -> Tensor:
    """(n, d) of a side's whole pictures."""
    network.eval()
    parts = [side.rows[start : start + _BATCH] for start in range(0, len(side.rows), _BATCH)]
    return torch.cat([network.pictures(side.views.whole(part)).cpu() for part in parts])


@torch.inference_mode()
def text_vectors(network: TwoTowers, words: Tensor) -> Tensor:
    """(t, d) of read texts."""
    network.eval()
    return torch.cat([network.words(part).cpu() for part in torch.split(words, 4 * _BATCH)])


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Judges networks on one side, whose views are not used: pictures are shown whole, with all their captions."""

    side: Side

    def __call__(self, network: TwoTowers) -> dict[str, Any]:
        """Recall both ways in percent by the standard protocol, its mean, and chance."""
        encoded, (to_image, to_text) = self._hits(network)
        chances = [
            metrics.chance(encoded.own_images(), len(encoded.names)),
            metrics.chance(encoded.own_captions(), len(encoded.texts)),
        ]
        return {
            "text_to_image": metrics.percent(to_image),
            "image_to_text": metrics.percent(to_text),
            "mean_recall": round(mean_recall(to_image, to_text), 3),
            "chance": round(float(np.mean([value for own in chances for value in own.values()])), 3),
            "images": len(encoded.names),
            "captions": len(encoded.texts),
        }

    def mean_recall(self, network: TwoTowers) -> float:
        """Mean of the six recalls, in percent."""
        return round(mean_recall(*self._hits(network)[1]), 3)

    def _hits(self, network: TwoTowers) -> tuple[EncodedSet, tuple[metrics.Floats, metrics.Floats]]:
        pictures, rows = self.side.views.pictures, self.side.rows
        captions = pictures.captions[rows]
        told = captions >= 0
        texts = captions[told]
        images: Vectors = picture_vectors(network, self.side).numpy()
        used, place = np.unique(texts, return_inverse=True)
        vectors: Vectors = text_vectors(network, self.side.views.words[torch.from_numpy(used)]).numpy()[place]
        encoded = EncodedSet(
            names=[pictures.names[row] for row in rows],
            images=images,
            texts=[pictures.texts[text] for text in texts],
            captions=vectors,
            owner=np.repeat(np.arange(len(rows)), told.sum(axis=1)),
        )
        to_image = metrics.hits_of_vectors(vectors, images, encoded.own_images())
        return encoded, (to_image, metrics.hits_of_vectors(images, vectors, encoded.own_captions()))
