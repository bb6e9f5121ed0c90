"""VectorTiles: only tiles that show something, stable ids, tags and captions filled."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Bounds, tile_at, tiles_in
from indexer.featurestore import FeatureStore
from indexer.render import STYLES, render_map
from indexer.sources.registry import SourceOptions
from indexer.sources.vector import VectorTiles, covered_tiles, source_name

EARTH = Feature("earth", shapely.box(-170, -80, 170, 80), {"landuse": "forest"})
LAKE = Feature("lake", shapely.Point(7.42, 43.73).buffer(0.004), {"natural": "water"})
ROAD = Feature("road", shapely.LineString([(7.40, 43.70), (7.41, 43.74), (7.45, 43.735)]), {"highway": "primary"})
BORDER = Feature("border", shapely.box(0, 40, 20, 50), {"boundary": "administrative"})
STORE = FeatureStore([LAKE, ROAD, BORDER])


def _source(**options: object) -> VectorTiles:
    return VectorTiles("data/My Town.osm.pbf", STORE, SourceOptions(**options), "© somebody")  # type: ignore[arg-type]


@pytest.mark.parametrize("feature", [LAKE, ROAD, BORDER], ids=lambda f: f.id)
def test_covered_tiles_are_those_the_geometry_meets(feature: Feature) -> None:
    zoom = 11 if feature is BORDER else 17
    box = Bounds(*feature.geometry.bounds)
    shapely.prepare(feature.geometry)
    expected = {t for t in tiles_in(box, zoom) if feature.geometry.intersects(shapely.box(*t.bounds))}
    found = covered_tiles([feature], zoom)
    assert expected <= set(found)
    # Beyond the plain scan only tiles that the geometry touches at an edge may appear.
    assert all(feature.geometry.distance(shapely.box(*t.bounds)) == 0 for t in set(found) - expected)
    assert found == sorted(found, key=lambda t: (t.y, t.x))


def test_of_a_huge_area_only_what_is_asked_for_is_walked() -> None:
    within = Bounds(7.0, 47.0, 7.006, 47.004)
    options = SourceOptions(zoom=18, within=within)
    tiles = [ref.tile for ref in VectorTiles("earth.geojson", FeatureStore([EARTH]), options).plan()]
    assert set(tiles) == {tile for tile in tiles_in(within, 18) if within.holds(*tile.center)}
    assert len(covered_tiles([EARTH], 18, within)) < 60


def test_more_tiles_than_anybody_means_are_refused() -> None:
    source = VectorTiles("earth.geojson", FeatureStore([EARTH]), SourceOptions(zoom=18))
    with pytest.raises(UsageError, match=r"earth\.geojson: covers more than 10,000,000 tiles at zoom 18; .*--within"):
        list(source.plan())


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"OBJECTID": "1"}, r'none of its 1 features bears a tag that maps draw \(building, .*"building": "yes"'),
        ({"building": "yes"}, "none of its 1 features is drawn at zoom 3 yet; take a larger --zoom"),
    ],
)
def test_why_nothing_is_drawn_is_said(tags: dict[str, str], reason: str) -> None:
    footprints = FeatureStore([Feature("1", shapely.box(7.0, 47.0, 7.001, 47.001), tags)])
    with pytest.raises(UsageError, match=rf"footprints\.geojson: {reason}"):
        list(VectorTiles("footprints.geojson", footprints, SourceOptions(zoom=3)).plan())


def test_an_area_as_far_as_the_antimeridian_has_its_last_column() -> None:
    tiles = covered_tiles([Feature("east", shapely.box(179.0, 10.0, 180.0, 11.0))], 10)
    assert {tile.x for tile in tiles} == {1021, 1022, 1023}


def test_plan_lists_what_is_drawn_and_nothing_that_is_not() -> None:
    tiles = [ref.tile for ref in _source(zoom=15).plan()]
    assert tiles == covered_tiles([LAKE, ROAD], 15)
    background = tuple(int(STYLES["standard"].background[i : i + 2], 16) for i in (1, 3, 5))
    for tile in tiles:
        assert tile is not None
        assert (render_map(STORE, tile, 64) != background).any()


def test_within_keeps_tiles_whose_centre_lies_there() -> None:
    within = Bounds(7.415, 43.725, 7.425, 43.735)
    tiles = [ref.tile for ref in _source(zoom=17, within=within).plan()]
    assert tiles
    assert set(tiles) == {
        t for t in covered_tiles([LAKE, ROAD], 17) if shapely.box(*within).covers(shapely.Point(t.center))
    }


def test_within_across_the_antimeridian() -> None:
    isles = FeatureStore(
        [Feature(str(x), shapely.Point(x, -17).buffer(0.01), {"natural": "wood"}) for x in (179.9, -179.9, 100.0)]
    )
    options = SourceOptions(zoom=12, within=Bounds(179, -18, -179, -16))
    tiles = {ref.tile for ref in VectorTiles("isles.geojson", isles, options).plan()}
    assert {tile_at(179.9, -17, 12), tile_at(-179.9, -17, 12)} <= tiles
    assert tile_at(100, -17, 12) not in tiles


def test_ids_name_layer_source_style_and_tile() -> None:
    first = next(iter(_source(zoom=15).plan()))
    name = source_name(_source(zoom=15).uri)
    assert first.id == f"map/{name}/{first.tile}"
    assert next(iter(_source(zoom=15, style="google").plan())).id == f"map/{name}/google/{first.tile}"
    assert _source().zoom == 17


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("a/b/monaco.osm.pbf", "monaco-……"), ("north.osm.gz", "north-……"), ("a.v2.geojson", "a.v2-……"),
        ("city:7", "city-7"), ("city:7/B@1", "city-7-B-1"), ("https://example.org/area", "https-example.org-area"),
    ],
)  # fmt: skip
def test_source_names(uri: str, name: str) -> None:
    assert re.fullmatch(re.escape(name).replace("……", "[0-9a-f]{6}"), source_name(uri))


def test_files_of_one_name_in_two_folders_have_two_names() -> None:
    assert source_name("2019/town.osm.pbf") != source_name("2023/town.osm.pbf")


def test_read_fills_in_everything_and_is_the_same_in_every_thread() -> None:
    source = _source(zoom=16, size_px=128)
    refs = list(source.plan())
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(source.read, refs))
    for ref, image in zip(refs, images, strict=True):
        assert (image.id, image.tile, image.attribution) == (ref.id, ref.tile, "© somebody")
        assert image.gsd_m == pytest.approx(ref.tile.gsd_m(128))  # type: ignore[union-attr]
        assert np.array_equal(image.pixels, render_map(STORE, image.tile, 128))  # type: ignore[arg-type]
    lake = source.read(next(ref for ref in refs if ref.tile == tile_at(7.42, 43.73, 16)))
    assert "natural=water" in lake.tags
    assert "lake" in lake.caption


def test_the_same_features_can_be_given_an_aerial_look() -> None:
    source = _source(zoom=16, layer="aerial")
    image = source.read(next(iter(source.plan())))
    assert image.id == f"aerial/{source_name(source.uri)}/{image.tile}"
    assert image.layer == "aerial"
    assert image.pixels.shape == (256, 256, 3)
    assert not np.array_equal(image.pixels, render_map(STORE, image.tile))  # type: ignore[arg-type]


def test_stamp_changes_with_what_changes_the_picture() -> None:
    stamps = {
        next(iter(VectorTiles("a.osm", STORE, options, stamp=stamp).plan())).stamp
        for options in (SourceOptions(zoom=15), SourceOptions(zoom=15, size_px=128))
        for stamp in ("1", "2")
    }
    assert len(stamps) == 4


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UsageError, match="map or aerial, not ground"):
        _source(layer="ground")
    with pytest.raises(UsageError, match="no map style"):
        _source(style="neon")
    with pytest.raises(UsageError, match="zoom must be 0\\.\\.30, not 99"):
        _source(zoom=99)


def test_empty_source_plans_nothing() -> None:
    assert list(VectorTiles("none.geojson", FeatureStore([]), SourceOptions()).plan()) == []
