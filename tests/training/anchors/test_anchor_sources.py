"""Anchors of the city and of real extracts, from vectors and from pictures of maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from test_anchor_schema import anchor

from geoanchor.feature import Feature
from geoanchor.structure import CLASS_OF
from geoanchor.tiling import Tile, tile_at
from indexer.city.city import City
from indexer.featurestore import FeatureStore
from indexer.render import render_map, render_structure
from indexer.sources.osm import read_features
from models.palette import map_classes
from training.anchors.agreement import compare
from training.anchors.ground import ground_of, window
from training.anchors.raster import annotate_raster, recovered, square
from training.anchors.records import read_anchors, write_anchors
from training.anchors.schema import Anchor
from training.anchors.thinning import depths, thinned
from training.anchors.vectors import annotate

GOLDEN = Path(__file__).with_name("golden_anchors.json")
"""Anchors of a few tiles of city 7, countries A, B and C; a change of them is a new version of metrics or rules."""


def city_tiles(town: City, count: int, offset: int = 0) -> list[Tile]:
    middle = tile_at(*town.extent.center, 17)
    steps = [(x, y) for x in range(-9, 9, 4) for y in range(-9, 9, 4)]
    return [Tile(17, middle.x + x + offset, middle.y + y) for x, y in steps[:: max(1, len(steps) // count)][:count]]


def golden_anchors() -> list[Anchor]:
    towns = [City(7, country) for country in "ABC"]
    return [annotate(town, tile) for town in towns for tile in city_tiles(town, 5)]


def test_golden() -> None:
    kept = [Anchor.model_validate(item) for item in json.loads(GOLDEN.read_text("utf-8"))]
    found = golden_anchors()
    assert [a.attributes for a in found] == [a.attributes for a in kept]
    assert [(a.id, a.summary, a.annotator_version) for a in found] == [
        (a.id, a.summary, a.annotator_version) for a in kept
    ]
    for one, other in zip(found, kept, strict=True):
        assert one.metrics == pytest.approx(other.metrics, abs=2e-3)


def test_features_may_be_handed_over_and_come_in_any_order() -> None:
    town = City(7)
    tile = city_tiles(town, 3)[1]
    found = list(town.features(window(tile.bounds)))
    assert annotate(found, tile) == annotate(town, tile)
    assert annotate(found[::-1], tile).attributes == annotate(town, tile).attributes


def test_tags_that_count() -> None:
    tile = tile_at(11.0, 48.0, 17)
    west, south, east, north = tile.bounds
    half = shapely.box(west, south, (west + east) / 2, north)
    for tags, state in (
        ({"landuse": "construction"}, "under_construction"),
        ({"building": "construction"}, "under_construction"),
        ({"landuse": "brownfield"}, "cleared_land"),
        ({"building": "yes"}, "established"),
        ({"building": "no"}, "none"),
        ({"building": "yes", "location": "underground"}, "none"),
        ({"landuse": "forest"}, "none"),
    ):
        assert annotate([Feature("a", half, tags)], tile).attributes.construction_state == state, tags
    across = shapely.LineString([(west, south), (east, north)])
    for kind, pattern in (("residential", "single_road"), ("footway", "none"), ("service", "none")):
        assert annotate([Feature("a", across, {"highway": kind})], tile).attributes.road_pattern == pattern


@pytest.mark.parametrize(("layer", "level"), [("2", 2), ("-1", 1), ("--1", 1), ("1.5", 1), ("9" * 30, 1), (None, 1)])
def test_a_bridge_lies_as_high_as_its_layer_says_where_that_is_a_number(layer: str | None, level: int) -> None:
    tile = tile_at(11.0, 48.0, 17)
    west, south, east, north = tile.bounds
    tags = {"highway": "residential", "bridge": "yes"} | ({"layer": layer} if layer else {})
    bridge = Feature("a", shapely.LineString([(west, south), (east, north)]), tags)
    assert ground_of([bridge], tile.bounds).levels.tolist() == [level]


def test_anchors_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A name may hold what Python, unlike JSON, takes for the end of a line."""
    made = [anchor(name) for name in ("a\u2028b", "a\x85b", "a\nb")]
    write_anchors(made, tmp_path / "anchors.jsonl")
    assert read_anchors(tmp_path / "anchors.jsonl") == made


def test_real_towns(shared_data: Path) -> None:
    towns = (("krems.osm.gz", 15.60, 48.41), ("monaco.osm.pbf", 7.421, 43.735))
    built = []
    for name, lng, lat in towns:
        features = FeatureStore(read_features(shared_data / "osm" / name))
        middle = tile_at(lng, lat, 17)
        tiles = [Tile(17, middle.x + x, middle.y + y) for x in range(-3, 4) for y in range(-3, 4)]
        made = [annotate(features, tile) for tile in tiles if features.features(tile.bounds)]
        built.append([a for a in made if a.attributes.building_density not in ("none", "very_low")])
        assert len({a.attributes for a in made}) > 10
    krems, monaco = built
    assert np.median([a.metrics["built_share"] for a in monaco]) > np.median([a.metrics["built_share"] for a in krems])
    assert sum(a.attributes.building_arrangement == "attached_rows" for a in monaco) > len(monaco) / 4


# -- raster -----------------------------------------------------------------------------------------------------------


def test_thinning_keeps_what_hangs_together() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:30, 5:75] = mask[5:55, 40:47] = True
    lines = thinned(mask)
    assert 90 < lines.sum() < 125
    assert (mask | ~lines).all()
    assert depths(mask)[24, 15] in (4, 5)
    assert depths(np.ones((9, 9), bool))[4, 4] in (4, 5)


def test_a_drawn_street_and_houses_come_back() -> None:
    classes = np.full((250, 250), CLASS_OF["green"], np.uint8)
    classes[120:132] = CLASS_OF["minor_road"]
    classes[:, 60:84] = CLASS_OF["major_road"]
    for x in range(100, 230, 30):
        classes[90:106, x : x + 20] = CLASS_OF["building"]
    classes[10, 200] = CLASS_OF["building"]
    classes[200:, 200:] = CLASS_OF["water"]
    bounds = square(200, 200)
    found = recovered(classes, bounds)
    kinds = [next(iter(feature.tags.items())) for feature in found]
    assert kinds.count(("building", "yes")) == 5
    assert {("natural", "water"), ("landuse", "grass"), ("highway", "primary"), ("highway", "residential")} <= set(
        kinds
    )
    made = annotate_raster(classes, bounds, "a")
    assert (made.source, made.metrics["buildings"], made.metrics["junctions"]) == ("raster", 5.0, 1.0)
    assert made.metrics["built_share"] == pytest.approx(5 * 16 * 12.8 / 40000, rel=0.08)
    assert made.attributes.building_shape == "rectangular"
    assert made.attributes.orientation_order == "aligned"


def test_an_empty_picture_is_legal() -> None:
    for number, blocks, said in (
        (CLASS_OF["other"], "open_land", "open land"),
        (255, "open_land", "open land"),
        (CLASS_OF["water"], "none", "open water"),
    ):
        made = annotate_raster(np.full((64, 64), number, np.uint8), square(64, 64), "a")
        assert made.attributes.block_pattern == blocks
        assert said in made.summary


@pytest.mark.parametrize("gsd_m", [0.6, 1.7])
def test_streets_of_a_map_that_draws_them_narrower(gsd_m: float) -> None:
    classes = np.full((320, 320), CLASS_OF["other"], np.uint8)
    for at in range(40, 320, 80):
        classes[at : at + 4] = classes[:, at : at + 4] = CLASS_OF["minor_road"]
    classes[64] = classes[:, 96] = CLASS_OF["minor_road"]  # footways
    classes[41:43, 100:104] = CLASS_OF["other"]  # an arrow
    bounds = square(320 * gsd_m, 320 * gsd_m)
    made = annotate_raster(classes, bounds, "a")
    assert made.metrics["junctions"] == 16
    assert made.metrics["road_m"] == pytest.approx(8 * 320 * gsd_m, rel=0.02)
    assert made.attributes.road_pattern == "grid"


def test_on_a_map_drawn_for_its_scale_narrow_ways_are_no_streets() -> None:
    tile = tile_at(11.0, 48.0, 17)
    for width, metres in ((5, 0.0), (9, tile.gsd_m(256) * 256)):
        classes = np.full((256, 256), CLASS_OF["other"], np.uint8)
        classes[100 : 100 + width] = CLASS_OF["minor_road"]
        made = annotate_raster(classes, tile.bounds, "a", to_scale=True)
        assert made.metrics["road_m"] == pytest.approx(metres, rel=0.01), width


def test_what_is_sea_in_the_map_is_water_in_words() -> None:
    tile = tile_at(7.44, 43.72, 17)
    for tags in ({"natural": "water", "water": "sea"}, {"place": "sea"}, {"waterway": "riverbank"}):
        made = annotate([Feature("a", shapely.box(*tile.bounds).buffer(0.01), tags)], tile)
        assert made.metrics["water_share"] == 1.0
        assert "open water" in made.summary
        assert "land" not in made.summary


def test_pictures_say_nearly_what_vectors_say() -> None:
    by_vectors, by_classes, by_colours = [], [], []
    for country in "AC":
        town = City(7, country)
        for tile in city_tiles(town, 8, offset=1):
            by_vectors.append(annotate(town, tile))
            by_classes.append(annotate_raster(render_structure(town, tile), tile.bounds, str(tile), to_scale=True))
            drawn = map_classes(render_map(town, tile))
            by_colours.append(annotate_raster(drawn, tile.bounds, str(tile), to_scale=True))
    # Without outlines between them, houses in a row come back as one: their number, size and shape are lost.
    for made, least in ((by_classes, 0.58), (by_colours, 0.66)):
        found = compare(by_vectors, made)
        assert found.mean_accuracy > least, found.markdown()
        for name in ("building_density", "orientation_order", "road_pattern", "junction_density", "open_space"):
            assert found.accuracy[name] >= 0.6, found.markdown()
