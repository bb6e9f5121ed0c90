"""Shifts of maps against pictures: a brute-force double loop, and grids moved by known amounts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from models.registration import MAP_FLOOR, PICTURE_FLOOR, Spectra, best_shift, frames, moved, sharpened, told_shifts

SIDE, CLASSES, REACH = 16, 3, 4
Shifts = NDArray[np.int64]


def grids(count: int, seed: int = 0, side: int = SIDE, classes: int = CLASSES) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, side, side, classes)).astype(np.float32)


def looped(maps: Vectors, pictures: Vectors, dx: int, dy: int) -> float:
    """The map lies dx east and dy south of the picture: its cell (y, x) shows the picture's (y - dy, x - dx)."""
    total, height, width = 0.0, maps.shape[0], maps.shape[1]
    for y in range(height):
        for x in range(width):
            if 0 <= y - dy < height and 0 <= x - dx < width:
                total += float(maps[y, x] @ pictures[y - dy, x - dx])
    return total / ((1 - abs(dx) / width) * (1 - abs(dy) / height))


def waves(east: float, south: float, side: int = 40, seed: int = 0) -> Vectors:
    """(side, side, 3) smooth random waves, moved by parts of a cell."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side].astype(float)
    out = np.zeros((side, side, 3))
    for channel in range(3):
        for _ in range(24):
            u, v = rng.uniform(-0.3, 0.3, 2)
            out[..., channel] += np.cos(2 * np.pi * (u * (x - east) + v * (y - south)) + rng.uniform(0, 6.28))
    return out.astype(np.float32)


def rows(count: int) -> Shifts:
    return np.arange(count)


def test_likeness_is_that_of_a_double_loop_at_every_shift() -> None:
    maps, pictures = grids(2), grids(3, 1)
    table = Spectra(maps, pictures, REACH).likeness(np.array([0, 1, 1]), np.array([2, 0, 1]))
    assert table.shape == (3, 2 * REACH + 1, 2 * REACH + 1)
    for row, (m, p) in enumerate(((0, 2), (1, 0), (1, 1))):
        for dx in range(-REACH, REACH + 1):
            for dy in range(-REACH, REACH + 1):
                wanted = looped(maps[m], pictures[p], dx, dy)
                assert table[row, REACH + dy, REACH + dx] == pytest.approx(wanted, abs=2e-3)


@given(st.integers(-REACH, REACH), st.integers(-REACH, REACH), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_whole_shift_is_found_exactly(dx: int, dy: int, seed: int) -> None:
    large = grids(1, seed, SIDE + 2 * REACH)[0]
    picture = large[REACH : REACH + SIDE, REACH : REACH + SIDE]
    shown = large[REACH - dy : REACH - dy + SIDE, REACH - dx : REACH - dx + SIDE]
    spectra = Spectra(sharpened(shown[None], 1), sharpened(picture[None], 1), REACH)
    whole, _ = best_shift(spectra.likeness(rows(1), rows(1)))
    assert whole.tolist() == [[dx, dy]]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -2.6), (-0.4, 0.7), (3.5, 3.2), (-3.9, 0.1)])
def test_parts_of_a_cell_are_told_to_a_tenth(shift: tuple[float, float]) -> None:
    maps, pictures = (np.stack([waves(*at, seed=seed) for seed in range(5)]) for at in (shift, (0, 0)))
    spectra = Spectra(sharpened(maps, MAP_FLOOR), sharpened(pictures, PICTURE_FLOOR), 5)
    whole, _ = best_shift(spectra.likeness(rows(5), rows(5)))
    found = spectra.refined(rows(5), rows(5), whole)
    assert np.abs(found - shift).max() <= 0.1 + 1e-6


def test_between_the_cells_the_likeness_goes_through_the_cells() -> None:
    """At whole shifts the refined table must be the whole one: a peak that is one stays where it is."""
    pictures = grids(4)
    spectra = Spectra(pictures, pictures, REACH)
    found = spectra.refined(rows(4), rows(4), np.zeros((4, 2), np.int64))
    np.testing.assert_array_equal(found, np.zeros((4, 2)))


def test_no_reach_leaves_maps_where_they_are() -> None:
    maps, pictures = grids(2), grids(2, 1)
    table = Spectra(maps, pictures, 0).likeness(rows(2), rows(2))
    np.testing.assert_allclose(table[:, 0, 0], np.einsum("nhwc,nhwc->n", maps, pictures), atol=1e-3)
    whole, alike = best_shift(table)
    assert whole.tolist() == [[0, 0], [0, 0]]
    np.testing.assert_array_equal(alike, table[:, 0, 0])


def test_of_equal_shifts_the_expected_one_wins_and_costs_nothing() -> None:
    table = np.zeros((3, 2 * REACH + 1, 2 * REACH + 1), np.float32)
    expected = np.array([(0, 0), (2, -1), (-3, 4)], np.float32)
    whole, alike = best_shift(table, expected)
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(alike, np.zeros(3))
    assert best_shift(table)[0].tolist() == [[0, 0]] * 3


def test_a_shift_must_be_worth_its_way() -> None:
    table = np.zeros((1, 9, 9), np.float32)
    table[0, 4, 8] = 0.003 * 4 - 1e-4
    assert best_shift(table)[0].tolist() == [[0, 0]]
    table[0, 4, 8] = 0.003 * 4 + 1e-4
    whole, alike = best_shift(table)
    assert whole.tolist() == [[4, 0]]
    assert alike[0] == pytest.approx(1e-4, abs=1e-6)


def streets(*columns: int, side: int = 40) -> Vectors:
    """Streets from north to south, (1, side, side, 2)."""
    grid = np.zeros((1, side, side, 2), np.float32)
    grid[..., 0] = 1
    for column in columns:
        grid[:, :, column] = (0, 1)
    return grid


def test_a_street_s_map_does_not_slide_along_it() -> None:
    """Any shift along the street suits alike, if need be one that shows less of it; none is told."""
    told, _ = told_shifts(streets(23), streets(20), rows(1), rows(1), 0.1)
    assert told[0] * 40 == pytest.approx((3, 0), abs=0.5)


@pytest.mark.parametrize(("share", "east"), [(0.497, 0), (0.48, 5)])
def test_a_map_that_hardly_suits_better_elsewhere_shares_the_picture_s_frame(share: float, east: int) -> None:
    """A map that is in one share where the picture is, in the other five cells east of it."""
    large = grids(1, side=90, classes=20)
    picture, beside = large[:, 5:85, 5:85], large[:, 5:85, :80]
    shown = share * picture + (1 - share) * beside
    length = np.linalg.norm(picture)
    told, _ = told_shifts(shown / length, picture / length, rows(1), rows(1), 0.1)
    assert told[0] * 80 == pytest.approx((east, 0), abs=0.1)


@given(st.integers(-6, 6), st.integers(-6, 6))
@settings(deadline=None)
def test_moved_pictures_lie_in_the_map_s_frame(dx: int, dy: int) -> None:
    pictures = grids(2, 3, 8)
    out, seen = moved(pictures, np.array([(dx, dy), (0, 0)]))
    for y in range(8):
        for x in range(8):
            there = 0 <= y - dy < 8 and 0 <= x - dx < 8
            assert seen[0, y, x] == there
            np.testing.assert_array_equal(out[0, y, x], pictures[0, y - dy, x - dx] if there else np.zeros(CLASSES))
    np.testing.assert_array_equal(out[1], pictures[1])
    ours, theirs = frames((8, 8), (dx, dy))
    assert [s.stop - s.start for s in ours] == [s.stop - s.start for s in theirs] == [8 - abs(dy), 8 - abs(dx)]


def test_moving_there_and_back_leaves_the_middle() -> None:
    pictures, shift = grids(1, 4, 12), np.array([(2, -3)])
    back, seen = moved(moved(pictures, shift)[0], -shift)
    np.testing.assert_array_equal(back[:, 3:, :10], pictures[:, 3:, :10])
    assert seen.sum() == 9 * 10


def test_sharpening_quiets_what_says_nothing_and_bounds_the_rest() -> None:
    flat = np.zeros((1, 40, 40, 7), np.float32)
    flat[..., 2] = 1
    streets = flat.copy()
    streets[:, ::5] = np.eye(7)[4]
    lengths = [float(np.linalg.norm(sharpened(t, MAP_FLOOR))) for t in (flat, streets)]
    assert lengths[0] < lengths[1] < 1
    assert np.abs(sharpened(np.zeros_like(flat), MAP_FLOOR)).max() == 0
