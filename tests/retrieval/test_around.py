"""Surroundings of many rows at once against one row at a time."""

import numpy as np
import pytest

from geoanchor.tiling import cell_at
from retrieval.region import Places, distances_m


@pytest.fixture(scope="module")
def places() -> Places:
    """Without position, in a town, and on both sides of the antimeridian."""
    rng = np.random.default_rng(0)
    lng = np.concatenate(
        [[np.nan] * 5, rng.uniform(15, 15.1, 1500), rng.uniform(179.98, 180, 90), rng.uniform(-180, -179.98, 90)]
    )
    lat = np.concatenate([[np.nan] * 5, rng.uniform(48, 48.1, 1500), rng.uniform(-0.01, 0.01, 180)])
    cells = [cell_at(x, y, 10) for x, y in zip(lng[5:], lat[5:], strict=True)]
    cell = np.array([0] * 5 + cells, np.uint64)
    order = np.argsort(cell, kind="stable")
    return Places(cell[order], lng[order], lat[order])


@pytest.mark.parametrize("radius_m", [0.0, 90.0, 750.0, 20_000.0])
def test_around_is_near_for_each(places: Places, radius_m: float) -> None:
    rows = np.random.default_rng(1).permutation(len(places.cells))[:200]
    rows[:2] = 0, 4
    near, apart, starts = places.around(rows, radius_m)
    ends = [*starts[1:].tolist(), len(near)]
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends, strict=True):
        lng, lat = float(places.lng[row]), float(places.lat[row])
        expected = np.array([row]) if np.isnan(lng) else places.near(lng, lat, radius_m)
        assert np.array_equal(near[start:end], expected)
        metres = np.zeros(1) if np.isnan(lng) else distances_m(lng, lat, places.lng[expected], places.lat[expected])
        assert np.allclose(apart[start:end], metres, atol=1e-6)


def test_around_nothing(places: Places) -> None:
    near, apart, starts = places.around(np.empty(0, np.int64), 500.0)
    assert len(near) == len(apart) == len(starts) == 0


@pytest.mark.parametrize("radius_m", [0.0, 90.0, 750.0])
@pytest.mark.parametrize("count", [0, 1, 60])
def test_has_near_is_whether_any_is_around(places: Places, radius_m: float, count: int) -> None:
    random = np.random.default_rng(count)
    rows = np.append([0, 4], random.permutation(len(places.cells))[:300])
    others = np.sort(np.append(random.choice(np.arange(5, len(places.cells)), count, replace=False), 4))
    near, _, starts = places.around(rows, radius_m)
    found = [bool(np.isin(some, others).any()) for some in np.split(near, starts[1:])]
    assert places.has_near(rows, others, radius_m).tolist() == found
    assert not places.has_near(rows, others[:0], radius_m).any()
