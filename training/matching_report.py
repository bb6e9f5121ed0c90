"""How well scores tell matching pairs from others: as a whole, by kind of edit, by how much changed, with intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from retrieval import metrics
from training.pairlist import Pair
from training.pairscores import EncodedPairs, Floats, Rows, Scorer
from training.swaps import derangement

Flags = NDArray[np.bool_]

BINS = (("none", 0.0), ("<10 %", 0.1), ("10-25 %", 0.25), ("25-50 %", 0.5), (">50 %", 1.0))
"""Changed-area bins and their upper ends, included."""
_SWAPS = 3
"""Derangements whose mean is `auroc_imagery_swapped`."""


def report(scorer: Scorer, encoded: EncodedPairs, seed: int) -> dict[str, Any]:
    """What one scorer makes of the pairs.

    Returns:
        auroc, f1_match, f1_mismatch (0..1), threshold; `intervals` of the first three (95 % bootstrap over aerial
        pictures); auroc_imagery_swapped, the same with every aerial picture exchanged for another, 0.5 where maps alone
        give nothing away (None where there is but one picture); `kinds` and `changed`, see below.
    Raises:
        UsageError: a label has fewer than two different pairs.

    The threshold is cross-fitted: each half of the pairs (drawn by hash of their names, within each label) is judged
    with the threshold of the best F1 on the other half; the mean of the two is told. `f1_mismatch` has a threshold of
    its own, found in the same way.
    """
    require_labels(encoded.pairs)
    positive = np.asarray([pair.label == 1 for pair in encoded.pairs])
    scores, groups = scorer(encoded.map_of, encoded.aerial_of), encoded.aerial_of
    half = _halves(encoded.pairs, positive)
    accepted, threshold = _decided(scores, positive, half)
    rejected, _ = _decided(-scores, ~positive, half)
    return {
        "auroc": _rounded(metrics.auroc(scores, positive)),
        "f1_match": _rounded(metrics.f1_of(accepted, positive)),
        "f1_mismatch": _rounded(metrics.f1_of(rejected, ~positive)),
        "threshold": round(threshold, 6),
        "auroc_imagery_swapped": imagery_swapped(scorer, encoded, seed),
        "intervals": {
            "auroc": _ends(metrics.auroc_interval(scores, positive, groups, seed)),
            "f1_match": _ends(metrics.f1_interval(accepted, positive, groups, seed)),
            "f1_mismatch": _ends(metrics.f1_interval(rejected, ~positive, groups, seed)),
        },
        "kinds": _by_kind(scores, positive, encoded, seed),
        "changed": _by_change(scores, positive, accepted, encoded),
    }


def require_labels(pairs: Sequence[Pair]) -> None:
    """Raise UsageError unless there are two different pairs of each label."""
    distinct = {(pair.label, pair.aerial, pair.map) for pair in pairs}
    same = sum(label for label, _, _ in distinct)
    if min(same, len(distinct) - same) < 2:
        needed = "two pairs or more of each label, 1 (same) and 0 (changed or another place)"
        raise UsageError(f"matching needs {needed}; equal pairs count as one")


def imagery_swapped(scorer: Scorer, encoded: EncodedPairs, seed: int) -> float | None:
    """AUROC of the same maps and labels beside any other aerial pictures: above 0.5 as far as maps alone tell.

    Aerial pictures are deranged, three times over; a map that happens upon its own again is left out.
    """
    pictures = int(encoded.aerial_of.max()) + 1
    positive = np.asarray([pair.label == 1 for pair in encoded.pairs])
    if pictures < 2:
        return None
    own = set(zip(encoded.map_of[positive].tolist(), encoded.aerial_of[positive].tolist(), strict=True))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_SWAPS):
        aerials = derangement(rng, pictures)[encoded.aerial_of]
        pairs = zip(encoded.map_of.tolist(), aerials.tolist(), strict=True)
        other = np.array([pair not in own for pair in pairs])
        if positive[other].any() and not positive[other].all():
            found.append(metrics.auroc(scorer(encoded.map_of[other], aerials[other]), positive[other]))
    return _rounded(float(np.mean(found))) if found else None


def _by_kind(scores: Floats, positive: Flags, encoded: EncodedPairs, seed: int) -> dict[str, Any]:
    """For each kind of mismatch its pairs, AUROC and interval.

    The matches beside it are those of the same kind (made by the same operations) where there are any, else those of no
    kind, else all.
    """
    kinds = np.array([pair.kind for pair in encoded.pairs])
    found = {}
    for kind in sorted({str(kind) for kind in kinds[~positive]} - {""}):
        alike = [positive & (kinds == kind), positive & (kinds == ""), positive]
        rows = next(flags for flags in alike if flags.any()) | (~positive & (kinds == kind))
        found[kind] = _separated(scores, positive, rows, encoded.aerial_of, seed)
    return found


def _separated(scores: Floats, positive: Flags, rows: Flags, groups: Rows, seed: int) -> dict[str, Any]:
    ends = metrics.auroc_interval(scores[rows], positive[rows], groups[rows], seed)
    auroc = metrics.auroc(scores[rows], positive[rows])
    return {"auroc": _rounded(auroc), "interval": _ends(ends), "pairs": int((rows & ~positive).sum())}


def _by_change(scores: Floats, positive: Flags, accepted: Flags, encoded: EncodedPairs) -> dict[str, Any]:
    """For each bin of the changed share its pairs, the share called a mismatch, and AUROC against all matches."""
    changed = np.array(
        [0.0 if pair.label else np.nan if pair.changed is None else pair.changed for pair in encoded.pairs]
    )
    found: dict[str, Any] = {}
    low = -1.0
    for name, high in BINS:
        rows = (changed > low) & (changed <= high)
        low = high
        if not rows.any() or not np.isfinite(changed[~positive]).any():
            continue
        found[name] = {"pairs": int(rows.sum()), "called_mismatch": _rounded(float((~accepted[rows]).mean()))}
        if (rows & ~positive).any():
            against = positive | (rows & ~positive)
            found[name]["auroc"] = _rounded(metrics.auroc(scores[against], positive[against]))
    return found


def _decided(scores: Floats, positive: Flags, half: NDArray[np.int64]) -> tuple[Flags, float]:
    """Which pairs count as positive by the threshold of the other half, and the mean of the two thresholds."""
    cuts = [metrics.best_threshold(scores[half != side], positive[half != side]) for side in (0, 1)]
    return scores >= np.where(half == 0, *cuts), float(np.mean(cuts))


def _halves(pairs: Sequence[Pair], positive: Flags) -> NDArray[np.int64]:
    """0 or 1 for each pair; each label is split evenly, whatever the order of the file, equal pairs alike."""
    facts = [(bool(same), pair.aerial, pair.map) for pair, same in zip(pairs, positive.tolist(), strict=True)]
    half = {fact: number % 2 for number, fact in enumerate(sorted(set(facts), key=_dealing))}
    return np.array([half[fact] for fact in facts], np.int64)


def _dealing(fact: tuple[bool, Path, Path]) -> tuple[bool, str, Path, Path]:
    same, aerial, drawn = fact
    # By names alone, so that a data set is split alike wherever it lies.
    return same, hashlib.sha256(f"{aerial.name}|{drawn.name}".encode()).hexdigest(), aerial, drawn


def _rounded(value: float) -> float:
    return round(value, 4)


def _ends(interval: tuple[float, float]) -> list[float]:
    return [_rounded(end) for end in interval]
