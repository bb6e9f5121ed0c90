"""Numbers of hand-drawn grounds against what they must be."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import shapely
from drawn_ground import FRAME, QUARTERS, box, grid_roads, ground, houses, terraces, turned
from hypothesis import given, settings
from hypothesis import strategies as st
from test_anchor_schema import anchor

from training.anchors.ground import moved
from training.anchors.metrics import measure
from training.anchors.rules import Thresholds, calibrated, label
from training.anchors.vectors import anchor_of, recalibrated


def test_an_empty_tile_is_legal() -> None:
    numbers = measure(ground())
    assert numbers["open_share"] == 1.0
    assert label(numbers).values() == {
        "building_density": "none", "block_pattern": "open_land", "dominant_building_size": "none",
        "roof_hint": "none", "construction_state": "none", "building_shape": "none", "building_arrangement": "none",
        "orientation_order": "none", "road_pattern": "none", "junction_density": "none", "open_space": "dominant",
    }  # fmt: skip


def test_water_is_open_but_no_land() -> None:
    sea = measure(ground(water=[box(0, 0, 300, 300)]))
    assert (sea["water_share"], label(sea).block_pattern, label(sea).open_space) == (1.0, "none", "dominant")
    shore = measure(ground(water=[box(-80, 0, 40, 200), box(-85, 0, 30, 200)]))
    assert (shore["water_share"], label(shore).block_pattern) == (0.2, "open_land")
    before = {name: number for name, number in shore.items() if name != "water_share"}
    assert label(before).block_pattern == "open_land"


def test_terraces_touch_and_stand_close() -> None:
    numbers = measure(ground(terraces()))
    assert numbers["touching"] == 1.0
    assert numbers["clark_evans"] == pytest.approx(6 / (0.5 * (200 * 200 / numbers["buildings"]) ** 0.5), abs=1e-3)
    assert label(numbers).building_arrangement == "attached_rows"


def test_a_regular_suburb_is_regular() -> None:
    numbers = measure(ground(houses()))
    assert (numbers["touching"], label(numbers).building_arrangement) == (0.0, "regular_spacing")
    assert numbers["clark_evans"] > 1.2
    assert numbers["building_order"] == 1.0


def test_order_does_not_depend_on_the_angle_of_the_grid() -> None:
    turned_17 = moved(ground(houses(), grid_roads()), turned(17))
    numbers = measure(replace(turned_17, frame=FRAME))
    assert numbers["building_order"] == pytest.approx(1.0, abs=1e-3)
    assert numbers["road_order"] == pytest.approx(1.0, abs=1e-3)
    assert label(numbers).road_pattern == "grid"
    assert numbers["dead_end_share"] == 0.0


def test_houses_at_random_angles_have_no_order() -> None:
    rng = np.random.default_rng(0)
    spun = [shapely.affinity.rotate(box(0, 0, 8, 14), rng.uniform(0, 180)) for _ in range(300)]
    put = [shapely.affinity.translate(s, *rng.uniform(-100, 100, 2)) for s in spun]
    assert measure(ground(put))["building_order"] < 0.2


def test_overlapping_parts_count_once() -> None:
    one = measure(ground([box(0, 0, 100, 100)]))
    two = measure(ground([box(0, 0, 100, 100), box(10, 0, 80, 100), box(0, 0, 100, 100)]))
    assert one["built_share"] == two["built_share"] == 0.25


def test_only_what_lies_in_the_tile_is_counted_but_sizes_are_whole() -> None:
    numbers = measure(ground([box(95, 0, 60, 40), box(130, 0, 9, 9)]))
    assert numbers["buildings"] == 1.0
    assert numbers["built_share"] == pytest.approx(35 * 40 / 40000)
    assert numbers["size_very_large"] == 1.0


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (box(0, 0, 20, 15), "rectangular"),
        (box(0, 0, 60, 12), "elongated"),
        (box(0, 0, 30, 30) - box(10, 10, 20, 20), "l_or_u_shaped"),
        (box(0, 0, 60, 60) - box(0, 0, 30, 30), "courtyard"),
        (shapely.Point(0, 0).buffer(20), "complex"),
    ],
)
def test_shapes(shape: shapely.Polygon, name: str) -> None:
    for degrees in (0, 33):
        assert measure(ground([shapely.affinity.rotate(shape, degrees)]))[f"shape_{name}"] == 1.0


def test_a_cross_is_one_junction_of_four_and_a_bridge_none() -> None:
    cross = [shapely.LineString([(-150, 0), (150, 0)]), shapely.LineString([(0, -150), (0, 150)])]
    numbers = measure(ground(roads=cross))
    assert (numbers["junctions"], numbers["crossing_share"], numbers["node_degree_max"]) == (1.0, 1.0, 4.0)
    assert measure(ground(roads=cross, levels=[0, 1]))["junctions"] == 0.0


def test_a_dual_carriageway_crossing_is_one_junction_of_four() -> None:
    roads = [shapely.LineString([(-150, y), (150, y)]) for y in (-5, 5)]
    roads += [shapely.LineString([(x, -150), (x, 150)]) for x in (-5, 5)]
    numbers = measure(ground(roads=roads))
    assert (numbers["junctions"], numbers["node_degree_max"]) == (1.0, 4.0)
    assert label(numbers).road_pattern != "radial"


@pytest.mark.parametrize(
    ("roads", "pattern"),
    [
        ([], "none"),
        ([[(-150, 0), (150, 10)]], "single_road"),
        ([[(-150, 50), (150, 50)], [(-150, -50), (150, -50)]], "parallel"),
        ([[(0, 0), (150 * np.cos(a), 150 * np.sin(a))] for a in np.arange(5) * 1.2566], "radial"),
        (
            [[(-150, 0), (150, 0)], [(-60, 0), (-60, 70)], [(0, 0), (0, -70)], [(60, 0), (60, 70)]],
            "loops_and_dead_ends",
        ),
    ],
)
def test_road_patterns(roads: list[list[tuple[float, float]]], pattern: str) -> None:
    assert label(measure(ground(roads=[shapely.LineString(road) for road in roads]))).road_pattern == pattern


def test_houses_along_all_edges_of_a_block() -> None:
    ring = (box(0, 0, 70, 70) - box(0, 0, 50, 50)).buffer(0)
    blocks = [shapely.affinity.translate(ring, x, y) for x in (-80, 0, 80) for y in (-80, 0, 80)]
    numbers = measure(ground(blocks, grid_roads()))
    assert numbers["perimeter_fill"] > 0.9
    assert label(numbers).block_pattern == "perimeter_blocks"


def test_a_block_with_a_hole_has_the_edges_of_both_rings_and_none_between() -> None:
    around = shapely.LineString([(-20, -20), (20, -20), (20, 20), (-20, 20), (-20, -20)])
    numbers = measure(ground([box(-90, 55, 10, 10)], [around]))
    # Of 800 m along the frame and 160 m of road, the house fronts 30 m.
    assert numbers["perimeter_fill"] == pytest.approx(30 / 960, abs=1e-3)


boxes = st.lists(
    st.tuples(st.floats(-110, 110), st.floats(-110, 110), st.floats(4, 60), st.floats(4, 60), st.floats(0, 90)),
    max_size=12,
)
lines = st.lists(
    st.tuples(st.floats(-140, 140), st.floats(-140, 140), st.floats(-140, 140), st.floats(-140, 140)), max_size=6
)


# The same examples every time: some areas and angles lie on a threshold, where a turn's last digits decide.
@settings(max_examples=20, deadline=None, derandomize=True)
@given(boxes, lines)
def test_turning_mirroring_and_moving_change_nothing(
    buildings: list[tuple[float, ...]], roads: list[tuple[float, ...]]
) -> None:
    # Coordinates a grid apart, so that no number lies on a threshold's edge by rounding alone.
    drawn = ground(
        [shapely.affinity.rotate(box(*(round(v, 1) for v in b[:4])), round(b[4])) for b in buildings],
        [shapely.LineString([(round(a), round(b)), (round(c), round(d) + 0.5)]) for a, b, c, d in roads],
    )
    numbers = measure(drawn)
    for change in (*QUARTERS, lambda xy: xy + np.array((500, -300))):
        other = measure(moved(drawn, change))
        assert other.keys() == numbers.keys()
        for name in numbers.keys() - {"node_degree_max", "crossing_share", "dead_end_share", "junctions"}:
            assert other[name] == pytest.approx(numbers[name], abs=2e-3), name


@pytest.mark.parametrize(("times", "step"), [(1, 2.0), (10, 2.0), (1000, 200.0)])
def test_edges_of_blocks_on_wide_ground_are_probed_in_wider_steps(
    monkeypatch: pytest.MonkeyPatch, times: float, step: float
) -> None:
    segmentize = Mock(wraps=shapely.segmentize)
    monkeypatch.setattr(shapely, "segmentize", segmentize)
    measure(moved(ground(houses(), grid_roads()), lambda xy: xy * times))
    ((_, every), _) = segmentize.call_args
    assert every == pytest.approx(step)


def test_labels_follow_thresholds_without_geometry() -> None:
    numbers = measure(ground(houses()))
    assert label(numbers).building_density == "medium"
    other = Thresholds(density=(0.01, 0.02, 0.03, 0.04))
    assert label(numbers, other).building_density == "very_high"
    assert other.version != Thresholds().version


def test_calibration_breaks_up_a_class_that_holds_nearly_all() -> None:
    base = measure(ground(houses()))
    tiles = [{**base, "built_share": 0.16 + 0.001 * n} for n in range(100)]
    assert {label(m).building_density for m in tiles} == {"medium"}
    found = calibrated(tiles)
    shares = [label(m, found).building_density for m in tiles]
    assert {shares.count(name) for name in set(shares)} == {20}
    assert found.open_space == Thresholds().open_space or base["open_share"] > 0


def test_tiles_without_what_is_measured_do_not_count() -> None:
    base = measure(ground(houses()))
    empty = {**base, "buildings": 0.0, "built_share": 0.0}
    spread = [{**base, "built_share": share} for share in (0.02, 0.1, 0.2, 0.4, 0.6)]
    assert calibrated([*spread, *[empty] * 15]).density == Thresholds().density, "none is no class too large"
    alike = [{**base, "built_share": 0.16 + 0.001 * n} for n in range(10)]
    found = calibrated([*alike, *[empty] * 10])
    assert len({label(m, found).building_density for m in alike}) == 5, "half of all tiles, and all that are built"


def test_calibration_leaves_a_spread_set_alone() -> None:
    base = measure(ground(houses()))
    tiles = [{**base, "built_share": n / 100, "building_order": n / 100, "open_share": n / 100} for n in range(100)]
    assert calibrated(tiles) == Thresholds()


def test_calibration_labels_what_was_measured_and_leaves_what_a_model_saw() -> None:
    base = measure(ground(houses()))
    measured = [anchor_of({**base, "built_share": 0.16 + 0.001 * n}, str(n), "osm_fallback") for n in range(10)]
    measured = [one.model_copy(update={"retries": 4}) for one in measured]
    seen = anchor("seen").model_copy(update={"source": "qwen", "metrics": {"agreement": 9.0}, "retries": 1})
    *labelled, same = recalibrated([*measured, seen])
    assert same == seen
    assert len({one.attributes.building_density for one in labelled}) == 5
    kept = [(one.id, one.source, one.metrics, one.retries) for one in measured]
    assert [(one.id, one.source, one.metrics, one.retries) for one in labelled] == kept
    assert recalibrated([seen]) == [seen]
