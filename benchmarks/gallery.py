"""A synthetic gallery with the shape of a real one: clustered unit vectors at places in H3 order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.tiling import cell_at

CLUSTERS = 1000
LATENT_DIM = 24
"""Embeddings of pictures fill few of their dimensions; without that the approximate indexes would have it too easy."""


@dataclass(frozen=True)
class Gallery:
    """vectors (g, d) float32 unit; queries (q, d) float32 unit; lng, lat (g,) degrees; cell (g,) uint64, sorted."""

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    lng: NDArray[np.float64]
    lat: NDArray[np.float64]
    cell: NDArray[np.uint64]


def make_gallery(rows: int = 500_000, dim: int = 256, queries: int = 300, seed: int = 0) -> Gallery:
    """Rows on a square of about 100 km with neighbours that look alike, sorted by cell."""
    rng = np.random.default_rng(seed)
    lng, lat = rng.uniform(8.0, 9.3, rows), rng.uniform(47.0, 47.9, rows)
    cell = np.fromiter((cell_at(x, y, 10) for x, y in zip(lng, lat, strict=True)), np.uint64, rows)
    order = np.argsort(cell, kind="stable")
    latent = rng.normal(size=(CLUSTERS, LATENT_DIM))[rng.integers(0, CLUSTERS, rows + queries)]
    latent += 0.5 * rng.normal(size=latent.shape)
    vectors = (latent @ rng.normal(size=(LATENT_DIM, dim))).astype(np.float32)
    vectors += rng.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Gallery(vectors[:rows], vectors[rows:], lng[order], lat[order], cell[order])


def recall_at_10(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Share of the exact ten best that were found, mean over queries; both (q, 10)."""
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]))
