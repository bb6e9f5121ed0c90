"""Coarse vectors: the inner product of two long grids, kept as well as can be in far fewer numbers."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from geoanchor.protocols import Vectors

DIM = 256
_RIDGE = 1e-3


def learn_projections(maps: Vectors, aerials: Vectors, dim: int = DIM) -> dict[str, Vectors]:
    """The two matrices whose product stands best for the identity between maps and pictures.

    Of all products of rank `dim` it has the least mean squared error of g . l over maps g and pictures l drawn
    independently: with roots of the second moments M, A it is the truncated singular value decomposition of
    M^1/2 A^1/2, brought back.

    Args:
        maps: (n, f) flat class shares. aerials: (m, f) flat log-odds.
    Returns:
        "map" and "aerial" (f, dim) float32.
    """
    root_maps, back_maps = _roots(maps)
    root_aerials, back_aerials = _roots(aerials)
    left, sizes, right = linalg.svd(root_maps @ root_aerials, full_matrices=False)
    weight = np.sqrt(sizes[:dim])
    return {
        "map": np.asarray(back_maps @ (left[:, :dim] * weight), np.float32),
        "aerial": np.asarray(back_aerials @ (right[:dim].T * weight), np.float32),
    }


def _roots(rows: Vectors) -> tuple[Vectors, Vectors]:
    """Square root of the second moment of rows (n, f), and its inverse; both (f, f)."""
    moment = rows.T.astype(np.float64) @ rows / len(rows)
    values, vectors = linalg.eigh(moment)
    values = np.maximum(values, 0) + _RIDGE * values.max()
    root = (vectors * np.sqrt(values)) @ vectors.T
    back = (vectors / np.sqrt(values)) @ vectors.T
    return root, back
