"""Edits of a hand-drawn block of houses, whose right outcome is counted and measured here."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geoanchor.feature import Feature
from geoanchor.structure import CLASS_OF
from geoanchor.tiling import Tile, tile_at
from indexer.featurestore import FeatureStore
from indexer.render import render_structure
from training.edits import KINDS, Edit, any_edit, edit
from training.ground import Ground, Plane

TILE = tile_at(15.6, 48.4, 17)
DONOR = Tile(17, TILE.x + 3, TILE.y)
EMPTY = Tile(17, TILE.x + 6, TILE.y)
BUILDING = CLASS_OF["building"]


def square(x: float, y: float, side: float = 12.0) -> shapely.Polygon:
    return shapely.box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def town() -> FeatureStore:
    """Ten houses in two rows along one road; in the donor tile four larger ones along another."""
    here, there = Plane(TILE), Plane(DONOR)
    houses = [(f"house/{n}", square(-80 + 40 * (n % 5), 30 if n < 5 else -30)) for n in range(10)]
    halls = [(f"hall/{n}", square(-60 + 40 * n, 60, 24)) for n in range(4)]
    roads = [("road/1", here, [(-300, 0), (300, 0)]), ("road/2", there, [(-300, 20), (300, 20)])]
    features = [Feature(name, here.degrees(shape), {"building": "house"}) for name, shape in houses]
    features += [Feature(name, there.degrees(shape), {"building": "retail"}) for name, shape in halls]
    features += [
        Feature(name, plane.degrees(shapely.LineString(line)), {"highway": "residential"})
        for name, plane, line in roads
    ]
    return FeatureStore(features)


def made(kind: str, strength: float = 1.0, seed: int = 1, donor: Tile = DONOR) -> Edit:
    found = edit(kind, town(), TILE, donor, seed, strength)  # type: ignore[arg-type]
    assert found is not None
    return found


def buildings(found: Edit) -> dict[str, shapely.Polygon]:
    """What stands in the edited tile, in metres about its centre."""
    ground = Ground(found.features, TILE)
    return {ground.features[i].id: ground.shapes[i] for i in ground.buildings}


@pytest.mark.parametrize(("strength", "left"), [(0.0, 8), (0.5, 4), (1.0, 0)])
def test_delete_takes_its_share_of_the_buildings(strength: float, left: int) -> None:
    found = made("delete", strength)
    assert len(buildings(found)) == left
    assert found.ids == tuple(sorted(found.ids))
    assert len(found.ids) == 10 - left
    area = (10 - left) * 12**2 / Ground(town(), TILE).frame.area
    assert found.changed == pytest.approx(area, rel=0.2)


def test_insert_adds_donor_buildings_where_nothing_stands() -> None:
    found = made("insert")
    after = buildings(found)
    new = [shape for name, shape in after.items() if name.startswith("edit/hall/")]
    old = [shape for name, shape in after.items() if name.startswith("house/")]
    road = shapely.LineString([(-300, 0), (300, 0)]).buffer(4)
    assert len(old) == 10
    assert 1 <= len(new) <= 4
    assert {round(shape.area) for shape in new} == {24 * 24}
    assert not any(shape.intersects(other) for shape in new for other in (*old, road))


@pytest.mark.parametrize(("strength", "metres"), [(0.0, 6.0), (1.0, 12.0)])
def test_shift_moves_every_building_alike_and_no_road(strength: float, metres: float) -> None:
    found = made("shift", strength)
    before = {f"edit/house/{n}": square(-80 + 40 * (n % 5), 30 if n < 5 else -30).centroid for n in range(10)}
    moves = {name: (shape.centroid.x - before[name].x, shape.centroid.y - before[name].y)
             for name, shape in buildings(found).items()}  # fmt: skip
    assert len(moves) == 10
    assert np.ptp(list(moves.values()), axis=0).max() < 1e-3
    assert np.hypot(*moves["edit/house/0"]) == pytest.approx(metres, abs=1e-3)
    assert "road/1" not in found.ids


def test_drop_road_leaves_the_buildings() -> None:
    found = made("drop_road")
    assert found.ids == ("road/1",)
    assert len(buildings(found)) == 10
    assert set(np.unique(found.classes)) == {CLASS_OF["other"], BUILDING}


def test_swap_block_exchanges_one_side_of_the_road() -> None:
    found = made("swap_block")
    after = buildings(found)
    houses = [name for name in after if name.startswith("house/")]
    halls = [shape for name, shape in after.items() if name.startswith("edit/hall/")]
    assert len(houses) == 5
    assert len(halls) >= 1
    sides = {shape.centroid.y > 0 for shape in halls}
    assert len(sides) == 1
    assert sides.isdisjoint(after[name].centroid.y > 0 for name in houses)


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_a_function_of_its_seed_and_shows_what_changed(kind: str) -> None:
    first, again = made(kind), made(kind)
    assert first.ids == again.ids
    assert np.array_equal(first.classes, again.classes)
    true = render_structure(town(), TILE)
    assert np.array_equal(first.classes, render_structure(first.features, TILE))
    assert np.array_equal(first.mask, first.classes != true)
    assert first.changed == first.mask.mean() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_edit_is_said(kind: str) -> None:
    assert edit(kind, town(), EMPTY, EMPTY, 1) is None  # type: ignore[arg-type]
    assert edit("insert", town(), TILE, EMPTY, 1) is None
    assert any_edit(town(), EMPTY, [EMPTY], 1) is None
    assert any_edit(town(), TILE, [EMPTY, DONOR], 1) is not None


def test_what_stands_on_a_building_goes_with_it() -> None:
    plane = Plane(TILE)
    hall = Feature("hall", plane.degrees(square(0, 0, 40)), {"building": "industrial"})
    solar = Feature("solar", plane.degrees(square(0, 0, 10)), {"power": "generator", "location": "roof"})
    lawn = Feature("lawn", plane.degrees(square(0, 0, 90)), {"landuse": "grass"})
    found = edit("delete", FeatureStore([hall, solar, lawn]), TILE, DONOR, 1)
    assert found is not None
    assert set(found.ids) == {"hall", "solar"}
