"""What the maps of an index show nothing of: they cannot teach that it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoanchor.structure import CLASS_OF, CLASSES, VOID
from training.adapt.ground import OwnGround
from training.structure.variants import resized_classes

_SHOWN = 0.05
"""Of what the decoder sees of a class: maps that show less than this share of it show next to nothing."""

Seen = NDArray[np.integer]
"""(n, cells, cells) the class that the decoder believes in most."""


def unshown(ground: OwnGround, seen: Seen) -> list[str]:
    """The classes that the maps together show next to nothing of, though the decoder sees them in the pictures."""
    # A map that colours all of its ground has nothing "other", and is none the less complete for it.
    named = [name for name in CLASSES if name != "other"]
    return [name for name in named if _share(ground.classes, name) < _SHOWN * _share(seen, name)]


def without(ground: OwnGround, seen: Seen, names: Sequence[str]) -> OwnGround:
    """The ground with its maps void where the decoder sees one of some classes."""
    if not names:
        return ground
    hidden = np.isin(seen, [CLASS_OF[name] for name in names]).astype(np.uint8)
    side = ground.classes.shape[1]
    kept = [np.where(resized_classes(mask, side), VOID, own) for mask, own in zip(hidden, ground.classes, strict=True)]
    return replace(ground, classes=np.stack(kept).astype(np.uint8))


def _share(numbers: NDArray[np.integer], name: str) -> float:
    return np.count_nonzero(numbers == CLASS_OF[name]) / numbers.size
