"""Calibration: held-out pairs decide how much each opinion counts and what a score means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from models.fusion import Calibration, FusionScorer
from retrieval.metrics import auroc
from training.logistic import logistic_curve
from training.matching.examples import Examples
from training.recipe import Matching
from training.swaps import derangement

_ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))
_RIDGE = 1e-3


def calibrate(scorer: FusionScorer, held_out: Examples, shape: Matching) -> Calibration:
    """Means, spreads, weight and logistic curve from held-out pairs, their swaps and their edits.

    With shape.fusion "raw" means are 0 and spreads 1; with shape.weight 0 only the discriminator counts.
    """
    first, second, positive = _opinions(scorer, held_out, shape)
    base = Calibration(alpha=0.7 if shape.alpha is None else shape.alpha)
    if shape.fusion == "calibrated":
        base = Calibration(float(first.mean()), _spread(first), float(second.mean()), _spread(second), alpha=base.alpha)
    if not shape.weight:
        base = _weighted(base, 1.0)
    elif shape.alpha is None:
        choices = [_weighted(base, alpha) for alpha in _ALPHAS]
        base = max(choices, key=lambda choice: auroc(_score(choice, first, second), positive))
    slope, intercept = platt(_score(base, first, second), positive)
    return _weighted(base, base.alpha, slope, intercept)


def platt(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the logistic curve that tells `positive` from the scores best.

    Both kinds count alike, however many there are of each.
    """
    weights = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    intercept, slope = logistic_curve(scores[:, None], positive, _RIDGE, weights)
    return float(slope), float(intercept)


def _opinions(scorer: FusionScorer, held_out: Examples, shape: Matching) -> tuple[Vectors, Vectors, NDArray[np.bool_]]:
    rows = np.arange(len(held_out))
    partner = derangement(np.random.default_rng([shape.seed, 11]), len(rows))
    swapped = held_out.agreement(rows, partner) < shape.mask_from
    aerial, maps = held_out.aerial[0], held_out.maps[0]
    parts = [
        scorer.scores(aerial, maps),
        scorer.scores(aerial[swapped], maps[partner][swapped]),
        scorer.scores(aerial[held_out.edits.row], held_out.changed[0]),
    ]
    first, second = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return first, second, np.arange(len(first)) < len(rows)


def _score(calibration: Calibration, first: Vectors, second: Vectors) -> NDArray[np.float64]:
    return calibration.match_score(first, second).astype(np.float64)


def _spread(values: Vectors) -> float:
    return max(float(values.std()), 1e-6)


def _weighted(base: Calibration, alpha: float, slope: float = 1.0, intercept: float = 0.0) -> Calibration:
    return Calibration(
        base.discriminator_mean, base.discriminator_std, base.prototype_mean, base.prototype_std,
        alpha, slope, intercept,
    )  # fmt: skip
