"""The critic: from the evidence of a map and a picture, cell by cell, to one number for the pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from geoanchor.structure import CLASS_OF, CLASSES

_WINDOWS = ((5, 3), (10, 5), (20, 5))
"""Side and stride in cells of the windows whose worst says whether a part disagrees."""
_SPOTS = (3, 5)
"""Side in cells of the squares in which one house more or less is looked for."""
_SPOTTED = (CLASS_OF["building"], CLASS_OF["minor_road"])
_EPSILON = 1e-6

Totals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A map against a picture of n pairs, at the offset that suits best.

    Attributes:
        shares: (n, h, w, 7) of the map. log_odds: (n, h, w, 7) of the picture, moved into the map's frame, 0 where the
            move left no picture. beliefs: (n, h, w, 7) likewise. seen: (n, h, w) bool, where there is picture.
        alike: (n,) likeness of the sharpened grids at that offset. still: (n,) nats a cell at the expected offset.
            moved: (n,) how far from that it is, share of the side.
    """

    shares: Vectors
    log_odds: Vectors
    beliefs: Vectors
    seen: NDArray[np.bool_]
    alike: Vectors
    still: Vectors
    moved: Vectors

    @property
    def cells(self) -> Vectors:
        """(n, h, w) nats: how much the picture speaks for the map in each cell (s_u)."""
        return np.asarray(np.einsum("nhwc,nhwc->nhw", self.shares, self.log_odds))


def content(shares: Vectors, prior: Vectors) -> Vectors:
    """(..., 7) -> (...) nats: the evidence that a picture would give which shows just what the map says."""
    return np.asarray(np.einsum("...c,...c->...", shares, np.log((shares + _EPSILON) / prior)))


def features(evidence: Evidence, prior: Vectors) -> Vectors:
    """(n, f) what the critic looks at: agreement as a whole, of each class, and in the worst part of the tile."""
    seen = evidence.seen.astype(np.float32)
    area = np.maximum(seen.sum(axis=(1, 2)), 1)[:, None]
    cells, wanted = evidence.cells * seen, content(evidence.shares, prior) * seen
    best = cells.sum(axis=(1, 2)) / area[:, 0]
    short = np.maximum(wanted, 0) - cells
    whole = [
        evidence.alike, best, evidence.still, best - evidence.still, evidence.moved,
        (wanted.sum(axis=(1, 2)) / area[:, 0]), (short.sum(axis=(1, 2)) / area[:, 0]),
    ]  # fmt: skip
    by_class = [
        np.einsum("nhwc,nhw->nc", table, seen) / area
        for table in (
            evidence.shares,
            evidence.beliefs,
            evidence.shares * evidence.log_odds,
            np.minimum(evidence.shares, evidence.beliefs),
        )
    ]
    totals = _totals(cells), _totals(short), _totals(seen)
    parts = [part for side, stride in _WINDOWS for part in _worst(*totals, side, stride)]
    spots = _spots(evidence.shares - evidence.beliefs, seen)
    return np.concatenate([np.stack([*whole, *parts, *spots], axis=1), *by_class], axis=1).astype(np.float32)


def feature_count() -> int:
    """How many features there are."""
    return 7 + 4 * len(_WINDOWS) + 2 * len(_SPOTS) * len(_SPOTTED) + 4 * len(CLASSES)


def _worst(cells: Totals, short: Totals, seen: Totals, side: int, stride: int) -> list[Vectors]:
    """Of windows of one size, from `_totals`: the least and the tenth least evidence, the greatest and the tenth
    greatest shortfall."""
    area = _windowed(seen, side, stride)
    known = area >= 0.5 * side * side
    out: list[Vectors] = []
    for table, sign in ((cells, 1), (short, -1)):
        means = sign * _windowed(table, side, stride) / np.maximum(area, 1)
        means = np.where(known, means, np.nan).reshape(len(means), means.shape[1] * means.shape[2])
        # A far shift may leave no window half seen; of that nothing is said.
        means[~known.any(axis=(1, 2))] = 0
        ordered = np.sort(means, axis=1)
        out += [np.asarray(sign * value, np.float32) for value in (ordered[:, 0], _tenth(ordered))]
    return out


def _tenth(ordered: NDArray[np.floating]) -> Vectors:
    """The 10 % quantile (n,) of sorted rows (n, m) whose NaN come last, interpolated; `np.nanquantile` would go through
    the rows one by one."""
    place = 0.1 * ((~np.isnan(ordered)).sum(axis=1, keepdims=True) - 1)
    below = place.astype(np.int64)
    low, high = (np.take_along_axis(ordered, at, axis=1) for at in (below, np.ceil(place).astype(np.int64)))
    return np.asarray((low + (high - low) * (place - below))[:, 0], np.float32)


def _spots(surplus: Vectors, seen: Vectors) -> list[Vectors]:
    """The greatest surplus of a class on the map, and in the picture, over small squares; share of the square."""
    out: list[Vectors] = []
    for kind in _SPOTTED:
        both = [_totals(np.maximum(sign * surplus[..., kind], 0) * seen) for sign in (1, -1)]
        out += [_windowed(totals, side, 1).max(axis=(1, 2)) / side**2 for side in _SPOTS for totals in both]
    return out


def _totals(table: Vectors) -> Totals:
    """(n, h, w) -> (n, h + 1, w + 1): the sum of all that lies north and west of each corner."""
    n, height, width = table.shape
    totals = np.zeros((n, height + 1, width + 1))
    np.cumsum(table, axis=1, out=totals[:, 1:, 1:])
    return np.cumsum(totals, axis=2, out=totals)


def _windowed(totals: Totals, side: int, stride: int) -> Vectors:
    """`_totals` -> (n, i, j) sums over windows."""
    near, far = totals[:, :-side:stride], totals[:, side::stride]
    sums = far[:, :, side::stride] - near[:, :, side::stride] - far[:, :, :-side:stride] + near[:, :, :-side:stride]
    return np.asarray(sums, np.float32)


class Critic:
    """Two layers on standardised features; above 0 it says that map and picture agree.

    Args:
        arrays: "mean", "scale" (f,); "inner.weight" (h, f), "inner.bias"; "outer.weight" (1, h), "outer.bias".
    """

    def __init__(self, arrays: Mapping[str, Vectors]) -> None:
        self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}

    @property
    def inputs(self) -> int:
        """How many features it was trained to look at."""
        return len(self._arrays["mean"])

    def __call__(self, found: Vectors) -> Vectors:
        """Features (n, f) -> logits (n,)."""
        own = self._arrays
        x = np.clip((found - own["mean"]) / own["scale"], -5, 5)
        hidden = np.maximum(x @ own["inner.weight"].T + own["inner.bias"], 0)
        return np.asarray((hidden @ own["outer.weight"].T + own["outer.bias"])[:, 0], np.float32)
