"""The eight ways to lay a square picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WAYS = 8


def turned(picture: NDArray[Any], way: int) -> NDArray[Any]:
    """A view of (h, w, ...) by `way` % 4 quarter turns, mirrored from way 4 on; 0 leaves it as it is."""
    seen = np.rot90(picture, way % 4)
    return seen[:, ::-1] if way >= 4 else seen
