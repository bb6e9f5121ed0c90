"""Recall by the whole picture, by the fused vector and by late interaction, on captioned pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from models.segments import FUSE, fused, index_weights
from retrieval import metrics
from training import recall
from training.segments.features import FrozenSet
from training.segments.fit import Shared

WAYS = ("image only", "fused", "late")


@torch.inference_mode()
def judge(model: Shared, held_out: FrozenSet, share: float = FUSE) -> Mapping[str, float]:
    """Mean recall in percent of each of `WAYS`: the mean of R@1, 5, 10 of captions to pictures and back.

    The weights of segments are the index's, made without any caption.

    Args:
        share: of the segments.
    """
    images = model.pictures(torch.from_numpy(held_out.images)).numpy()
    segments = model.pictures(torch.from_numpy(held_out.segments)).numpy()
    texts = model.words(torch.from_numpy(held_out.texts), torch.from_numpy(held_out.sentences)).numpy()
    whole = texts @ images.T
    best = np.max([_likeness(texts, segments, held_out.present, place) for place in range(segments.shape[1])], axis=0)
    return {
        "image only": mean_recall(whole, held_out.owner),
        "fused": mean_recall(texts @ fused_vectors(images, segments, held_out, share).T, held_out.owner),
        "late": mean_recall((1 - share) * whole + share * best, held_out.owner),
    }


def fused_vectors(images: Vectors, segments: Vectors, held_out: FrozenSet, share: float) -> Vectors:
    """(n, d) as an index with `--fuse` keeps them."""
    rows = []
    for picture, parts, there, areas in zip(images, segments, held_out.present, held_out.areas, strict=True):
        rows.append(fused(picture, parts[there], index_weights(parts[there], areas[there], picture), share))
    return np.stack(rows)


def mean_recall(scores: Vectors, owner: NDArray[np.int64]) -> float:
    """Percent. scores: (q, g) of captions and pictures; owner: (q,) the picture that each caption is of."""
    to_image = metrics.expected_hits(scores, [np.array([row]) for row in owner])
    own = [np.flatnonzero(owner == row) for row in range(scores.shape[1])]
    to_text = metrics.expected_hits(np.ascontiguousarray(scores.T), own)
    return round(recall.mean_recall(to_image, to_text), 2)


def _likeness(texts: Vectors, segments: Vectors, present: NDArray[np.bool_], place: int) -> Vectors:
    return np.where(present[:, place], texts @ segments[:, place].T, -np.inf).astype(np.float32)
