"""Retrieval measures with honest ties, chance levels and intervals (the standard remote-sensing protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KS = (1, 5, 10)
_TIE_DECIMALS = 6
_CHUNK_SCORES = 20_000_000


def expected_hits(scores: NDArray[np.float32], relevant: Sequence[NDArray[np.int64]], ks: Sequence[int] = KS) -> Floats:
    """Chance, for each query, that a relevant item is among its k best when ties are broken at random.

    With g items strictly above the best relevant score and T items tied at it, r of them relevant, the m = k - g places
    left hold one of the r with probability 1 - C(T-r, m) / C(T, m). A collapsed model (all scores equal) thus gets k/g.

    Args:
        scores: (q, g) float32, higher is better; compared after rounding to 6 decimals.
        relevant: for each query the gallery positions that count as right; an empty one never hits.
        ks: cut-offs.
    Returns:
        (q, len(ks)) float64 in 0..1.
    """
    rounded = np.round(scores, _TIE_DECIMALS)
    hits = np.zeros((len(rounded), len(ks)))
    for row, right in enumerate(relevant):
        if right.size == 0:
            continue
        line = rounded[row]
        best = line[right].max()
        above = int((line > best).sum())
        tied = int((line == best).sum())
        tied_right = int((line[right] == best).sum())
        hits[row] = [_tie_hit(k - above, tied, tied_right) for k in ks]
    return hits


def _tie_hit(places: int, tied: int, right: int) -> float:
    if places <= 0:
        return 0.0
    if places > tied - right:
        return 1.0
    return 1.0 - comb(tied - right, places) / comb(tied, places)


def hits_of_vectors(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    relevant: Sequence[NDArray[np.int64]],
    ks: Sequence[int] = KS,
) -> Floats:
    """`expected_hits` of inner products, in chunks of queries so that the score matrix never exceeds some 80 MB.

    Args:
        queries: (q, d) float32; gallery: (g, d) float32 of the same space; relevant, ks: as in `expected_hits`.
    Returns:
        (q, len(ks)) float64 in 0..1.
    """
    step = max(1, _CHUNK_SCORES // max(1, len(gallery)))
    blocks = [
        expected_hits(queries[start : start + step] @ gallery.T, relevant[start : start + step], ks)
        for start in range(0, len(queries), step)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, len(ks)))


def expected_precision(scores: NDArray[np.float32], right: NDArray[np.bool_], k: int = 10) -> Floats:
    """Share of right items among the k best of each query when ties are broken at random.

    Args:
        scores: (q, g) float32, compared after rounding to 6 decimals; right: (q, g), which items count.
    Returns:
        (q,) float64 in 0..1; of a gallery smaller than k the share of all of it.
    """
    rounded = np.round(scores, _TIE_DECIMALS)
    k = min(k, rounded.shape[1])
    last = -np.partition(-rounded, k - 1, axis=1)[:, k - 1 : k]
    above, tied = rounded > last, rounded == last
    places = k - above.sum(axis=1)
    by_chance = places * (tied & right).sum(axis=1) / tied.sum(axis=1)
    found: Floats = ((above & right).sum(axis=1) + by_chance) / k
    return found


def percent(hits: Floats) -> dict[str, float]:
    """{"R@1": ..., ...} in percent from per-query hits (q, len(KS))."""
    means = hits.mean(axis=0) if len(hits) else np.zeros(len(KS))
    return {f"R@{k}": round(100 * float(mean), 2) for k, mean in zip(KS, means, strict=True)}


def chance(relevant: Sequence[NDArray[np.int64]], gallery: int, ks: Sequence[int] = KS) -> dict[str, float]:
    """{"R@k": ...} in percent of a ranking drawn at random from a gallery of that size."""
    counts = np.asarray([right.size for right in relevant])
    values = {}
    for k in ks:
        misses = [_tie_hit(min(k, gallery), gallery, int(count)) if count else 0.0 for count in counts]
        values[f"R@{k}"] = round(100 * float(np.mean(misses)) if len(misses) else 0.0, 3)
    return values


def interval(
    values: Floats, groups: NDArray[np.int64] | None = None, seed: int = 0, resamples: int = 1000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of `values` (n,).

    Args:
        groups: (n,) id of the cluster each value belongs to (captions of one image); clusters are drawn, not values.
        seed: of the resampling.
    """
    if len(values) == 0:
        return 0.0, 0.0
    keys = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(keys, weights=values)
    sizes = np.bincount(keys)
    draws = np.random.default_rng(seed).integers(0, len(sums), (resamples, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    return _middle(means.tolist())


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half. Raises ValueError unless both classes are there."""
    from sklearn.metrics import roc_auc_score

    if positive.all() or not positive.any():
        raise ValueError("AUROC needs positives and negatives")
    return float(roc_auc_score(positive, scores))


def auroc_interval(
    scores: Floats, positive: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0, resamples: int = 1000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `auroc`; whole groups (n,) are drawn, draws with one class left out.

    Raises ValueError unless both classes are there.
    """
    if positive.all() or not positive.any():
        raise ValueError("AUROC needs positives and negatives")
    order = np.argsort(scores, kind="stable")
    levels = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    keys = np.unique(groups, return_inverse=True)[1][order]
    right = positive[order]
    found = []
    for weights in _drawn(int(keys.max()) + 1, seed, resamples):
        weight = weights[keys]
        above = np.add.reduceat(weight * right, levels)
        below = np.add.reduceat(weight * ~right, levels)
        total = above.sum() * below.sum()
        if total:
            found.append(float((above * (np.cumsum(below) - below / 2)).sum() / total))
    return _middle(found)


def auroc_gain_error(
    before: Floats,
    after: Floats,
    positive: NDArray[np.bool_],
    groups: NDArray[np.int64],
    weights: Floats,
    seed: int = 0,
    resamples: int = 200,
) -> float:
    """Standard error of how far the AUROC of one score lies above that of another, both of the same items (n,).

    By bootstrap: whole groups (n,) are drawn, the same ones for both scores; draws with one class are left out.

    Args:
        weights: (n,) how much an item counts.
    """
    from sklearn.metrics import roc_auc_score

    keys, gains = np.unique(groups, return_inverse=True)[1], []
    for draws in _drawn(int(keys.max()) + 1, seed, resamples):
        drawn = np.flatnonzero(draws[keys])
        if 0 < positive[drawn].sum() < len(drawn):
            counts = (weights * draws[keys])[drawn]
            above, below = (
                roc_auc_score(positive[drawn], scores[drawn], sample_weight=counts) for scores in (after, before)
            )
            gains.append(above - below)
    return float(np.std(gains)) if gains else 0.0


def _drawn(groups: int, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """How often each group is drawn, in one resample after another."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, groups, groups), minlength=groups)


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the middle 95 %."""
    if not values:
        return 0.0, 0.0
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def f1_of(predicted: NDArray[np.bool_], positive: NDArray[np.bool_]) -> float:
    """F1 of a decision (n,); 0 where nothing is predicted and nothing is positive."""
    right, wrong = int((predicted & positive).sum()), int((predicted != positive).sum())
    return 2 * right / (2 * right + wrong) if right else 0.0


def f1_interval(
    predicted: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    groups: NDArray[np.int64],
    seed: int = 0,
    resamples: int = 1000,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `f1_of`; whole groups (n,) are drawn."""
    keys = np.unique(groups, return_inverse=True)[1]
    right = np.bincount(keys, weights=predicted & positive)
    wrong = np.bincount(keys, weights=predicted != positive)
    found = []
    for weights in _drawn(len(right), seed, resamples):
        hits = float(weights @ right)
        found.append(2 * hits / (2 * hits + float(weights @ wrong)) if hits else 0.0)
    return _middle(found)


def best_threshold(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """The threshold with the highest F1, halfway to the next lower score; to be chosen on validation data only."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(positive, scores)
    harmonic = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(harmonic[:-1]))
    # Right at the last score that counts, whatever is a little below it elsewhere would not.
    return float(thresholds[max(best - 1, 0) : best + 1].mean())


def average_precision(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Average precision of one ranked list; 0 where nothing is relevant."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores)) if positive.any() else 0.0
