"""Long captions: true, whole sentences, the same every time, as long as UrbanCross's."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest
import shapely

from geoanchor.feature import Feature
from geoanchor.tiling import Bounds, Tile
from indexer.captions import tile_tags
from indexer.city.city import City
from indexer.narration import rich_captions
from indexer.scene import Patch
from indexer.sources.city import open_city
from indexer.sources.registry import SourceOptions

GOLDEN = Path(__file__).parent / "golden_narration.json"
TILE = Tile(17, 68236, 47794)


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Geometry:
    """A box in tile shares, x to the east and y to the north, 0..1."""
    b = TILE.bounds
    width, height = b.east - b.west, b.north - b.south
    return shapely.box(b.west + x0 * width, b.south + y0 * height, b.west + x1 * width, b.south + y1 * height)


def thing(shape: shapely.Geometry, **tags: str) -> Feature:
    return Feature(str(tags), shape, tags)


SCENE = [
    thing(box(0.0, 0.10, 1.0, 0.2), natural="water", water="river"),
    thing(box(0.35, 0.25, 0.65, 0.45), leisure="stadium"),
    thing(box(0.7, 0.3, 0.9, 0.45), amenity="parking"),
    thing(box(0.0, 0.5, 1.0, 0.7), leisure="park"),
    *(thing(box(x / 20, 0.8, x / 20 + 0.04, 0.86), building="terrace") for x in range(2, 18)),
]


@pytest.fixture(scope="module")
def city_tiles() -> list[tuple[Tile, list[Feature]]]:
    town = City(7)
    refs = [ref for ref in open_city("city:7", SourceOptions()).plan() if ref.tile][::9]
    return [(ref.tile, list(town.features(ref.tile.bounds))) for ref in refs if ref.tile]


def test_the_words_are_those_on_record(city_tiles: list[tuple[Tile, list[Feature]]]) -> None:
    told = {str(tile): rich_captions(features, tile, count=3, seed=5) for tile, features in city_tiles[::6]}
    told["scene"] = rich_captions(SCENE, TILE)
    assert json.loads(json.dumps(told)) == json.loads(GOLDEN.read_text("utf-8"))


def test_everything_of_weight_is_named_and_placed() -> None:
    plain = rich_captions(SCENE, TILE)[0]
    assert plain.startswith("The picture shows a stadium by the river")
    assert "A car park lies to the south-east" in plain
    assert "A park covers about a fifth of the ground" in plain
    assert "rows of terraced houses stand to the north" in plain
    assert "About twenty buildings cover a small part of the ground." in plain


def test_paraphrases_differ_in_words_only_and_the_seed_chooses_them() -> None:
    told, again, other = (rich_captions(SCENE, TILE, count=5, seed=seed) for seed in (1, 1, 2))
    assert told == again
    assert len(set(told)) == 5
    assert told[0] == other[0]
    assert set(told[1:]).isdisjoint(other[1:])
    for caption in told:
        assert re.search("stadium|arena", caption)
        assert re.search("south-east", caption)
        assert re.search("about a fifth", caption)


def test_as_long_as_the_captions_of_urbancross(city_tiles: list[tuple[Tile, list[Feature]]]) -> None:
    told = [rich_captions(features, tile, count=1)[0] for tile, features in city_tiles]
    assert 44 <= statistics.mean(len(caption.split()) for caption in told) <= 64
    for caption in told:
        assert re.fullmatch(r"(?:[A-Z][a-z' ,;:-]*[a-z]\. ?)+", caption), caption
        assert not re.search(r"\b(a|an|the) (a|an|the)\b|\ba [aeio]|  |,,|houses (stands|lies)", caption), caption


def test_a_picture_off_the_grid_is_told_as_the_tile_of_the_same_ground() -> None:
    patch = Patch(TILE.bounds)
    assert patch.gsd_m(256) == pytest.approx(TILE.gsd_m(256), rel=0.01)
    assert rich_captions(SCENE, patch, count=1) == rich_captions(SCENE, TILE, count=1)
    assert tile_tags(SCENE, patch) == tile_tags(SCENE, TILE)


def test_which_way_a_river_flows_and_a_road_runs() -> None:
    b = TILE.bounds
    road = thing(shapely.LineString([(b.west, b.north), (b.east, b.south)]), highway="primary")
    stream = thing(shapely.LineString([(b.west, b.center[1]), (b.east, b.center[1])]), waterway="stream")
    told = rich_captions([*SCENE[1:], road, stream], TILE, count=1)[0]
    assert "a main road runs from north-west to south-east" in told.lower()
    assert "a stream flows from west to east" in told.lower()


def test_nothing_is_there() -> None:
    assert rich_captions([], TILE, count=1) == ("The picture shows open land. There are no buildings.",)
    far = Patch(Bounds(179.9, -1.0, -179.9, 1.0))
    assert far.gsd_m(1) == pytest.approx(70_000, rel=0.05)
    assert len(rich_captions([], far)) == 5
