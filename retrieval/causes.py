"""Why a map and a picture disagree: cells where one shows what the other does not, and one sentence about them.

Classes and beliefs are those of `geoanchor.structure`; a cell is one of the matcher's grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoanchor.change import Cause
from geoanchor.protocols import Judgement, Vectors
from geoanchor.structure import CLASS_OF, informative

KINDS: Mapping[str, tuple[int, ...]] = {
    "buildings": (CLASS_OF["building"],),
    "roads": (CLASS_OF["minor_road"], CLASS_OF["major_road"]),
    "railway": (CLASS_OF["rail"],),
    "water": (CLASS_OF["water"],),
}
"""What people look for in a map, and the classes that it is made of."""

_AGAINST_NATS = 0.6
"""Mean evidence against the map, over a cell and its eight neighbours, from which the cell counts as disagreeing."""
_DOUBTED_NATS = 0.2
"""The same of a cell that lies beside disagreeing ones: what is taken to go on from them."""
_NOTABLE = 0.01
"""Share of the tile that must differ for a cause to be named."""
_UNMAPPED = 0.005
"""Share of the tile below which what a map shows of structure is nothing."""
_CLEAR = 0.25
"""Belief in a kind below which a picture does not show it in a cell."""
_VAGUE = 0.35
"""Mean of the strongest belief below which a picture speaks for no class."""
_HALF = 0.5
_MAX_NODATA = 0.25
_MOSTLY = 0.75
"""Share without data from which it does not matter what the rest shows."""
_WINDS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """What n pairs differ in.

    Attributes:
        against: (n, cells, cells) where the picture speaks against the map.
        picture_only, map_only: (n, kinds) share of the tile where one side alone shows a kind, in cells of `against`.
        notable: (n,) whether that would be enough for a cause without what goes on from them, which half a cell's
            shift makes too.
        mapped: (n,) share of the tile that the map gives to any kind.
        clarity: (n,) mean of the strongest belief in a cell.
    """

    against: Mask
    picture_only: Vectors
    map_only: Vectors
    mapped: Vectors
    clarity: Vectors
    notable: Mask


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A cause and the sentence that says it."""

    cause: Cause
    reason: str


def differences(judged: Judgement) -> Differences:
    """What the pairs of a judgement differ in; a difference of one cell is taken for a difference of drawing."""
    loud, against = disagreeing(judged.evidence)
    shown, seen = _by_kind(judged.shares), _by_kind(judged.beliefs)
    known = judged.beliefs.sum(axis=-1, keepdims=True) > 0
    clear = np.where(seen >= _CLEAR, seen, 0)
    # Nothing on the map is contradicted loudly by anything: where the whole is held to be wrong, all that is shown is.
    empty = ~informative(judged.shares) & (judged.probability < _HALF)
    against |= empty[:, None, None] & (clear > 0).any(axis=-1)
    sides = [np.maximum(own - _widest(other), 0) * known for own, other in ((clear, shown), (shown, seen))]
    picture_only, map_only = ((side * against[..., None]).mean(axis=(1, 2)) for side in sides)
    notable = np.max([(side * loud[..., None]).sum(axis=-1).mean(axis=(1, 2)) for side in sides], axis=0) >= _NOTABLE
    clarity = judged.beliefs.max(axis=-1).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2, 3)), 1)
    mapped = shown.sum(axis=-1).mean(axis=(1, 2))
    return Differences(against, picture_only, map_only, mapped, clarity, notable)


def disagreeing(evidence: Vectors) -> tuple[Mask, Mask]:
    """Cells (n, cells, cells) where the picture speaks loudly against the map, and their neighbours' evidence agrees;
    and all cells to which they go on, where it does so softly (Canny 1986, hysteresis).
    """
    against = np.where(evidence < 0, -_mean3(np.minimum(evidence, 0)), 0)
    loud, soft = against > _AGAINST_NATS, against > _DOUBTED_NATS
    return loud, np.asarray(ndimage.binary_propagation(loud, structure=np.ones((1, 3, 3), bool), mask=soft))


def unmapped_mismatch(found: Differences) -> Vectors:
    """Mismatch (n,) where the map says nothing: grows with what the picture shows, 0.63 at 5 % of the tile."""
    return np.asarray(1 - np.exp(-found.picture_only.sum(axis=1) / 0.05), np.float32)


def diagnose(
    found: Differences, at: int, *, mismatch: float, informative: bool, moved_m: tuple[float, float] | None,
    nodata: tuple[float, float], gap: float = 0.0,
) -> Diagnosis:  # fmt: skip
    """The cause of one pair's mismatch.

    Args:
        at: which of the pairs. moved_m: metres east and north that this map lies off its region, where that alone
            explains the mismatch. nodata: share of the picture and of the map without data. gap: of their ground, that
            is known to lie where it counted for nothing.
    """
    ours, theirs = found.picture_only[at], found.map_only[at]
    # An empty map has no edges that half a cell's shift could make differ.
    different = bool(found.notable[at]) if informative else bool(ours.sum() > _NOTABLE)
    # What is missing where nobody sees it was judged like the rest.
    lost = max(nodata)
    if lost - gap > _MAX_NODATA or lost > (_MOSTLY if different else _MAX_NODATA):
        shown = "picture is cloud or" if nodata[0] >= nodata[1] else "map"
        return Diagnosis("cloud or no data", f"{percent(lost)} of the {shown} has no data")
    if moved_m is not None:
        return Diagnosis("shifted", f"the map lies {in_words(*moved_m)}")
    if found.clarity[at] < _VAGUE:
        return Diagnosis("cloud or no data", "the picture shows nothing clearly: cloud, haze or blur")
    if not informative or (found.mapped[at] < _UNMAPPED and ours.sum() > _NOTABLE):
        if ours.sum() <= _NOTABLE:
            return Diagnosis("not enough structure", "the map shows too little to be compared")
        hardly = "next to nothing" if found.mapped[at] >= 0.001 else "nothing"
        return Diagnosis("nothing mapped", f"{hardly} is mapped, and the picture shows {_amounts(ours)} of the tile")
    if not different:
        if mismatch < 0.5:
            return Diagnosis("agrees", "map and picture agree")
        return Diagnosis("unclear", "the picture speaks against the map, but for nothing in particular")
    if ours.sum() >= theirs.sum():
        return Diagnosis("map behind", f"{_amounts(ours)} of the tile in the picture, not on the map{_instead(theirs)}")
    return Diagnosis("imagery behind", f"{_amounts(theirs)} of the tile on the map, not in the picture{_instead(ours)}")


def kinds(shares: Vectors) -> dict[str, float]:
    """Shares (kinds,) by name, largest first, those below a thousandth left out."""
    named = sorted(zip(KINDS, shares.tolist(), strict=True), key=lambda item: -item[1])
    return {name: round(share, 4) for name, share in named if share >= 0.001}


def in_words(east_m: float, north_m: float) -> str:
    """ "7.9 m too far north-east" """
    wind = _WINDS[round(math.atan2(north_m, east_m) / (math.pi / 4)) % 8]
    return f"{math.hypot(east_m, north_m):.1f} m too far {wind}"


def percent(share: float) -> str:
    """ "3.1 %" """
    return f"{100 * share:.1f} %"


def _amounts(shares: Vectors) -> str:
    """ "buildings on 3.1 % and roads on 1.2 %" """
    parts = [f"{name} on {percent(share)}" for name, share in kinds(shares).items()]
    notable = [part for part, share in zip(parts, kinds(shares).values(), strict=True) if share >= _NOTABLE / 2]
    return " and ".join(notable or parts)


def _instead(shares: Vectors) -> str:
    """ ", which shows water on 4.5 %", of what is not there; "" for next to nothing."""
    return f", which shows {_amounts(shares)}" if shares.sum() >= _NOTABLE else ""


def _by_kind(grid: Vectors) -> Vectors:
    """(n, cells, cells, classes) -> (n, cells, cells, kinds)."""
    return np.stack([grid[..., list(classes)].sum(axis=-1) for classes in KINDS.values()], axis=-1)


def _widest(grid: Vectors) -> Vectors:
    """Largest value of a cell and its eight neighbours, over axes 1 and 2."""
    tall = np.maximum(grid, np.maximum(_step(grid, 1, 1), _step(grid, -1, 1)))
    return np.maximum(tall, np.maximum(_step(tall, 1, 2), _step(tall, -1, 2)))


def _mean3(grid: Vectors) -> Vectors:
    """Mean of a cell and its eight neighbours, over axes 1 and 2; beyond the edge lies the edge again."""
    tall = grid + _step(grid, 1, 1) + _step(grid, -1, 1)
    return np.asarray((tall + _step(tall, 1, 2) + _step(tall, -1, 2)) / 9)


def _step(grid: Vectors, by: int, axis: int) -> Vectors:
    """The grid moved by one cell along an axis, its edge repeated."""
    count = grid.shape[axis]
    return np.take(grid, np.clip(np.arange(count) - by, 0, count - 1), axis=axis)
