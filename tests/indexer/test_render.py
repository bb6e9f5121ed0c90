"""The map renderer: colours where they belong, the right things on top, and no seams between tiles."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely import affinity

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.image import Pixels
from geoanchor.tiling import Bounds, Tile
from indexer.cartography import MAP_CLASSES
from indexer.featurestore import FeatureStore
from indexer.render import STYLES, render_map

TILE = Tile(17, 68236, 47794)
Shape = shapely.Geometry


def place(x: float, y: float) -> tuple[float, float]:
    """Degrees of a position in TILE, x to the right and y down, 0..1."""
    b = TILE.bounds
    return b.west + x * (b.east - b.west), b.north + y * (b.south - b.north)


def area(x0: float, y0: float, x1: float, y1: float, *holes: tuple[float, float, float, float]) -> Shape:
    ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    shape = shapely.Polygon([place(*p) for p in ring])
    for hole in holes:
        shape = shape.difference(area(*hole))
    return shape


def line(*points: tuple[float, float]) -> Shape:
    return shapely.LineString([place(*p) for p in points])


def feature(shape: Shape, name: str = "", **tags: str) -> Feature:
    return Feature(name or repr(sorted(tags.items())), shape, tags)


def drawn(*features: Feature, tile: Tile = TILE, size: int = 256, style: str = "standard") -> Pixels:
    return render_map(FeatureStore(features), tile, size, style)


def at(pixels: Pixels, x: float, y: float) -> str:
    return "#" + "".join(f"{v:02x}" for v in pixels[int(y * len(pixels)), int(x * len(pixels))])


@pytest.mark.parametrize("style", STYLES)
def test_each_class_has_its_own_colour_and_holes_stay_open(style: str) -> None:
    look = STYLES[style]
    pixels = drawn(
        feature(area(0.05, 0.05, 0.45, 0.45, (0.2, 0.2, 0.3, 0.3)), natural="water"),
        feature(area(0.55, 0.05, 0.95, 0.45), leisure="park"),
        feature(area(0.05, 0.55, 0.45, 0.95), building="yes"),
        feature(line((0.5, 0.75), (1.0, 0.75)), highway="motorway"),
        style=style,
    )
    assert at(pixels, 0.1, 0.1) == look.areas["water"].fill
    assert at(pixels, 0.25, 0.25) == look.background
    assert at(pixels, 0.75, 0.25) == look.areas["park"].fill
    assert at(pixels, 0.25, 0.75) == look.areas["building"].fill
    assert at(pixels, 0.75, 0.75) == look.lines["motorway"].color
    assert at(pixels, 0.5, 0.02) == look.background


def test_later_stages_cover_earlier_ones() -> None:
    everywhere = area(-0.1, -0.1, 1.1, 1.1)
    stack = [
        ("#e0dfdf", feature(everywhere, landuse="residential")),
        ("#aad3df", feature(everywhere, natural="water")),
        ("#d9d0c9", feature(everywhere, building="yes")),
        ("#ffffff", feature(line((0, 0.5), (1, 0.5)), highway="residential")),
        ("#e892a2", feature(line((0.5, 0), (0.5, 1)), highway="motorway")),
    ]
    for depth in range(1, len(stack) + 1):
        for order in (1, -1):
            features = [f for _, f in stack[:depth]][::order]
            assert at(drawn(*features), 0.5, 0.5) == stack[depth - 1][0]


def test_a_bridge_covers_what_it_crosses_and_a_tunnel_does_not() -> None:
    rail = feature(line((0.5, 0), (0.5, 1)), railway="tram")
    road = line((0, 0.5), (1, 0.5))
    assert at(drawn(rail, feature(road, highway="primary")), 0.5, 0.5) == STYLES["standard"].lines["tram"].color
    bridge = feature(road, highway="primary", bridge="yes", layer="1")
    assert at(drawn(rail, bridge), 0.5, 0.5) == STYLES["standard"].lines["primary"].color
    house = feature(area(0.3, 0.3, 0.7, 0.7), building="yes")
    tunnel = feature(road, highway="primary", tunnel="yes", layer="-1")
    assert at(drawn(house, tunnel), 0.5, 0.5) == STYLES["standard"].areas["building"].fill


def test_a_small_wood_shows_in_a_large_meadow_whatever_their_order() -> None:
    meadow, wood = feature(area(0, 0, 1, 1), landuse="meadow"), feature(area(0.4, 0.4, 0.6, 0.6), natural="wood")
    assert np.array_equal(drawn(meadow, wood), drawn(wood, meadow))
    assert at(drawn(meadow, wood), 0.5, 0.5) == STYLES["standard"].areas["forest"].fill


def _town(seed: int) -> list[Feature]:
    """A dense random neighbourhood of every kind of geometry, wider than the tile."""
    rng = random.Random(seed)
    kinds: list[dict[str, str]] = [
        {"building": "yes"}, {"landuse": "forest"}, {"natural": "water"}, {"leisure": "park"}, {"highway": "primary"},
        {"highway": "residential"}, {"railway": "rail"}, {"waterway": "river"}, {"highway": "footway"},
        {"natural": "tree"}, {"highway": "secondary", "bridge": "yes", "layer": "1"}, {"barrier": "hedge"},
        {"highway": "track"},
    ]  # fmt: skip
    made = []
    for i in range(120):
        x, y, tags = rng.uniform(-1, 2), rng.uniform(-1, 2), kinds[i % len(kinds)]
        key = next(iter(tags))
        if tags == {"natural": "tree"}:
            shape: Shape = shapely.Point(place(x, y))
        elif key in ("highway", "railway", "waterway", "barrier"):
            shape = line((x, y), (x + rng.uniform(-1, 1), y + rng.uniform(-1, 1)), (x + rng.uniform(-1, 1), y + 0.4))
        else:
            shape = affinity.rotate(
                area(x, y, x + rng.uniform(0.03, 0.4), y + rng.uniform(0.03, 0.4)), rng.uniform(0, 90)
            )
        made.append(Feature(f"f{i}", shape, tags))
    return made


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), style=st.sampled_from(list(STYLES)))
@example(seed=29, style="standard")
def test_four_children_joined_are_their_parent_at_double_size(seed: int, style: str) -> None:
    store = FeatureStore(_town(seed))
    whole = render_map(store, TILE, 512, style).astype(int)
    parts = [render_map(store, child, 256, style) for child in TILE.children()]
    joined = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])]).astype(int)
    differs = np.abs(whole - joined).max(axis=2) > 24

    def along(middle: int) -> float:
        """Share that differs of the strips of four pixels, down and across."""
        strip = slice(middle - 2, middle + 2)
        return float(np.concatenate([differs[strip].ravel(), differs[:, strip].ravel()]).mean())

    # Only the anti-aliasing of sub-pixel positions may differ, and not more so along the seams than elsewhere.
    elsewhere = max(along(middle) for middle in range(4, 512, 4) if middle != 256)
    assert differs.mean() < 0.002
    assert along(256) < max(0.004, elsewhere)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
def test_input_order_never_shows(seed: int, shuffle: int) -> None:
    features = _town(seed)
    mixed = features.copy()
    random.Random(shuffle).shuffle(mixed)
    assert np.array_equal(drawn(*features), drawn(*mixed))


def test_a_scene_moved_by_one_tile_looks_the_same_there() -> None:
    width = TILE.bounds.east - TILE.bounds.west
    features = _town(3)
    moved = [Feature(f.id, affinity.translate(f.geometry, width), f.tags) for f in features]
    here = drawn(*features).astype(int)
    there = drawn(*moved, tile=Tile(TILE.z, TILE.x + 1, TILE.y)).astype(int)
    assert (np.abs(here - there).max(axis=2) > 8).mean() < 0.001


def test_roads_grow_with_zoom_and_never_shrink() -> None:
    for style in STYLES.values():
        for name, symbol in style.lines.items():
            widths = [symbol.width_px(z / 4) for z in range(4 * 8, 4 * 23)]
            assert all(a <= b + 1e-9 for a, b in pairwise(widths)), (style.name, name)


def test_wide_roads_outside_the_tile_still_reach_into_it() -> None:
    deep = Tile(21, TILE.x * 16, TILE.y * 16)
    b = deep.bounds
    beside = b.west - 0.1 * (b.east - b.west)
    road = Feature(
        "road", shapely.LineString([(beside, b.south - 1e-4), (beside, b.north + 1e-4)]), {"highway": "motorway"}
    )
    assert at(drawn(road, tile=deep), 0.01, 0.5) == STYLES["standard"].lines["motorway"].color


def test_huge_geometries_are_drawn_exactly_at_deep_zooms() -> None:
    west, _, east, _ = TILE.bounds
    half = Bounds(-120.0, -60.0, (west + east) / 2, 80.0)
    deep = Tile(24, TILE.x * 128 + 64, TILE.y * 128 + 64)
    left = Tile(24, deep.x - 1, deep.y)
    land = Feature("continent", shapely.box(*half), {"landuse": "forest"})
    forest, bare = STYLES["standard"].areas["forest"].fill, STYLES["standard"].background
    assert at(drawn(land, tile=deep), 0.01, 0.5) == bare
    assert at(drawn(land, tile=left), 0.99, 0.5) == forest


@pytest.mark.parametrize("tile", [Tile(0, 0, 0), Tile(1, 1, 1), Tile(5, 0, 0), Tile(30, 0, (1 << 30) - 1)])
def test_any_tile_can_be_drawn(tile: Tile) -> None:
    world = Feature("world", shapely.box(-180, -90, 180, 90), {"natural": "water"})
    assert at(drawn(world, tile=tile, size=16), 0.5, 0.5) == STYLES["standard"].areas["water"].fill


def test_nothing_there_is_background_and_tags_of_other_things_are_ignored() -> None:
    assert set(map(tuple, drawn().reshape(-1, 3))) == {(0xF2, 0xEF, 0xE9)}
    boundary = feature(area(0, 0, 1, 1), boundary="administrative", name="Somewhere")
    odd = feature(area(0, 0, 1, 1), building="no", layer="not a number")
    assert np.array_equal(drawn(boundary, odd), drawn())


def test_a_building_that_is_also_something_else_or_out_of_use_is_drawn_as_one() -> None:
    """A roof that makes power, a disused mill; a disused railway is not drawn, nor what lies under ground."""
    house = drawn(feature(area(0.2, 0.2, 0.8, 0.8), building="yes"))
    for more in ({"power": "generator"}, {"man_made": "silo"}, {"disused": "yes"}, {"abandoned": "yes"}):
        assert np.array_equal(drawn(feature(area(0.2, 0.2, 0.8, 0.8), building="yes", **more)), house)
    railway, cellar = line((0, 0.5), (1, 0.5)), area(0.2, 0.2, 0.8, 0.8)
    gone = [feature(railway, railway="rail", disused="yes"), feature(cellar, building="yes", location="underground"),
            feature(cellar, amenity="parking", parking="underground")]  # fmt: skip
    assert np.array_equal(drawn(*gone), drawn())
    lot = feature(cellar, amenity="parking", building="no")
    assert np.array_equal(drawn(lot), drawn(feature(cellar, amenity="parking")))
    assert not np.array_equal(drawn(lot), drawn())


def test_geometry_collections_and_multipolygons_are_drawn_whole() -> None:
    both = shapely.MultiPolygon([area(0.1, 0.1, 0.3, 0.3), area(0.6, 0.6, 0.8, 0.8)])
    mixed = shapely.GeometryCollection([area(0.6, 0.1, 0.8, 0.3), line((0, 0.9), (1, 0.9))])
    pixels = drawn(feature(both, building="yes"), feature(mixed, building="house"))
    for x, y in ((0.2, 0.2), (0.7, 0.7), (0.7, 0.2)):
        assert at(pixels, x, y) == STYLES["standard"].areas["building"].fill


def test_areas_of_one_kind_that_share_an_edge_show_no_hairline() -> None:
    west, east = area(0.1, 0.1, 0.5013, 0.9), area(0.5013, 0.1, 0.9, 0.9)
    pixels = drawn(feature(west, "west", natural="water"), feature(east, "east", natural="water"))
    inner = pixels[40:200, 40:200].reshape(-1, 3)
    assert len(np.unique(inner, axis=0)) == 1


def test_overlapping_areas_and_holes_of_one_kind_are_their_union() -> None:
    ring = feature(area(0.1, 0.1, 0.6, 0.6, (0.2, 0.2, 0.5, 0.5)), "ring", natural="wood")
    other = feature(area(0.4, 0.4, 0.9, 0.9), "other", natural="wood")
    pixels, forest = drawn(ring, other), STYLES["standard"].areas["forest"].fill
    assert [at(pixels, *xy) == forest for xy in ((0.3, 0.3), (0.45, 0.45), (0.55, 0.55), (0.15, 0.15))] == [
        False, True, True, True,
    ]  # fmt: skip


def test_unknown_style_and_size_are_refused() -> None:
    with pytest.raises(UsageError, match="no map style 'neon'; styles: standard, light, google"):
        drawn(style="neon")
    with pytest.raises(UsageError, match="at least 1 px"):
        drawn(size=0)


def test_styles_speak_only_of_known_classes_and_colours() -> None:
    for style in STYLES.values():
        assert {*style.areas, *style.lines, *style.points} <= MAP_CLASSES
        symbols = [symbol.fill for symbol in style.areas.values()]
        symbols += [symbol.color for symbol in (*style.lines.values(), *style.points.values())]
        assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in symbols)
