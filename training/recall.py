"""Recall@k of pictures by their captions and back, from vectors alone: exact, text-equivalent, chance, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from retrieval import metrics

TIE_RULE = "expected recall under random tie-breaking"
_RESAMPLES = 1000

Positions = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSet:
    """Pictures and their captions in one space.

    Attributes:
        names: g pictures, images: (g, d) float32 their vectors.
        texts: q captions, captions: (q, d) float32 their vectors, owner: (q,) row of the picture each is of; every
            picture has one or more.
    """

    names: Sequence[str]
    images: Vectors
    texts: Sequence[str]
    captions: Vectors
    owner: NDArray[np.int64]

    def own_images(self) -> Positions:
        """For each caption the one picture it was written for."""
        return [np.asarray([image], np.int64) for image in self.owner]

    def own_captions(self) -> Positions:
        """For each picture its own captions."""
        return _grouped(self.owner, len(self.names))

    def equal_images(self) -> Positions:
        """For each caption the pictures that carry the very same one (`normalised`)."""
        keys = self._keys()
        carriers = [np.unique(self.owner[rows]) for rows in _grouped(keys, int(keys.max(initial=-1)) + 1)]
        return [carriers[key] for key in keys]

    def equal_captions(self) -> Positions:
        """For each picture the captions that say the same as one of its own (`normalised`)."""
        keys = self._keys()
        alike = _grouped(keys, int(keys.max(initial=-1)) + 1)
        return [np.concatenate([alike[key] for key in np.unique(keys[own])]) for own in self.own_captions()]

    def _keys(self) -> NDArray[np.int64]:
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(normalised(text), len(numbers)) for text in self.texts], np.int64)


def recall_figures(encoded: EncodedSet, seed: int = 0) -> dict[str, Any]:
    """Text-to-image and image-to-text recall with c captions an image, in percent.

    Image-to-text counts an image when any of its own captions is among the k best; text-to-image counts each caption.
    `mean_recall` is the mean of the six. `text_equivalent` also accepts what carries the very same words.
    `intervals` are 95 % bootstrap over images.

    Args:
        seed: of the resampling.
    """
    owner = encoded.owner
    to_image = metrics.hits_of_vectors(encoded.captions, encoded.images, encoded.own_images())
    to_text = metrics.hits_of_vectors(encoded.images, encoded.captions, encoded.own_captions())
    alike_image = metrics.hits_of_vectors(encoded.captions, encoded.images, encoded.equal_images())
    alike_text = metrics.hits_of_vectors(encoded.images, encoded.captions, encoded.equal_captions())
    return _both(to_image, to_text) | {
        "images": len(encoded.names),
        "captions": len(encoded.texts),
        "text_equivalent": _both(alike_image, alike_text)
        | {"interval": mean_recall_interval(alike_image, alike_text, owner, seed)},
        "chance": {
            "text_to_image": metrics.chance(encoded.own_images(), len(encoded.names)),
            "image_to_text": metrics.chance(encoded.own_captions(), len(encoded.texts)),
        },
        "intervals": {
            "text_to_image": intervals(to_image, owner, seed),
            "image_to_text": intervals(to_text, None, seed),
            "mean_recall": mean_recall_interval(to_image, to_text, owner, seed),
        },
        "ties": TIE_RULE,
        "seed": seed,
    }


def intervals(hits: metrics.Floats, groups: NDArray[np.int64] | None, seed: int) -> dict[str, list[float]]:
    """{"R@k": [low, high]} in percent: 95 % bootstrap of the means of hits (n, 3), whole groups (n,) drawn."""
    return {
        f"R@{k}": [round(100 * end, 2) for end in metrics.interval(hits[:, column], groups, seed)]
        for column, k in enumerate(metrics.KS)
    }


def mean_recall(to_image: metrics.Floats, to_text: metrics.Floats) -> float:
    """Mean of the six recalls in percent, of hits (q, 3) of captions and (g, 3) of images."""
    return 50 * float(to_image.mean() + to_text.mean())


def mean_recall_interval(
    to_image: metrics.Floats, to_text: metrics.Floats, owner: NDArray[np.int64], seed: int = 0
) -> list[float]:
    """95 % percentile bootstrap of mean recall in percent; an image is drawn with all its captions.

    Args:
        to_image: (q, 3) hits of captions, owner: (q,) their images; to_text: (g, 3) hits of images.
    """
    images = len(to_text)
    if not images:
        return [0.0, 0.0]
    sums = np.bincount(owner, weights=to_image.mean(axis=1), minlength=images)
    counts = np.bincount(owner, minlength=images)
    own = to_text.mean(axis=1)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, images, images)
        means.append(50 * float(sums[drawn].sum() / counts[drawn].sum() + own[drawn].mean()))
    return [round(float(end), 2) for end in np.percentile(means, [2.5, 97.5])]


def normalised(text: str) -> str:
    """Lower case, full stops removed, white space folded."""
    return " ".join(text.lower().replace(".", " ").split())


def _both(to_image: metrics.Floats, to_text: metrics.Floats) -> dict[str, Any]:
    return {
        "text_to_image": metrics.percent(to_image),
        "image_to_text": metrics.percent(to_text),
        "mean_recall": round(mean_recall(to_image, to_text), 2),
    }


def _grouped(keys: NDArray[np.int64], count: int) -> Positions:
    """Positions of each key 0..count-1, in order."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.searchsorted(keys[order], np.arange(1, count))) if count else []
