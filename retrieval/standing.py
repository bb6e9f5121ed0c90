"""Where a picture's score stands: among reference pictures of its kind of imagery, and beside rival texts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from retrieval.calibration import Domain, Features, Scores

_BEST, _TOP, _SHELF = 0.01, 0.005, 0.04
"""Shares of the reference pictures, those that score highest."""
_RIVALS, _APART = 5, 3
"""Rival texts that a lead is over."""
_ALIKE = 0.5
"""Texts whose scores over the reference pictures go together less than this mean something else."""


class Standing:
    """Scores beside those of a domain's reference pictures (r, d) and of the bank's texts (b, d)."""

    def __init__(self, domain: Domain, reference: Vectors, bank: Vectors) -> None:
        self.domain = domain
        self._reference = reference
        self._bank = bank
        self._usual = _usual((reference @ bank.T).astype(np.float64))

    def strangeness(self, pictures: Vectors) -> float:
        """How far pictures (n, d), taken together, depart from the reference: root mean square, over the bank's texts,
        of their mean height. 0.04 where they are of the same kind, 0.2 for a single town, 0.5 for another continent."""
        middle, spread, _ = self._usual
        if not len(middle):
            return 0.0
        heights = ((pictures @ self._bank.T).mean(axis=0, dtype=np.float64) - middle) / spread
        return float(np.sqrt((heights**2).mean()))

    def ruler(self, vector: Vectors, background: Scores) -> Ruler:
        """For a query's vector (d,), and its scores (m,) of pictures all over a layer."""
        own = (self._reference @ vector).astype(np.float64)
        middle, spread, heights = self._usual
        alike = heights.T @ (own - own.mean()) / (len(own) * (own.std() + 1e-9))
        return Ruler(np.sort(own), background, alike, self._bank, middle, spread)


class Ruler:
    """What scores of one query are measured by, over one layer.

    Args:
        own: (r,) the query's scores of the reference pictures, ascending. background: (m,) of pictures all over it.
        alike: (b,) how far each of the bank's texts goes together with the query. bank: (b, d) their vectors.
        middle, spread: (b,) mean and spread of their scores over the reference pictures.
    """

    def __init__(
        self, own: Scores, background: Scores, alike: Scores, bank: Vectors, middle: Scores, spread: Scores
    ) -> None:
        self._own, self._bank = own, bank
        self._bank_middle, self._bank_spread = middle, spread
        self._others = alike < max(_ALIKE, float(np.sort(alike)[_APART - 1]) + 1e-9)
        self._crowd = np.log1p(100 * float((background > _best(own, _BEST).min()).mean()))

    def features(self, scores: Scores, pictures: Vectors) -> Features:
        """(n, 7) of pictures (n, d) that the query scores so (n,).

        height: standard deviations above the reference pictures' mean.
        lead: that less the same of the best few of the bank's texts; apart: of the best few that mean something else.
        top, shelf: how far above the reference's best two hundredth and best twenty-fifth.
        passed: -log share of the reference that scores higher.
        crowd: log of how many in the layer score higher than the reference's best hundredth.
        """
        own = self._own
        middle, spread = float(own.mean()), float(own.std()) + 1e-9
        height = (scores - middle) / spread
        rivals = ((pictures @ self._bank.T).astype(np.float64) - self._bank_middle) / self._bank_spread
        passed = -np.log(1 - np.searchsorted(own, scores) / len(own) + 1 / len(own))
        return np.column_stack([
            height, height - _mean_best(rivals, _RIVALS), height - _mean_best(rivals[:, self._others], _APART),
            (scores - _best(own, _TOP).mean()) / spread, (scores - _best(own, _SHELF).mean()) / spread,
            passed, np.full(len(scores), self._crowd),
        ])  # fmt: skip


def _usual(scores: Scores) -> tuple[Scores, Scores, NDArray[np.float64]]:
    """Mean and spread of each text's scores (r, b) over the reference pictures, and the scores in those units."""
    middle, spread = scores.mean(axis=0), scores.std(axis=0) + 1e-9
    return middle, spread, (scores - middle) / spread


def _best(ordered: Scores, share: float) -> Scores:
    """The highest of ascending scores, at least one."""
    return ordered[len(ordered) - max(1, int(share * len(ordered))) :]


def _mean_best(scores: Scores, count: int) -> Scores:
    """Mean of the highest `count` of each row."""
    return np.asarray(np.sort(scores, axis=1)[:, -count:].mean(axis=1))
