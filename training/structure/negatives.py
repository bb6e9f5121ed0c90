"""Maps that are wrong on purpose, as pictures of class numbers; what a matcher learns to tell from right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoanchor.structure import CLASS_OF, VOID
from training.patches import paste, patch
from training.structure.variants import Variants

Kind = Literal["same", "swap", "patch", "moved", "delete", "insert"]
Classes = NDArray[np.uint8]

_PATCHES = 0.08, 0.7
"""Least and greatest share of a picture that is replaced."""
_JITTER = 0.05
"""How far a right map may lie off, as a share of the side; wrong ones lie off as far."""
_ALIKE = 0.93
"""Maps that agree on so large a share of the tile cannot be told apart: neither is wrong for the other."""
_LEAST_CHANGE = 0.005
_BUILDING, _OTHER = CLASS_OF["building"], CLASS_OF["other"]


def wrong_map(kind: Kind, row: int, variants: Variants, rng: np.random.Generator) -> Classes | None:
    """The map of frame `row` after an edit (size, size), None where that kind leaves it right.

    Everything that is pasted comes from another place of the same group.
    """
    return None if (edited := _EDITS[kind](row, variants, rng)) is None else jittered(edited, rng)


def jittered(classes: Classes, rng: np.random.Generator) -> Classes:
    """Half of the maps a few per cent off, as maps are; void where nothing is left."""
    if rng.random() < 0.5:
        return classes
    reach = int(_JITTER * len(classes))
    dx, dy = rng.integers(-reach, reach + 1, 2).tolist()
    return np.asarray(ndimage.shift(classes, (dy, dx), order=0, cval=VOID))


def differs(first: Classes, second: Classes) -> float:
    """Share of the pixels whose class is another."""
    return float((first != second).mean())


def _same(row: int, variants: Variants, _rng: np.random.Generator) -> Classes | None:
    return np.asarray(variants.classes[row])


def _swap(row: int, variants: Variants, rng: np.random.Generator) -> Classes | None:
    other = _elsewhere(row, variants, rng)
    return None if differs(other, variants.classes[row]) < 1 - _ALIKE else other


def _patch(row: int, variants: Variants, rng: np.random.Generator) -> Classes | None:
    own, other = variants.classes[row], _elsewhere(row, variants, rng)
    edited = paste(own, other, patch(rng, float(rng.uniform(*_PATCHES)), own.shape))
    return None if differs(edited, own) < _LEAST_CHANGE * 8 else edited


def _moved(row: int, variants: Variants, _rng: np.random.Generator) -> Classes | None:
    partner = variants.partner[row]
    if partner < 0 or differs(variants.classes[partner], variants.classes[row]) < 1 - _ALIKE:
        return None
    return np.asarray(variants.classes[partner])


def _delete(row: int, variants: Variants, rng: np.random.Generator) -> Classes | None:
    """Some or all buildings gone."""
    own = variants.classes[row]
    blocks, count = ndimage.label(own == _BUILDING)
    gone = rng.random(count + 1) < _some(rng)
    gone[0] = False
    edited = np.where(gone[blocks], np.uint8(_OTHER), own)
    return None if differs(edited, own) < _LEAST_CHANGE else edited


def _insert(row: int, variants: Variants, rng: np.random.Generator) -> Classes | None:
    """Buildings of another place on open land."""
    own, other = variants.classes[row], _elsewhere(row, variants, rng)
    blocks, count = ndimage.label(other == _BUILDING)
    come = rng.random(count + 1) < _some(rng)
    come[0] = False
    free = np.isin(own, (_OTHER, CLASS_OF["green"]))
    edited = np.where(come[blocks] & free, np.uint8(_BUILDING), own)
    return None if differs(edited, own) < _LEAST_CHANGE else edited


def _some(rng: np.random.Generator) -> float:
    """Share of the buildings that an edit takes: from one in twenty to all, few as often as many."""
    return float(np.exp(rng.uniform(np.log(0.05), 0)))


def _elsewhere(row: int, variants: Variants, rng: np.random.Generator) -> Classes:
    """A map of another place of the same group."""
    others = np.flatnonzero((variants.group == variants.group[row]) & (variants.place != variants.place[row]))
    return np.asarray(variants.classes[int(rng.choice(others))])


_EDITS: dict[Kind, Callable[[int, Variants, np.random.Generator], Classes | None]] = {
    "same": _same, "swap": _swap, "patch": _patch, "moved": _moved, "delete": _delete, "insert": _insert,
}  # fmt: skip
KINDS = tuple(_EDITS)
