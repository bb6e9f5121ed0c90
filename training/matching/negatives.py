"""Mismatches to learn from: maps of other places, and maps of the same place with something changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from training.matching.examples import Examples
from training.swaps import derangement


@dataclass(frozen=True, slots=True, eq=False)
class Mismatches:
    """One mismatch for each pair of a batch.

    Attributes:
        maps: (n, d) what stands beside the pair's own aerial vector. weight: (n,) 1, or 0 where it may well match.
    """

    maps: Vectors
    weight: Vectors


class Negatives:
    """Draws mismatches; the strongest edits come first, weaker ones are let in as training goes on.

    Args:
        edits: share of the mismatches that are edits where a pair has any. mask_from: agreement of the anchors from
            which a swap counts for nothing.
    """

    def __init__(self, examples: Examples, edits: float, mask_from: int) -> None:
        self._examples = examples
        self._share = edits
        self._mask_from = mask_from
        order = np.lexsort((-examples.edits.strength, examples.edits.row))
        self._order = order  # edits by pair, the strongest first
        self._first = np.searchsorted(examples.edits.row[order], np.arange(len(examples) + 1))

    def __call__(
        self, rows: NDArray[np.int64], views: NDArray[np.int64], progress: float, rng: np.random.Generator
    ) -> Mismatches:
        """Mismatches for pairs `rows` seen in `views`; progress 0..1 through the training."""
        examples = self._examples
        partner = rows[derangement(rng, len(rows))]
        maps = examples.maps[views, partner]
        weight = (examples.agreement(rows, partner) < self._mask_from).astype(np.float32)
        edited, which = self._edits(rows, progress, rng)
        maps[edited] = examples.changed[views[edited], which]
        weight[edited] = 1
        return Mismatches(maps, weight)

    def _edits(
        self, rows: NDArray[np.int64], progress: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """(n,) which pairs get an edit, and the edit of each of those."""
        counts = self._first[rows + 1] - self._first[rows]
        edited = (rng.random(len(rows)) < self._share) & (counts > 0)
        allowed = np.maximum(1, np.ceil(progress * counts[edited]))
        which = self._order[self._first[rows[edited]] + (rng.random(len(allowed)) * allowed).astype(np.int64)]
        return edited, which
