"""How a map lies as a whole: told where its pairs tell it, and what follows for each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_town import SIDE_M, TILES, TOWN, finder_of, with_block
from shapely.geometry import shape
from structured import CELLS, Drawing, index_of, moved

from app.changesheet import headline
from geoanchor.manifest import read_manifest
from geoanchor.tiling import Tile
from retrieval.registration import frames_m, in_step, middles_m, peaked, registration, sides_m
from retrieval.serving import Serving
from retrieval.survey import survey_pairs

SIDES = np.full((12, 2), 200.0)
EVERY = np.arange(12)


def scattered(east: float, spread: float, seed: int = 0) -> np.ndarray:
    return np.array([east, 0.0]) + np.random.default_rng(seed).normal(0, spread, (12, 2))


def test_pairs_of_one_mind_tell_how_the_map_lies() -> None:
    off = registration(scattered(8.0, 1.0), SIDES, EVERY, 12)
    assert off is not None
    assert off.shifted
    assert off.reason == f"the whole map lies {np.hypot(off.east_m, off.north_m):.1f} m too far east"
    true = registration(scattered(0.0, 1.0), SIDES, EVERY, 12)
    assert true is not None
    assert not true.shifted
    assert true.reason == "the map lies where the imagery does"


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_scatter_widely_tell_nothing(seed: int) -> None:
    """Neither that the map lies true nor that it lies off."""
    assert registration(scattered(0.0, 15.0, seed), SIDES, EVERY, 12) is None


def test_many_pairs_that_scatter_do_not_make_up_for_it_by_their_number() -> None:
    """The median of offsets anywhere within reach has a small error, and says nothing all the same."""
    anywhere = np.random.default_rng(0).uniform(-20, 20, (400, 2))
    anywhere[:, 0] += 6.0
    assert registration(anywhere, np.full((400, 2), 200.0), np.arange(400), 400) is None


def test_where_most_pairs_lie_at_the_edge_of_the_search_the_others_say_nothing() -> None:
    assert registration(scattered(8.0, 1.0), SIDES, EVERY, 24) is not None
    assert registration(scattered(8.0, 1.0), SIDES, EVERY, 25) is None


def test_an_offset_at_the_edge_of_what_was_looked_at_is_none() -> None:
    departures = np.array([(0.1, 0.0), (0.02, -0.1), (0.05, 0.05), (0.0, 0.0)], np.float32)
    assert peaked(departures, 0.1).tolist() == [False, False, True, True]
    assert peaked(np.zeros((3, 2)), 0.0).all()


def test_a_map_farther_off_than_was_looked_for_is_not_said_to_lie_true(tmp_path: Path) -> None:
    maps = {tile: moved(grid, 2, 0) for tile, grid in TOWN.items()}
    finder = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map")))
    # Two cells are the edge of .1 of the side and beyond that of .05.
    for max_offset, told in ((0.2, True), (0.1, True), (0.05, True), (0.0, False)):
        found = finder.find(max_offset=max_offset)
        assert (found.registration is not None and found.registration.shifted) == told, max_offset
        if told:
            assert found.registration is not None
            assert found.registration.east_m == pytest.approx(2 / CELLS * SIDE_M, rel=0.02)
            assert not found.changes


def test_a_map_that_is_turned_does_not_lie_where_the_imagery_does(tmp_path: Path) -> None:
    """Each of its tiles lies off by another way, up to three cells."""
    rng = np.random.default_rng(1)
    maps = {tile: moved(grid, *rng.integers(-3, 4, 2).tolist()) for tile, grid in TOWN.items()}
    for max_offset in (0.1, 0.15):
        found = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map"))).find(
            max_offset=max_offset
        )
        assert found.registration is None
        assert "how the map lies as a whole cannot be told" in headline(found)


def test_in_a_map_that_lies_off_a_tile_that_lies_true_is_shifted(tmp_path: Path) -> None:
    maps = {tile: moved(grid, 2, 0) for tile, grid in TOWN.items()} | {TILES[7]: TOWN[TILES[7]]}
    found = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map"))).find(max_offset=0.2)
    assert found.registration is not None
    assert found.registration.shifted
    (change,) = found.changes
    assert (Tile(*change.tile or ()), change.cause) == (TILES[7], "shifted")


def test_a_block_that_lies_off_is_told_from_tiles_that_stray_by_chance() -> None:
    """Three in a row and one at their corner by the same way; one beside them by another, and one far from all."""
    east = np.array([0.0, 100.0, 200.0, 300.0, 300.0, 2000.0, 400.0])
    north = np.array([0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 1000.0])
    middles = np.stack([np.full(7, 6.4e6), east, north], axis=1)
    metres = np.array([[3.0, 0.1], [3.1, 0.0], [2.9, -0.1], [3.0, 0.2], [-3.0, 0.0], [3.0, 0.0], [3.0, 0.0]])
    sides = np.full((7, 2), 100.0)
    assert in_step(metres, sides, middles).tolist() == [False, True, True, False, False, False, False]
    assert not in_step(metres[:2], sides[:2], middles[:2]).any()
    assert not in_step(metres[:0], sides[:0], middles[:0]).any()


def test_middles_lie_as_far_apart_as_the_pictures_do(tmp_path: Path) -> None:
    folder = index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(TOWN, "map"))
    serving = Serving.open(folder, read_manifest(folder))
    places = {tuple(facts.values()): row for row, facts in enumerate(serving.facts(np.arange(60), ["layer", "x", "y"]))}
    rows = np.array([places["aerial", tile.x, tile.y] for tile in TILES[:7]])
    middles, width = middles_m(serving, rows), TILES[0].gsd_m(1)
    way = np.linalg.norm(middles - middles[0], axis=1)
    np.testing.assert_allclose(way[:6], width * np.arange(6), rtol=3e-3)
    np.testing.assert_allclose(way[6], width, rtol=3e-3)


def test_a_map_of_other_ground_is_seldom_called_shifted_though_some_shift_suits_it_better(tmp_path: Path) -> None:
    causes = []
    for other in range(8, 28):
        maps = TOWN | {TILES[7]: TOWN[TILES[other]]}
        finder = finder_of(index_of(tmp_path / f"{other}.index", Drawing(TOWN, "aerial"), Drawing(maps, "map")))
        causes += [change.cause for change in finder.find().changes if Tile(*change.tile or ()) == TILES[7]]
    assert len(causes) == 20
    # Ten would be, were it enough that the shift brings something.
    assert causes.count("shifted") <= 5


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


def test_a_map_that_is_judged_twice_is_one_job(tmp_path: Path) -> None:
    maps = {tile: moved(grid, 1, 1) for tile, grid in TOWN.items()}
    finder = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map")))
    pairs, done = finder.pairs(), []
    rows, serving = pairs.aerials, finder._serving
    survey = survey_pairs(
        finder._matcher, pairs, sides_m(serving, rows), frames_m(serving, pairs), middles_m(serving, rows), chunk=5,
        progress=lambda so_far, of: done.append((so_far, of)),
    )  # fmt: skip
    assert survey.common
    assert survey.common.shifted
    assert [so_far for so_far, _ in done] == sorted({so_far for so_far, _ in done})
    assert done[-1] == (2 * len(pairs), 2 * len(pairs))
