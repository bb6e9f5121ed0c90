"""FeatureStore against a plain scan of all features."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from geoanchor.feature import Feature
from geoanchor.tiling import Bounds
from indexer.featurestore import FeatureStore


def _random_features(seed: int, count: int = 300) -> list[Feature]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        x, y, size = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.001, 0.2)
        shape = (
            shapely.Point(x, y),
            shapely.LineString([(x, y), (x + size, y - size)]),
            shapely.Point(x, y).buffer(size),
        )
        made.append(Feature(str(i), shape[i % 3]))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_finds_what_a_plain_scan_finds_in_input_order(seed: int) -> None:
    features = _random_features(seed)
    box = Bounds(*np.random.default_rng(seed + 99).uniform(-1, 0, 2), *np.random.default_rng(seed).uniform(0, 1, 2))
    expected = [f.id for f in features if f.geometry.intersects(shapely.box(*box))]
    assert 0 < len(expected) < len(features)
    assert [f.id for f in FeatureStore(features).features(box)] == expected


def test_box_across_the_antimeridian_takes_both_sides_once() -> None:
    store = FeatureStore(
        [
            Feature("fiji-east", shapely.Point(-179.5, -17)),
            Feature("greenwich", shapely.Point(0, -17)),
            Feature("fiji-west", shapely.Point(179.5, -17)),
            Feature("both", shapely.MultiPoint([(179.9, -17), (-179.9, -17)])),
        ]
    )
    assert [f.id for f in store.features(Bounds(179, -18, -179, -16))] == ["fiji-east", "fiji-west", "both"]


def test_extent_holds_everything_and_empty_geometries_are_left_out() -> None:
    store = FeatureStore(
        [Feature("a", shapely.Point(1, 2)), Feature("b", shapely.Point()), Feature("c", shapely.Point(-3, 5))]
    )
    assert store.extent == Bounds(-3, 2, 1, 5)
    assert len(store) == 2
    assert FeatureStore([]).extent == Bounds(0, 0, 0, 0)
    assert FeatureStore([]).features(Bounds(-1, -1, 1, 1)) == []


def test_many_threads_get_the_same_answers() -> None:
    store = FeatureStore(_random_features(7))
    boxes = [Bounds(x / 10, -1, x / 10 + 0.2, 1) for x in range(-10, 10)] * 5
    alone = [[f.id for f in store.features(box)] for box in boxes]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda box: [f.id for f in store.features(box)], boxes))
    assert together == alone
