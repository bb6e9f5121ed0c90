"""Pictures of classes: every pixel one class, and the right one where a feature lies."""

import numpy as np
import pytest
from test_render import TILE, area, feature, line

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.structure import CLASS_OF, CLASSES
from geoanchor.tiling import tiles_in
from indexer.city.city import City
from indexer.featurestore import FeatureStore
from indexer.render import render_structure


def classes_of(*features: Feature, size: int = 256) -> np.ndarray:
    return render_structure(FeatureStore(features), TILE, size)


def at(classes: np.ndarray, x: float, y: float) -> str:
    return CLASSES[classes[int(y * len(classes)), int(x * len(classes))]]


def test_each_feature_is_its_class_and_the_rest_is_other() -> None:
    classes = classes_of(
        feature(area(0.05, 0.05, 0.2, 0.2), building="yes"),
        feature(area(0.3, 0.05, 0.45, 0.2), natural="water"),
        feature(area(0.55, 0.05, 0.7, 0.2), leisure="park"),
        feature(area(0.8, 0.05, 0.95, 0.2), landuse="residential"),
        feature(line((0, 0.4), (1, 0.4)), highway="residential"),
        feature(line((0, 0.6), (1, 0.6)), highway="motorway"),
        feature(line((0, 0.8), (1, 0.8)), railway="rail"),
    )
    assert classes.dtype == np.uint8
    assert classes.shape == (256, 256)
    for x, y, name in (
        (0.12, 0.12, "building"), (0.37, 0.12, "water"), (0.62, 0.12, "green"), (0.87, 0.12, "other"),
        (0.5, 0.4, "minor_road"), (0.5, 0.6, "major_road"), (0.5, 0.8, "rail"), (0.5, 0.95, "other"),
    ):  # fmt: skip
        assert at(classes, x, y) == name, (x, y)
    # No edge is mixed: nothing but the seven classes, each as large as drawn.
    assert set(np.unique(classes)) == set(CLASS_OF.values())
    assert (classes == CLASS_OF["building"]).sum() == pytest.approx((0.15 * 256) ** 2, rel=0.06)


def test_diagonal_edges_are_not_blended() -> None:
    house = feature(area(0.2, 0.2, 0.8, 0.8), building="yes")
    road = feature(line((0, 0), (1, 0.83)), highway="primary")
    assert set(np.unique(classes_of(house, road))) == {CLASS_OF[n] for n in ("other", "building", "major_road")}


def test_a_tunnel_is_not_seen_and_a_bridge_is() -> None:
    water = feature(area(0, 0.3, 1, 0.7), natural="water")
    way = line((0.5, 0), (0.5, 1))
    assert at(classes_of(water, feature(way, highway="primary", bridge="yes")), 0.5, 0.5) == "major_road"
    assert at(classes_of(water, feature(way, highway="primary", tunnel="yes", layer="-1")), 0.5, 0.5) == "water"


def test_land_of_no_class_covers_what_lies_below_it() -> None:
    park = feature(area(0, 0, 1, 1), leisure="park")
    plaza = feature(area(0.3, 0.3, 0.6, 0.6), amenity="parking")
    assert at(classes_of(park, plaza), 0.45, 0.45) == "other"
    assert at(classes_of(park, plaza), 0.1, 0.1) == "green"


def test_nothing_is_other_and_no_size_is_refused() -> None:
    assert not classes_of().any()
    with pytest.raises(UsageError, match="at least 1 px"):
        classes_of(size=0)


def test_a_city_s_tiles_hold_classes_alone() -> None:
    city = City(7)
    for tile in list(tiles_in(city.extent, 17))[5::97]:
        assert render_structure(city, tile, 128).max() < len(CLASSES)
