"""How a map lies as a whole: told where its pairs tell it, and what follows for each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_town import SIDE_M, TILES, TOWN, finder_of, with_block
from shapely.geometry import shape
from structured import CELLS, Drawing, index_of, moved

from app.changesheet import headline
from retrieval.registration import peaked, registration

SIDES = np.full((12, 2), 200.0)
EVERY = np.arange(12)


def scattered(east: float, spread: float, seed: int = 0) -> np.ndarray:
    return np.array([east, 0.0]) + np.random.default_rng(seed).normal(0, spread, (12, 2))


def test_pairs_of_one_mind_tell_how_the_map_lies() -> None:
    off = registration(scattered(8.0, 1.0), SIDES, EVERY)
    assert off is not None
    assert off.shifted
    assert off.reason == f"the whole map lies {np.hypot(off.east_m, off.north_m):.1f} m too far east"
    true = registration(scattered(0.0, 1.0), SIDES, EVERY)
    assert true is not None
    assert not true.shifted
    assert true.reason == "the map lies where the imagery does"


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_scatter_widely_tell_nothing(seed: int) -> None:
    """Neither that the map lies true nor that it lies off."""
    assert registration(scattered(0.0, 15.0, seed), SIDES, EVERY) is None


def test_an_offset_at_the_edge_of_what_was_looked_at_is_none() -> None:
    departures = np.array([(0.1, 0.0), (0.02, -0.1), (0.05, 0.05), (0.0, 0.0)], np.float32)
    assert peaked(departures, 0.1).tolist() == [False, False, True, True]
    assert peaked(np.zeros((3, 2)), 0.0).all()


def test_a_map_farther_off_than_was_looked_for_is_not_said_to_lie_true(tmp_path: Path) -> None:
    maps = {tile: moved(grid, 2, 0) for tile, grid in TOWN.items()}
    finder = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map")))
    near = finder.find(max_offset=0.1)
    assert near.registration is None
    assert "how the map lies as a whole cannot be told" in headline(near)
    assert not any(change.cause == "shifted" for change in near.changes)
    farther = finder.find(max_offset=0.2).registration
    assert farther is not None
    assert farther.east_m == pytest.approx(2 / CELLS * SIDE_M, rel=0.02)


def test_where_there_is_no_map_none_lies_off(tmp_path: Path) -> None:
    """Houses at the edge of an unmapped tile are seen, and outlined where they are, wherever the map lies elsewhere."""
    ground = TOWN | {TILES[0]: with_block(np.zeros((CELLS, CELLS), np.uint8), 3, 8, CELLS - 2, 6)}
    lists = []
    for cells in (0, 1):
        maps = {tile: moved(grid, cells, 0) for tile, grid in ground.items() if tile != TILES[0]}
        folder = index_of(tmp_path / f"{cells}.index", Drawing(ground, "aerial"), Drawing(maps, "map"))
        lists.append(finder_of(folder).find())
    assert [found.registration.shifted for found in lists if found.registration] == [False, True]
    true, off = (next(change for change in found.changes if change.map_id is None) for found in lists)
    assert (true.cause, true.mismatch) == (off.cause, off.mismatch) == ("nothing mapped", true.mismatch)
    assert shape(true.outline).equals(shape(off.outline))


def test_what_a_place_shows_is_what_the_list_says_of_it(tmp_path: Path) -> None:
    """Its heat map is judged where the region lets one expect the map, as its outline is."""
    maps = {tile: moved(grid, 1, 1) for tile, grid in TOWN.items()}
    maps[TILES[7]] = moved(with_block(TOWN[TILES[7]], 3), 1, 1)
    finder = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map")))
    (change,) = finder.find().changes
    against = finder.judge(change.id, 0.0).evidence[0] < -0.5
    block = np.zeros((CELLS, CELLS), bool)
    block[13:18, 13:18] = True
    assert (against == block).mean() > 0.98


def test_a_place_looked_at_by_itself_is_judged_by_its_frames(tmp_path: Path) -> None:
    """No list was asked for yet: the map's frames lie two cells east, and what they show lies where it belongs."""
    maps = {tile: moved(grid, -2, 0) for tile, grid in TOWN.items()}
    drawn = Drawing(maps, "map", tiled=False, east=2 / CELLS - 1e-4)
    folder = index_of(tmp_path / "i", Drawing(TOWN, "aerial", tiled=False), drawn)
    listed = finder_of(folder).find(k=1, everything=True).changes[0]
    evidence = finder_of(folder).judge(listed.id, 0.0).evidence[0]
    assert (evidence[:, : CELLS - 2] > -0.5).all()
