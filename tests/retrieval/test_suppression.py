"""Spatial suppression against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest

from geoanchor.tiling import distance_m
from retrieval.suppression import suppress


@pytest.mark.parametrize("centre", [(14.5, 48.2), (179.999, -17.0), (0.0, 89.99), (0.0, -90.0), (-30.0, 0.0)])
@pytest.mark.parametrize("radius_m", [1.0, 120.0, 900.0, 5e6])
def test_equals_the_plain_definition(centre: tuple[float, float], radius_m: float) -> None:
    random = np.random.default_rng(int(radius_m))
    lng = (centre[0] + random.uniform(-0.02, 0.02, 150) + 180) % 360 - 180
    lat = np.clip(centre[1] + random.uniform(-0.02, 0.02, 150), -90, 90)
    lng[7], lat[7] = np.nan, np.nan
    lng[20], lat[20] = lng[21], lat[21]
    rows = random.permutation(150)
    kept: list[int] = []
    for row in rows.tolist():
        apart = (distance_m(lng[row], lat[row], lng[other], lat[other]) for other in kept if not np.isnan(lng[other]))
        if np.isnan(lng[row]) or all(metres >= radius_m for metres in apart):
            kept.append(row)
    assert suppress(rows, lng, lat, radius_m).tolist() == kept


def test_the_best_always_stays() -> None:
    lng = lat = np.zeros(5)
    assert suppress(np.array([3, 0, 4, 1, 2]), lng, lat, 10.0).tolist() == [3]
    assert suppress(np.empty(0, np.int64), lng, lat, 10.0).tolist() == []
