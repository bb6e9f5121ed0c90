"""Whole-tile negatives: which picture of another place stands beside each map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError

ALIKE = 10
"""Anchors of 11 attributes that agree in so many describe places that cannot be told apart."""


def derangement(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """A random order of 0..count-1 in which nothing stays in its place, all such orders equally likely.

    Raises UsageError for fewer than two.
    """
    if count < 2:
        raise UsageError(f"{count} pictures cannot be swapped with one another; two are needed")
    while True:
        # One order in e has no fixed point, so this ends after three tries or so.
        order = rng.permutation(count)
        if not (order == np.arange(count)).any():
            return order
