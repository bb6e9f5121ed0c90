"""Made-up ground for matchers: grids of streets, houses, water and meadows, and what a decoder may make of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES, shares
from models.codes import CELLS, CODES, Codebooks, log_odds
from models.critic import Critic, feature_count
from models.matcher import CODES as CODES_SPACE
from models.matcher import StructureMatcher

PRIOR = np.array([0.4, 0.25, 0.06, 0.15, 0.1, 0.03, 0.01], np.float32)
SIDE_PX = 4 * CELLS
ClassPicture = NDArray[np.uint8]


def ground(seed: int, side: int = SIDE_PX) -> ClassPicture:
    """(side, side) class numbers: land, a lake or meadow, streets, and houses between them."""
    rng = np.random.default_rng(seed)
    classes = np.zeros((side, side), np.uint8)
    for number in (1, 2):
        y, x, height, width = (int(v) for v in rng.integers(side // 10, side // 2, 4))
        classes[y : y + height, x : x + width] = number
    for y, x in rng.integers(0, side, (int(side * side / 500), 2)).tolist():
        height, width = rng.integers(4, 14, 2).tolist()
        classes[y : y + height, x : x + width] = 3
    for number, count, width in ((4, 5, 4), (5, 1, 8), (6, 1, 3)):
        for at, along in zip(rng.integers(0, side, count).tolist(), rng.integers(0, 2, count).tolist(), strict=True):
            classes[(slice(at, at + width), slice(None)) if along else (slice(None), slice(at, at + width))] = number
    return classes


def grounds(count: int, seed: int = 0, side: int = SIDE_PX) -> NDArray[np.uint8]:
    """(count, side, side), all different."""
    return np.stack([ground(1000 * seed + row, side) for row in range(count)])


def grids_of(classes: NDArray[np.uint8]) -> Vectors:
    """Class shares (n, CELLS, CELLS, 7) of maps."""
    return np.stack([shares(picture, CELLS) for picture in classes])


def seen(grids: Vectors, seed: int = 0, noise: float = 0.4) -> Vectors:
    """Log-odds that a fair decoder would give of that ground: unsure, and wrong at random."""
    rng = np.random.default_rng(seed)
    beliefs = 0.7 * grids + 0.3 / len(CLASSES)
    logits = np.log(beliefs) + noise * rng.normal(size=grids.shape)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return log_odds(logits.astype(np.float32), PRIOR)


def books() -> Codebooks:
    """Codes that are the cells of some ground themselves."""
    rng = np.random.default_rng(7)
    maps = grids_of(grounds(24, 99))
    entries = {"map": maps, "aerial": seen(maps)}
    chosen = {
        name: grids.reshape(-1, 7)[rng.choice(24 * CELLS**2, CODES, replace=False)] for name, grids in entries.items()
    }
    chosen["map"][: len(CLASSES)] = np.eye(len(CLASSES))
    return Codebooks({"prior": PRIOR, **chosen})


def plain_critic() -> Critic:
    """Says the likeness of the sharpened grids, its first feature, and nothing else."""
    count = feature_count()
    weight = np.zeros((2, count), np.float32)
    weight[0, 0], weight[1, 0] = 1, -1
    return Critic(
        {
            "mean": np.zeros(count, np.float32), "scale": np.ones(count, np.float32), "inner.weight": weight,
            "inner.bias": np.zeros(2, np.float32), "outer.weight": np.array([[1, -1]], np.float32),
            "outer.bias": np.zeros(1, np.float32),
        }
    )  # fmt: skip


def plain_matcher() -> StructureMatcher:
    """Of made-up codes; its probability is the logistic of 20 (likeness - 0.1)."""
    return StructureMatcher(books(), plain_critic(), None, np.array([-2.0, 20.0], np.float32))


def coded(
    matcher_books: Codebooks, classes: NDArray[np.uint8], layer: str, seed: int = 0
) -> dict[str, NDArray[np.uint8]]:
    """Codes of maps, or of pictures of that ground."""
    grids = grids_of(classes)
    if layer == "map":
        return {CODES_SPACE: matcher_books.encode(grids, "map")}
    return {CODES_SPACE: matcher_books.encode(seen(grids, seed), "aerial")}
