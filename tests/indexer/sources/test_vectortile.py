"""Vector tiles: MVT written by mapbox_vector_tile, in MBTiles, PMTiles and folders, drawn as maps."""

from __future__ import annotations

import gzip
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from geoanchor.errors import BadInput, UsageError
from geoanchor.tiling import Tile, tile_at
from indexer.sources import vectortile
from indexer.sources.pmtiles import open_pmtiles
from indexer.sources.registry import SourceOptions
from indexer.sources.tileschema import osm_tags
from indexer.sources.vectortile import decode_features, unpack
from indexer.sources.xyz import open_xyz

TILE = Tile(14, 12080, 6880)
LAKE = "POLYGON ((0 2048, 2048 2048, 2048 4096, 0 4096, 0 2048))"
"""North-western quarter: the encoder's y grows upwards."""
HOUSE = "POLYGON ((3000 600, 3200 600, 3200 800, 3000 800, 3000 600))"
ROAD = "LINESTRING (0 1024, 4096 1024)"


def mvt(**layers: list[tuple[str, dict[str, object]]]) -> bytes:
    described = [
        {"name": name, "features": [{"geometry": shape, "properties": kind} for shape, kind in features]}
        for name, features in layers.items()
    ]
    return mapbox_vector_tile.encode(described)


TOWN = mvt(
    water=[(LAKE, {"class": "lake"})],
    building=[(HOUSE, {"render_height": 5})],
    transportation=[(ROAD, {"class": "primary"})],
    boundary=[(ROAD, {"admin_level": 4})],
)


def write_pmtiles(path: Path, tiles: dict[Tile, bytes]) -> str:
    with open(path, "wb") as file:
        writer = Writer(file)
        for tile in sorted(tiles, key=lambda t: zxy_to_tileid(t.z, t.x, t.y)):
            writer.write_tile(zxy_to_tileid(tile.z, tile.x, tile.y), tiles[tile])
        writer.finalize({"tile_type": TileType.MVT, "tile_compression": Compression.GZIP}, {"attribution": "© Town"})
    return str(path)


def test_features_lie_where_the_tile_lies() -> None:
    found = {
        feature.tags.get("natural") or next(iter(feature.tags)): feature for feature in decode_features(TOWN, TILE, "t")
    }
    assert set(found) == {"water", "building", "highway"}
    west, _, east, north = TILE.bounds
    lng, lat = TILE.center
    assert found["water"].geometry.bounds == pytest.approx((west, lat, lng, north), abs=1e-9)
    assert found["water"].tags == {"natural": "water", "water": "lake"}
    road = found["highway"].geometry
    assert road.geom_type == "LineString"
    assert (road.bounds[0], road.bounds[2]) == pytest.approx((west, east), abs=1e-9)
    # Three quarters down the tile on the mercator plane: the lower edge of the middle of its southern half.
    assert road.bounds[1] == pytest.approx(Tile(16, TILE.x * 4, TILE.y * 4 + 3).bounds.north, abs=1e-9)


def test_ids_are_unique_and_stable() -> None:
    ids = [feature.id for feature in decode_features(TOWN, TILE, "t")]
    assert ids == [feature.id for feature in decode_features(gzip.compress(TOWN), TILE, "t")]
    assert len(set(ids)) == len(ids)


def test_polygon_that_crosses_itself_is_mended() -> None:
    # Of two wings of one size an encoder makes nothing.
    bow = "POLYGON ((0 0, 4096 4096, 4096 0, 0 3000, 0 0))"
    tile = mapbox_vector_tile.encode({"name": "water", "features": [{"geometry": bow, "properties": {}}]})
    (raw,) = mapbox_vector_tile.decode(tile)["water"]["features"]
    assert not shapely.geometry.shape(raw["geometry"]).is_valid
    (feature,) = decode_features(tile, TILE, "t")
    assert (feature.geometry.is_valid, feature.geometry.geom_type) == (True, "MultiPolygon")


@pytest.mark.parametrize(
    ("layer", "properties", "areal", "tags"),
    [
        # OpenMapTiles
        ("building", {"render_height": 9}, True, {"building": "yes"}),
        ("transportation", {"class": "minor"}, False, {"highway": "residential"}),
        ("transportation", {"class": "path", "subclass": "steps"}, False, {"highway": "steps"}),
        ("transportation", {"class": "motorway", "brunnel": "bridge"}, False, {"highway": "motorway", "bridge": "yes"}),
        ("transportation", {"class": "rail", "subclass": "rail"}, False, {"railway": "rail"}),
        ("transportation", {"class": "transit", "subclass": "tram"}, False, {"railway": "tram"}),
        ("waterway", {"class": "river", "name": "Inn"}, False, {"waterway": "river", "name": "Inn"}),
        ("water", {"class": "ocean"}, True, {"natural": "water"}),
        ("landcover", {"class": "wood", "subclass": "forest"}, True, {"landuse": "forest"}),
        ("landcover", {"class": "ice"}, True, {"natural": "glacier"}),
        ("landuse", {"class": "stadium"}, True, {"leisure": "stadium"}),
        ("landuse", {"class": "school"}, True, {"amenity": "school"}),
        ("park", {"class": "national_park"}, True, {"leisure": "nature_reserve"}),
        ("aeroway", {"class": "runway"}, False, {"aeroway": "runway"}),
        ("poi", {"class": "school", "subclass": "school"}, False, {"amenity": "school"}),
        # Protomaps 4 and 3
        ("roads", {"kind": "highway", "kind_detail": "motorway"}, False, {"highway": "motorway"}),
        ("roads", {"kind": "minor_road", "kind_detail": "service"}, False, {"highway": "service"}),
        ("roads", {"pmap:kind": "major_road"}, False, {"highway": "primary"}),
        ("roads", {"kind": "rail", "kind_detail": "light_rail"}, False, {"railway": "light_rail"}),
        ("buildings", {"kind": "building", "height": 4}, True, {"building": "yes", "height": "4"}),
        ("buildings", {"kind": "address"}, False, {}),
        ("landuse", {"kind": "pitch"}, True, {"leisure": "pitch"}),
        ("landcover", {"kind": "barren"}, True, {"natural": "bare_rock"}),
        ("earth", {"kind": "earth"}, True, {}),
        # Shortbread
        ("streets", {"kind": "living_street", "bridge": True}, False, {"highway": "living_street", "bridge": "yes"}),
        ("streets", {"kind": "narrow_gauge", "rail": True}, False, {"railway": "narrow_gauge"}),
        ("street_polygons", {"kind": "pedestrian"}, True, {"highway": "pedestrian", "area": "yes"}),
        ("water_polygons", {"kind": "river"}, True, {"natural": "water", "water": "river"}),
        ("water_lines", {"kind": "stream"}, False, {"waterway": "stream"}),
        ("land", {"kind": "residential"}, True, {"landuse": "residential"}),
        ("sites", {"kind": "parking"}, True, {"amenity": "parking"}),
        ("pier_lines", {"kind": "pier"}, False, {"man_made": "pier"}),
        ("ocean", {}, True, {"natural": "water"}),
        ("pois", {"amenity": "library", "name": "Old"}, False, {"amenity": "library", "name": "Old"}),
        # OpenStreetMap's own keys, in any layer
        ("anything", {"landuse": "forest", "building": "no"}, True, {"landuse": "forest"}),
        ("place", {"class": "town", "name": "Bern"}, False, {}),
        ("landuse", {"class": "never_heard_of"}, True, {}),
    ],
)  # fmt: skip
def test_schemas(layer: str, properties: dict[str, object], areal: bool, tags: dict[str, str]) -> None:
    assert osm_tags(layer, properties, areal=areal) == tags


def test_archive_is_drawn_with_water_where_the_lake_is(tmp_path: Path) -> None:
    uri = write_pmtiles(tmp_path / "town.pmtiles", {TILE: gzip.compress(TOWN)})
    source = open_pmtiles(uri, SourceOptions())
    (ref,) = source.plan()
    image = source.read(ref)
    assert (source.layer, source.zoom, source.attribution, ref.tile) == ("map", 14, "© Town", TILE)
    assert image.pixels.shape == (256, 256, 3)
    lake, land = image.pixels[64, 64].astype(int), image.pixels[64, 200].astype(int)
    assert lake[2] > lake[0] + 20
    assert np.abs(lake - land).sum() > 40
    assert any(tag.startswith("natural=water") for tag in image.tags)
    source.close()


def test_deeper_than_the_archive_is_drawn_from_its_deepest_tiles(tmp_path: Path) -> None:
    uri = write_pmtiles(tmp_path / "town.pmtiles", {TILE: gzip.compress(TOWN)})
    source = open_pmtiles(uri, SourceOptions(zoom=16))
    refs = list(source.plan())
    assert all(ref.tile.parent(14) == TILE for ref in refs)
    assert len({ref.id for ref in refs}) == len(refs)
    house = shapely.box(*Tile(16, TILE.x * 4 + 3, TILE.y * 4 + 3).bounds)
    found = {ref.tile for ref in refs}
    # The lake fills the north-western quarter, the road the lowest row's upper edge, the house one tile.
    assert {Tile(16, TILE.x * 4 + i, TILE.y * 4 + j) for i in (0, 1) for j in (0, 1)} <= found
    assert any(house.intersects(shapely.box(*tile.bounds)) for tile in found)
    assert Tile(16, TILE.x * 4 + 3, TILE.y * 4) not in found
    deep = source.read(next(ref for ref in refs if ref.tile == Tile(16, TILE.x * 4, TILE.y * 4)))
    assert np.ptp(deep.pixels[32:224, 32:224].reshape(-1, 3), axis=0).max() == 0


def test_within_cuts_the_plan(tmp_path: Path) -> None:
    other = Tile(14, TILE.x + 1, TILE.y)
    uri = write_pmtiles(tmp_path / "town.pmtiles", {TILE: gzip.compress(TOWN), other: gzip.compress(TOWN)})
    wanted = tile_at(TILE.center[0] - 0.003, TILE.center[1] + 0.003, 17)
    refs = list(open_pmtiles(uri, SourceOptions(zoom=17, within=wanted.bounds)).plan())
    assert [ref.tile for ref in refs] == [wanted]


def test_zoom_above_the_archive_is_refused(tmp_path: Path) -> None:
    uri = write_pmtiles(tmp_path / "town.pmtiles", {TILE: gzip.compress(TOWN)})
    with pytest.raises(UsageError, match="zooms 14 to 14, not 9"):
        open_pmtiles(uri, SourceOptions(zoom=9))


@pytest.mark.parametrize("zoom", [14, 15])
def test_broken_tile_is_planned_and_says_what_is_wrong(tmp_path: Path, zoom: int) -> None:
    other = Tile(14, TILE.x + 1, TILE.y)
    uri = write_pmtiles(tmp_path / "town.pmtiles", {TILE: gzip.compress(TOWN), other: b"\x1f\x8brubbish"})
    source = open_pmtiles(uri, SourceOptions(zoom=zoom))
    outcomes = {True: 0, False: 0}
    for ref in source.plan():
        try:
            source.read(ref)
            outcomes[True] += 1
        except BadInput as error:
            outcomes[False] += 1
            message = str(error)
    assert outcomes[True] >= 1
    assert outcomes[False] >= 1
    assert "gzip" in message


def test_a_broken_tile_costs_no_names_but_its_own(tmp_path: Path) -> None:
    tiles = {Tile(14, TILE.x + x, TILE.y + y): gzip.compress(TOWN) for x in range(3) for y in range(3)}
    whole = list(open_pmtiles(write_pmtiles(tmp_path / "a.pmtiles", tiles), SourceOptions()).named())
    middle = Tile(14, TILE.x + 1, TILE.y + 1)
    broken = write_pmtiles(tmp_path / "b.pmtiles", tiles | {middle: b"\x1f\x8brubbish"})
    left = list(open_pmtiles(broken, SourceOptions()).named())
    assert len(whole) * 6 / 9 < len(left) < len(whole)


def test_folder_of_pbf(tmp_path: Path) -> None:
    path = tmp_path / f"{TILE.z}/{TILE.x}/{TILE.y}.pbf"
    path.parent.mkdir(parents=True)
    path.write_bytes(TOWN)
    source = open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.pbf", SourceOptions())
    assert [ref.tile for ref in source.plan()] == [TILE]


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_one_sentence(data: bytes) -> None:
    try:
        decode_features(data, TILE, "some.pmtiles")
    except BadInput as error:
        reason = error.where
    else:
        return
    assert reason == f"some.pmtiles tile {TILE}"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(TOWN) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_tile_is_features_or_one_sentence(changes: list[tuple[int, int]]) -> None:
    data = bytearray(TOWN)
    for place, value in changes:
        data[place] = value
    try:
        found = decode_features(bytes(data), TILE, "t")
    except BadInput:
        return
    assert all(feature.geometry.is_valid and feature.tags for feature in found)


def test_gzip_bomb_and_cut_gzip_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectortile, "MAX_TILE_BYTES", 10_000)
    with pytest.raises(BadInput, match="over 10000 bytes"):
        unpack(gzip.compress(b"\0" * 1_000_000), "t")
    with pytest.raises(BadInput, match="cut short"):
        unpack(gzip.compress(TOWN)[:-9], "t")
    assert unpack(gzip.compress(TOWN), "t") == TOWN


def test_tiles_of_another_size_have_another_stamp(tmp_path: Path) -> None:
    uri = write_pmtiles(tmp_path / "a.pmtiles", {TILE: gzip.compress(TOWN)})
    stamps = {ref.stamp for size in (64, 256) for ref in open_pmtiles(uri, SourceOptions(size_px=size)).plan()}
    assert len(stamps) == 2
