"""Offsets told from pixels: shifts of made-up ground found to a hundredth of the side, however the pictures come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from streets import PRIOR, ground

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASS_OF, shares
from models.codes import log_odds
from models.registrar import FINE_CELLS, StructureRegistrar
from models.registration import MAP_FLOOR, PICTURE_FLOOR, sharpened

SIDE = 320
ROOM = 40


def shown(classes: np.ndarray, dx: int, dy: int) -> Pixels:
    """The ground's middle, dx pixels too far east and dy too far south, as a picture of class numbers."""
    window = classes[ROOM - dy : ROOM - dy + SIDE, ROOM - dx : ROOM - dx + SIDE]
    return np.repeat(window[..., None], 3, axis=2)


def map_grids(pictures: Sequence[Pixels]) -> Vectors:
    return sharpened(np.stack([shares(picture[..., 0], FINE_CELLS) for picture in pictures]), MAP_FLOOR)


def aerial_grids(pictures: Sequence[Pixels]) -> Vectors:
    """Of a decoder that is fairly sure of what is there."""
    grids = np.stack([shares(picture[..., 0], FINE_CELLS) for picture in pictures])
    odds = log_odds(np.log(0.8 * grids + 0.2 / len(PRIOR)).astype(np.float32), PRIOR)
    return sharpened(odds, PICTURE_FLOOR)


REGISTRAR = StructureRegistrar(map_grids, aerial_grids)
GROUNDS = [ground(seed, SIDE + 2 * ROOM) for seed in range(6)]
MOVES = [(0, 0), (13, -7), (-29, 30), (3, 1), (-1, -18), (22, 22)]


def test_shifts_are_told_to_half_a_percent_of_the_side() -> None:
    maps = [shown(own, *move) for own, move in zip(GROUNDS, MOVES, strict=True)]
    found = REGISTRAR.offsets(maps, [shown(own, 0, 0) for own in GROUNDS])
    assert found.dtype == np.float32
    assert np.abs(found - np.array(MOVES) / SIDE).max() < 0.005


@pytest.mark.parametrize("one", ["map", "aerial"])
def test_one_picture_on_either_side_stands_for_all(one: str) -> None:
    alone, several = [shown(GROUNDS[0], 0, 0)], [shown(GROUNDS[0], *move) for move in MOVES]
    found = REGISTRAR.offsets(*((alone, several) if one == "map" else (several, alone)))
    sign = -1 if one == "map" else 1
    assert np.abs(found - sign * np.array(MOVES) / SIDE).max() < 0.005


@pytest.mark.parametrize("smaller", ["map", "aerial"])
def test_what_shows_part_of_its_frame_lies_where_the_part_does(smaller: str) -> None:
    """Four fifths of the ground around a middle that lies elsewhere, anything around it."""
    rim, noise = SIDE // 10, np.random.default_rng(0)
    moves = [(0, 0), (13, -7), (-29, 30)]
    parts = []
    for own, (dx, dy) in zip(GROUNDS, moves, strict=False):
        part = np.repeat(noise.integers(0, len(PRIOR), (SIDE, SIDE, 1), np.uint8), 3, axis=2)
        part[rim:-rim, rim:-rim] = shown(own, dx, dy)[rim:-rim, rim:-rim]
        parts.append(part)
    frames, shares = [shown(own, 0, 0) for own in GROUNDS[:3]], (np.full(3, 0.8), np.ones(3))
    if smaller == "map":
        likeness, offsets = REGISTRAR.likeness(parts, frames, shares)
    else:
        likeness, offsets = REGISTRAR.likeness(frames, parts, shares[::-1])
        likeness, offsets = likeness.T, offsets.swapaxes(0, 1)
    assert likeness.argmax(axis=1).tolist() == [0, 1, 2]
    sign = 1 if smaller == "map" else -1
    assert np.abs(offsets[range(3), range(3)] - sign * np.array(moves) / SIDE).max() < 0.005


def test_whole_frames_are_told_as_pairs_are() -> None:
    maps = [shown(own, *move) for own, move in zip(GROUNDS, MOVES, strict=True)]
    aerials = [shown(own, 0, 0) for own in GROUNDS[:4]]
    _, every = REGISTRAR.likeness(maps, aerials, (np.ones(6), np.ones(4)))
    assert every.shape == (6, 4, 2)
    np.testing.assert_array_equal(every[range(4), range(4)], REGISTRAR.offsets(maps[:4], aerials))


def test_many_pairs_are_told_as_each_is_alone() -> None:
    maps = [shown(GROUNDS[row % 6], *MOVES[(row + 1) % 6]) for row in range(70)]
    aerials = [shown(GROUNDS[row % 6], 0, 0) for row in range(70)]
    together = REGISTRAR.offsets(maps, aerials)
    for row in (0, 63, 64, 69):
        np.testing.assert_array_equal(together[row], REGISTRAR.offsets([maps[row]], [aerials[row]])[0])


def test_no_reach_and_no_pairs() -> None:
    far = [shown(GROUNDS[1], 20, 20)], [shown(GROUNDS[1], 0, 0)]
    np.testing.assert_array_equal(REGISTRAR.offsets(*far, max_offset=0), np.zeros((1, 2)))
    assert REGISTRAR.offsets([], []).shape == (0, 2)


def test_no_shift_is_told_of_a_pair_that_shows_none() -> None:
    """Water beside water, and streets beside water; the pair beside them is told as ever."""
    water = np.full((SIDE, SIDE, 3), CLASS_OF["water"], np.uint8)
    streets = shown(GROUNDS[0], 13, -7)
    found = REGISTRAR.offsets([water, streets, streets], [water, water, shown(GROUNDS[0], 0, 0)])
    np.testing.assert_array_equal(np.isnan(found), [[True] * 2, [True] * 2, [False] * 2])


def test_no_shift_is_told_beyond_what_was_asked_for() -> None:
    """Maps that lie 13 pixels off where at most 12 are possible: their peak is seen, and taken back to the edge."""
    move = np.array([13, -13])
    maps, aerials = ([shown(own, *by) for own in GROUNDS] for by in (move.tolist(), (0, 0)))
    found = REGISTRAR.offsets(maps, aerials, max_offset=12 / SIDE)
    np.testing.assert_allclose(found, np.sign(move) * np.full((6, 2), 12 / SIDE), atol=1e-6)
