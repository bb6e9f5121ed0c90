"""How good the model is halfway, on tiles of places it does not learn from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.bundle import Branch
from models.text import SentenceEncoder
from models.tower_encoder import normalise, resize, seen
from models.towers import ImageTower
from retrieval import metrics
from training.data import KEYWORDS, TilePairs, keyword_phrases
from training.model import PairModel

_BATCH = 64
_MIN_POSITIVES = 3


@torch.inference_mode()
def validate(model: PairModel, pairs: TilePairs, branch: Branch) -> dict[str, float]:
    """Recall in percent of map and of text to aerial picture, and the keywords' mean average precision.

    The query text is each tile's first caption, right where it is a caption; a keyword is right where its concept is.
    """
    rows = range(len(pairs))
    aerial = vectors_of(model.aerial, pairs.aerial(rows), branch)
    maps = vectors_of(model.map, pairs.map(rows, [0] * len(pairs)), branch)
    drawn = metrics.percent(metrics.hits_of_vectors(maps, aerial, [np.array([row]) for row in rows]))
    figures = {f"map {k}": value for k, value in drawn.items()}
    told = np.flatnonzero(pairs.captions[:, 0] >= 0)
    return figures | _told(model, aerial[told], pairs, told) if len(told) else figures


def _told(model: PairModel, aerial: Vectors, pairs: TilePairs, rows: NDArray[np.int64]) -> dict[str, float]:
    """Figures of the words, over the tiles that have any."""
    captions = pairs.captions[rows]
    texts = model.words(torch.from_numpy(pairs.sentences[captions[:, 0]])).numpy()
    carriers = [np.flatnonzero((captions == text).any(axis=1)) for text in captions[:, 0]]
    spoken = metrics.percent(metrics.hits_of_vectors(texts, aerial, carriers))
    named = keyword_precision(model, aerial, pairs.concepts[rows])
    return {
        **{f"text {k}": value for k, value in spoken.items()},
        "keywords mAP": round(100 * float(np.mean(list(named.values()))), 2) if named else 0.0,
    } | {f"{name} AP": round(100 * named[name], 1) for name in ("stadium", "river") if name in named}


def keyword_precision(model: PairModel, pictures: Vectors, concepts: NDArray[np.bool_]) -> dict[str, float]:
    """Average precision of each keyword's plainest phrase, for those that occur often enough to tell."""
    often = [k for k in range(len(KEYWORDS)) if _MIN_POSITIVES <= concepts[:, k].sum() < len(concepts)]
    if not often:
        return {}
    phrases = keyword_phrases()
    sentences = SentenceEncoder().encode([phrases[k][0] for k in often])
    scores = model.words(torch.from_numpy(sentences)).numpy() @ pictures.T
    return {
        KEYWORDS[k].name: metrics.average_precision(line.astype(np.float64), concepts[:, k])
        for k, line in zip(often, scores, strict=True)
    }


@torch.inference_mode()
def vectors_of(tower: ImageTower, pixels: Pixels, branch: Branch) -> Vectors:
    """Unit vectors (n, d) of pictures (n, h, w, 3) uint8, shrunk to the tower's square."""
    small = np.stack([resize(picture, branch) for picture in pixels])
    batches = [small[start : start + _BATCH] for start in range(0, len(small), _BATCH)]
    vectors = (seen(tower, normalise(torch.from_numpy(batch), branch), branch.views) for batch in batches)
    return np.concatenate([own.numpy() for own in vectors])
