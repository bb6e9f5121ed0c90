"""Which of several scales a picture has, told by how far its likeness to rows lies above what is usual at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors

_RESCALED = 0.75
"""Standard deviations that another scale must gain: most pictures show as much ground as the rows do."""
_CLEARLY = 1.3
"""By what factor it must lie higher above the usual."""
_LEAST_DEVIATION = 0.01
"""Of likeness. Of a handful of rows the deviation says nothing; it is never less than what noise makes of it."""

Scores = NDArray[np.float64]


class Usual(NamedTuple):
    """Median (s, 1) of a picture's likeness to rows anywhere, at each scale, and its deviation at the first: at the
    right one of a small index's rows is the right row, which deviates most."""

    median: Vectors
    deviation: float


def usual_of(likeness: Vectors) -> Usual:
    """What is usual, by the likeness (s, m) to rows from all over; the first of the scales is the rows' own."""
    return Usual(np.median(likeness, axis=1)[:, None], max(float(likeness[0].std()), _LEAST_DEVIATION))


def told_scale(likeness: Vectors, usual: Usual, scales: Sequence[float]) -> tuple[Scores, NDArray[np.int64]]:
    """How many deviations above the usual n rows lie at the scale that suits each best, and the scale that is told.

    Args:
        likeness: (s, n). scales: (s,), the first of them 1.
    Returns:
        (n,) deviations; (n,) numbers of scales.
    """
    cost = np.array([[0.0 if scale == 1 else _RESCALED] for scale in scales])
    above = (likeness - usual.median) / usual.deviation - cost
    best = above.max(axis=0)
    # What suits well at the rows' own scale is of that scale, though another may suit still better by chance.
    return best, np.where(best + _RESCALED > _CLEARLY * above[0], above.argmax(axis=0), 0)
