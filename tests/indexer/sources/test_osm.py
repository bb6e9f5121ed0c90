"""OpenStreetMap files written by osmium itself, and the real extracts."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import osmium
import pytest
import shapely
from osmium.osm import mutable

from geoanchor.errors import BadInput, UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Tile, distance_m
from indexer.sources.osm import ATTRIBUTION, is_area, open_osm, read_features
from indexer.sources.registry import SourceOptions, open_source

SUFFIXES = (".osm.pbf", ".osm", ".osm.gz", ".osm.bz2")


def _square(west: float, south: float, size: float) -> list[tuple[float, float]]:
    return [(west, south), (west + size, south), (west + size, south + size), (west, south + size)]


def write_town(path: Path) -> Path:
    """A lake with an island, a house, a road, a roundabout, a bench; a way whose nodes are missing."""
    corners = [
        *_square(7.0, 43.0, 0.01),
        *_square(7.004, 43.004, 0.002),
        *_square(7.02, 43.0, 0.001),
        *_square(7.03, 43.0, 0.001),
    ]
    with osmium.SimpleWriter(str(path)) as writer:
        for i, (lng, lat) in enumerate(corners, 1):
            tags = {"amenity": "bench"} if i == 1 else {}
            writer.add_node(mutable.Node(id=i, location=(lng, lat), tags=tags))
        ways: list[tuple[int, list[int], dict[str, str]]] = [
            (1, [1, 2, 3, 4, 1], {}),
            (2, [5, 6, 7, 8, 5], {}),
            (3, [9, 10, 11, 12, 9], {"building": "house", "name": "Villa Éa"}),
            (4, [9, 10, 11], {"highway": "residential"}),
            (5, [13, 14, 15, 16, 13], {"highway": "primary", "junction": "roundabout"}),
            (6, [13, 14, 15, 16, 13], {"highway": "pedestrian", "area": "yes"}),
            (7, [901, 902, 903], {"highway": "track"}),
            (8, [1, 999, 3], {"highway": "path"}),
        ]
        for id, nodes, tags in ways:
            writer.add_way(mutable.Way(id=id, nodes=nodes, tags=tags))
        members = [("w", 1, "outer"), ("w", 2, "inner")]
        writer.add_relation(mutable.Relation(id=1, members=members, tags={"type": "multipolygon", "natural": "water"}))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nodes_ways_areas_and_holes_of_every_format(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    features = {f.id: f for f in read_features(write_town(tmp_path / f"town{suffix}"))}
    assert {id: f.geometry.geom_type for id, f in features.items()} == {
        "node/1": "Point", "way/3": "Polygon", "way/4": "LineString", "way/5": "LineString", "way/6": "Polygon",
        "way/8": "LineString", "relation/1": "Polygon",
    }  # fmt: skip
    lake = features["relation/1"].geometry
    assert lake.area == pytest.approx(1e-4 - 4e-6, rel=1e-6)
    assert len(lake.interiors) == 1
    assert features["way/3"].tags == {"building": "house", "name": "Villa Éa"}
    assert features["way/8"].geometry.length == pytest.approx(0.01 * 2**0.5)
    assert "1 of 8 features have no usable geometry" in caplog.text


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"building": "yes"}, True), ({"highway": "residential"}, False),
        ({"highway": "pedestrian", "area": "yes"}, True),
        ({"natural": "coastline"}, False), ({"natural": "water"}, True), ({"barrier": "fence"}, False),
        ({"barrier": "fence", "landuse": "farmland"}, True), ({"leisure": "track"}, False), ({"leisure": "park"}, True),
        ({"landuse": "grass", "area": "no"}, False), ({"railway": "rail"}, False), ({"railway": "platform"}, True),
        ({"building": "no"}, False), ({"name": "ring"}, False), ({"waterway": "dam"}, True),
        ({"waterway": "river"}, False),
    ],
)  # fmt: skip
def test_which_closed_ways_are_areas(tags: dict[str, str], expected: bool) -> None:
    assert is_area(tags) is expected


def test_tiles_carry_attribution_and_position(tmp_path: Path) -> None:
    source = open_source(str(write_town(tmp_path / "town.osm.pbf")), SourceOptions(zoom=15))
    refs = list(source.plan())
    assert refs
    image = source.read(refs[0])
    assert image.attribution == ATTRIBUTION == "© OpenStreetMap contributors"
    assert re.fullmatch(rf"map/town-[0-9a-f]{{6}}/{refs[0].tile}", image.id)
    assert image.layer == "map"
    assert image.pixels.shape == (256, 256, 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [b"", b"this is no map\n", b"\x1f\x8b\x08\x00broken", b"BZh9broken", b"\x00\x00\x00\x0d\x0a\x09OSMHeader"],
)
def test_broken_files_are_one_clear_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"broken\.osm.*: (is no readable OpenStreetMap file|holds no feature)"):
        open_osm(str(path), SourceOptions())


@pytest.mark.parametrize("suffix", [".osm.pbf", ".osm.gz"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    whole = write_town(tmp_path / f"town{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(BadInput, match="is no readable OpenStreetMap file"):
        open_osm(str(path), SourceOptions())


def test_a_missing_file_and_an_empty_map_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_osm(str(tmp_path / "none.osm.pbf"), SourceOptions())
    empty = tmp_path / "empty.osm.gz"
    empty.write_bytes(gzip.compress(b'<?xml version="1.0"?><osm version="0.6"></osm>'))
    with pytest.raises(BadInput, match="holds no feature"):
        open_osm(str(empty), SourceOptions())


# -- real extracts ----------------------------------------------------------------------------------------------------


def _named(features: list[Feature], text: str) -> list[Feature]:
    return [f for f in features if text in f.tags.get("name", "")]


def test_monaco_is_read_with_its_stadium_and_its_sea(shared_data: Path) -> None:
    features = read_features(shared_data / "osm" / "monaco.osm.pbf")
    assert len(features) > 5000
    stadium = next(f for f in _named(features, "Louis-II") if f.tags.get("leisure") == "stadium")
    centre = stadium.geometry.centroid
    assert distance_m(centre.x, centre.y, 7.4156, 43.7276) < 150
    sea = shapely.union_all([f.geometry for f in features if f.tags.get("water") == "sea"])
    assert sea.contains(shapely.Point(7.445, 43.73))
    assert not sea.contains(shapely.Point(7.4205, 43.738))
    assert not sea.intersects(centre)


def test_two_regions_far_apart_are_planned_without_the_ocean_between(shared_data: Path) -> None:
    source = open_osm(str(shared_data / "osm" / "liechtenstein-autauga.osm.pbf"), SourceOptions(zoom=14))
    tiles = [ref.tile for ref in source.plan()]
    assert 100 < len(tiles) < 3000
    assert all(isinstance(tile, Tile) and (tile.center[0] > 8 or tile.center[0] < -85) for tile in tiles)


@pytest.mark.parametrize(
    "name", ["krems.osm.gz", "campo-grande.osm.gz", "andorra.osm.pbf", "north-bayreuth.osm.gz", "monaco-older.osm.gz"]
)
def test_every_real_extract_gives_valid_features(shared_data: Path, name: str) -> None:
    features = read_features(shared_data / "osm" / name)
    geometries = [f.geometry for f in features]
    assert len(features) > 2000
    assert shapely.is_valid(geometries).all()
    assert not shapely.is_empty(geometries).any()
    assert len({f.id for f in features}) == len(features)


def test_coastlines_without_a_header_box_make_no_sea_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Which side of a coast that ends within the file is wet cannot be told: a guess drowned hills."""
    path = tmp_path / "coast.osm"
    with osmium.SimpleWriter(str(path)) as writer:
        for i, place in enumerate([(6.99, 43.005), (7.01, 43.006), (7.03, 43.005)], 1):
            writer.add_node(mutable.Node(id=i, location=place))
        writer.add_way(mutable.Way(id=1, nodes=[1, 2, 3], tags={"natural": "coastline"}))
    assert not [feature for feature in read_features(path) if feature.tags.get("water") == "sea"]
    assert "its header names no box, so that no sea is drawn at its 1 coastlines" in caplog.text
