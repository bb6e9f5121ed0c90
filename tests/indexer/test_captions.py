"""Tags and captions: only what is there, told correctly, in varied words, the same every time."""

from __future__ import annotations

import re

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geoanchor.feature import Feature
from geoanchor.tiling import Tile
from indexer.captions import describe_tile, tile_captions, tile_tags
from indexer.concepts import CONCEPTS, concepts_of

TILE = Tile(17, 68236, 47794)
SIDE_M = TILE.gsd_m(1)


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Geometry:
    """A box in tile shares, x to the east and y to the north, 0..1."""
    b = TILE.bounds
    width, height = b.east - b.west, b.north - b.south
    return shapely.box(b.west + x0 * width, b.south + y0 * height, b.west + x1 * width, b.south + y1 * height)


def way(*points: tuple[float, float]) -> shapely.Geometry:
    b = TILE.bounds
    return shapely.LineString([(b.west + x * (b.east - b.west), b.south + y * (b.north - b.south)) for x, y in points])


def thing(shape: shapely.Geometry, **tags: str) -> Feature:
    return Feature(str(tags), shape, tags)


RIVER = thing(way((0, 0.2), (1, 0.2)), waterway="river")
STADIUM = thing(box(0.35, 0.25, 0.65, 0.45), leisure="stadium")
TERRACES = [thing(box(x / 20, 0.8, x / 20 + 0.04, 0.86), building="terrace") for x in range(2, 18)]


def test_the_stadium_is_by_the_river_and_the_houses_to_the_north() -> None:
    first = tile_captions([*TERRACES, RIVER, STADIUM], TILE)[0]
    assert first == "a stadium by the river, rows of terraced houses to the north"


def test_the_same_tile_is_told_the_same_and_another_in_other_words() -> None:
    features = [STADIUM, RIVER, *TERRACES]
    told = tile_captions(features, TILE)
    assert told == tile_captions(list(features), TILE)
    assert len(set(told)) == len(told) >= 5
    width = TILE.bounds.east - TILE.bounds.west
    words: set[str] = set()
    for step in range(20):
        moved = [Feature(f.id, affinity.translate(f.geometry, width * step), f.tags) for f in features]
        captions = tile_captions(moved, Tile(TILE.z, TILE.x + step, TILE.y))
        assert captions[0] == told[0]
        words |= set(re.findall(r"[a-z-]+", " ".join(captions)))
    assert {"stadium", "arena", "river", "waterway", "row", "homes", "townhouses", "terraced"} <= words


@pytest.mark.parametrize(
    ("x", "y", "side"),
    [(0.5, 0.9, "north"), (0.5, 0.1, "south"), (0.9, 0.5, "east"), (0.1, 0.5, "west"), (0.1, 0.9, "north-west")],
)
def test_compass_sides_are_right(x: float, y: float, side: str) -> None:
    lake = thing(box(x - 0.1, y - 0.1, x + 0.1, y + 0.1), natural="water")
    wood = thing(box(0, 0, 1, 1), natural="wood")
    told = tile_captions([wood, lake, thing(box(0.4, 0.4, 0.6, 0.6), amenity="school")], TILE)
    sides = set(re.findall(r"\b(?:north|south|east|west)(?:-(?:east|west))?(?=ern|\b)", " ".join(told)))
    about_lake = [t for t in told if re.search(rf"(lake|body of water|lakeside water|pond)[^,]* {side}", t)]
    assert about_lake or sides <= {side}
    assert "in the middle" not in " ".join(t for t in told if t.startswith("a lake"))


def test_a_thing_inside_an_area_is_in_it() -> None:
    park = thing(box(0.1, 0.1, 0.9, 0.9), leisure="park")
    assert tile_captions([park, thing(box(0.4, 0.4, 0.6, 0.6), amenity="school")], TILE)[0] == "a school in a park"


def test_an_airport_has_a_runway_and_the_two_sides_of_a_motorway_are_one() -> None:
    field = thing(box(-0.5, -0.5, 1.5, 1.5), aeroway="aerodrome")
    runway = thing(box(0.1, 0.3, 0.6, 0.4), aeroway="runway")
    assert tile_captions([field, runway], TILE)[0] == "an airport with a runway"
    sides = [thing(way((0, y), (1, y)), highway="motorway") for y in (0.5, 0.5 + 20 / SIDE_M)]
    assert tile_captions(sides, TILE)[0] == "a motorway"
    apart = [thing(way((0, y), (1, y)), highway="motorway") for y in (0.2, 0.8)]
    assert tile_captions(apart, TILE)[0] == "two motorways"


def test_far_things_are_told_apart_by_direction_not_as_neighbours() -> None:
    told = tile_captions(
        [thing(box(0.0, 0.8, 0.2, 1.0), amenity="school"), thing(box(0.8, 0, 1, 0.2), leisure="park")], TILE
    )
    assert 0.6 * SIDE_M > 100
    assert not re.search(r"next to|beside|adjacent|\bby\b", " ".join(told))


def test_a_bridge_goes_over_the_river_only_where_it_does() -> None:
    bridge = thing(way((0.5, 0.1), (0.5, 0.3)), highway="primary", bridge="yes")
    assert tile_captions([RIVER, bridge], TILE)[0].startswith("a bridge over the river")
    elsewhere = thing(way((0.5, 0.7), (0.5, 0.9)), highway="primary", bridge="yes")
    assert " over " not in " ".join(tile_captions([RIVER, elsewhere], TILE))


@pytest.mark.parametrize(
    ("count", "word"), [(1, "a church"), (2, "two churches"), (4, "four churches"), (7, "several churches")]
)
def test_counts_in_words(count: int, word: str) -> None:
    churches = [thing(box(i / 8, 0.45, i / 8 + 0.05, 0.5), building="church") for i in range(count)]
    assert tile_captions(churches, TILE)[0].startswith(word)


def test_dense_and_scattered_houses() -> None:
    dense = [thing(box(x / 8, y / 8, x / 8 + 0.1, y / 8 + 0.1), building="house") for x in range(8) for y in range(8)]
    assert tile_captions(dense, TILE)[0] == "dense houses"
    few = [thing(box(x / 4, x / 4, x / 4 + 0.03, x / 4 + 0.03), building="house") for x in range(4)]
    assert tile_captions(few, TILE)[0] == "a few scattered houses"


def test_what_lies_under_ground_is_not_told() -> None:
    metro = thing(way((0, 0.5), (1, 0.5)), railway="rail", tunnel="yes")
    assert describe_tile([metro], TILE) == ((), tile_captions([], TILE))
    assert tile_captions([], TILE)[0] == "open land"


def test_tags_are_of_what_is_really_in_the_tile_and_without_names() -> None:
    sliver = thing(box(-0.5, 0, 0.002, 1), landuse="forest")
    corner = thing(way((-0.5, 0.0), (0.01, 0.01)), highway="motorway")
    pub = Feature(
        "node/1", box(0.5, 0.5, 0.6, 0.6).centroid, {"amenity": "pub", "name": "The Anchor", "addr:street": "Quay"}
    )
    bench = Feature("node/2", box(0.5, 0.5, 0.6, 0.6).centroid, {"amenity": "bench", "source": "survey"})
    pitch = thing(box(0.2, 0.2, 0.3, 0.3), leisure="pitch", sport="tennis;basketball")
    assert tile_tags([sliver, corner, pub, bench, pitch, RIVER], TILE) == (
        "amenity=pub", "leisure=pitch", "sport=basketball", "sport=tennis", "waterway=river",
    )  # fmt: skip


def test_a_marina_is_by_the_sea() -> None:
    sea = thing(box(-1, -1, 2, 0.8), natural="water", water="sea")
    marina = thing(box(0.2, 0.2, 0.9, 0.7), leisure="marina")
    assert tile_captions([sea, marina], TILE)[0] == "a marina by the sea"


_KINDS = (
    {"building": "house"}, {"building": "yes", "building:levels": "12"}, {"amenity": "school"}, {"natural": "water"},
    {"highway": "primary", "bridge": "yes"}, {"landuse": "forest"}, {"landuse": "residential"}, {"leisure": "pitch"},
    {"highway": "residential", "junction": "roundabout"}, {"natural": "tree"}, {"name": "Nothing in particular"},
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(
        st.tuples(
            st.floats(-0.5, 1.2),
            st.floats(-0.5, 1.2),
            st.floats(0.001, 0.8),
            st.sampled_from(_KINDS),
            st.integers(0, 2),
        ),
        max_size=25,
    )
)
def test_any_scene_is_told_in_clean_sentences(places: list[tuple[float, float, float, dict[str, str], int]]) -> None:
    features = []
    for x, y, size, tags, dimension in places:
        shape = box(x, y, x + size, y + size)
        features.append(thing((shape.centroid, shape.exterior, shape)[dimension], **tags))
    tags_found, captions = describe_tile(features, TILE)
    assert captions
    assert list(tags_found) == sorted(set(tags_found))
    for caption in captions:
        assert re.fullmatch(r"[a-z][a-z' ,-]*[a-z]", caption), caption
        assert not re.search(r"\b(a|an|the) (a|an|the)\b|\ba [aeio]|  |,,", caption), caption
    assert (tags_found, captions) == describe_tile(features, TILE)


def test_tall_blocks_small_houses_and_ponds_are_told_by_their_size() -> None:
    names = lambda tags, m2=0.0: [c.name for c in concepts_of(tags, m2)]  # noqa: E731
    assert names({"building": "apartments", "building:levels": "14"}) == ["tower_block"]
    assert names({"building": "apartments", "building:levels": "4"}) == ["apartments"]
    assert names({"building": "yes", "height": "90 m"}) == ["tower_block"]
    assert names({"building": "yes", "height": "tall"}, 5_000) == ["building"]
    assert names({"building": "yes"}, 120) == ["small_building"]
    assert names({"natural": "water"}, 900) == ["pond"]
    assert names({"natural": "water"}, 90_000) == ["lake"]
    assert names({"natural": "water", "water": "river"}, 900) == ["river"]
    assert names({"highway": "primary", "bridge": "yes"}) == ["main_road", "bridge"]
    assert names({"building": "no"}) == []


def test_every_concept_has_synonyms_in_good_english() -> None:
    assert len(CONCEPTS) > 80
    for concept in CONCEPTS.values():
        for noun in concept.nouns:
            assert not re.search(r"(ss|ch|sh|x)s$|[^aeiou]ys$", noun.plural), noun
            assert re.fullmatch(r"[a-z' -]+", noun.singular)
