"""Where a picture holds no data: the collar of an orthophoto is seen, a white roof and dark water are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from geoanchor.gaps import blank_pixels, gap_cells, gap_pixels, gap_share, rim_share, without_rim
from geoanchor.image import PAPER, Pixels


def scene(height: int = 96, width: int = 128) -> Pixels:
    return np.random.default_rng(0).integers(40, 200, (height, width, 3)).astype(np.uint8)


def compressed(pixels: Pixels, quality: int = 85) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("fill", [0, 255])
def test_a_collar_is_a_gap_to_the_pixel(fill: int) -> None:
    picture, wanted = scene(), np.zeros((96, 128), bool)
    rows, columns = np.indices(wanted.shape)
    wanted[rows + columns < 60] = True
    picture[wanted] = fill
    np.testing.assert_array_equal(gap_pixels(picture), wanted)
    assert gap_share(picture) == pytest.approx(wanted.mean())
    assert np.mean(gap_pixels(compressed(picture)) != wanted) < 0.03


def test_black_on_one_side_and_white_on_the_other_are_both_gaps() -> None:
    picture = scene()
    picture[:, :20], picture[:, -30:] = 0, 255
    assert gap_share(picture) == pytest.approx(50 / 128)


def test_roofs_paint_and_dark_water_are_no_gaps() -> None:
    roof, court, stripe, speck, water = (scene() for _ in range(5))
    roof[30:60, 40:90] = 255  # bright as it is, it lies within, and ends as no cloud does
    court[:60, 40:90] = 224  # grey, and at the edge
    stripe[:, 60:63] = 255  # touches the edge with next to nothing
    speck[:5, :20] = 0  # too small
    water[:, :64] = np.random.default_rng(1).integers(6, 14, (96, 64, 3))
    for picture in (roof, court, stripe, speck, water, scene()):
        assert not gap_pixels(picture).any()
        assert not gap_pixels(compressed(picture)).any()


def clouded(middle: tuple[int, int], reach: float) -> Pixels:
    """A scene of 256 px under a cloud that is dense up to a third of its reach."""
    rows, columns = np.indices((256, 256))
    way = np.hypot(rows - middle[0], columns - middle[1]) / reach
    dense = np.clip(1.5 * (1 - way), 0, 1)[..., None]
    return np.asarray(scene(256, 256) * (1 - dense) + 228 * dense, np.uint8)


@pytest.mark.parametrize("middle", [(128, 128), (0, 256)])
def test_the_inside_of_a_cloud_is_a_gap_and_what_shows_through_is_none(middle: tuple[int, int]) -> None:
    for picture in (clouded(middle, 240.0), compressed(clouded(middle, 240.0))):
        rows, columns = np.nonzero(gap_pixels(picture))
        ways = np.hypot(rows - middle[0], columns - middle[1])
        assert 70 < ways.max() < 110
    assert gap_share(clouded(middle, 2000.0)) == 1.0
    assert not gap_pixels(clouded(middle, 40.0)).any()


def test_a_picture_without_pixels_has_no_gap() -> None:
    assert gap_share(np.zeros((0, 0, 3), np.uint8)) == 0


def test_a_picture_smaller_than_the_grid_has_cells_too() -> None:
    picture = scene(8, 10)
    picture[:, :5] = 255
    np.testing.assert_array_equal(gap_cells(picture, 40), np.repeat([[True] * 20 + [False] * 20], 40, axis=0))


@given(st.integers(20, 90), st.integers(20, 90), st.integers(1, 20), st.integers(0, 90))
def test_a_cell_is_a_gap_where_any_of_it_is(height: int, width: int, cells: int, edge: int) -> None:
    picture = scene(height, width)
    picture[:, :edge] = 0
    gaps = gap_cells(picture, cells)
    known = gap_pixels(picture)
    bounds = [[side * cell // cells for cell in range(cells + 1)] for side in (height, width)]
    for row in range(cells):
        for column in range(cells):
            part = known[bounds[0][row] : bounds[0][row + 1], bounds[1][column] : bounds[1][column + 1]]
            assert gaps[row, column] == part.any()


@given(st.lists(st.integers(2, 30), min_size=4, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_in_the_rim_of_a_map_its_mirror_image_goes_on(widths: list[int], there: list[bool]) -> None:
    top, bottom, left, right = (width if rim else 0 for width, rim in zip(widths, there, strict=True))
    drawn = scene()
    map_ = drawn.copy()
    map_[:top], map_[96 - bottom :], map_[:, :left], map_[:, 128 - right :] = 255, 255, 255, 255
    told = without_rim(map_)
    shown = slice(top, 96 - bottom), slice(left, 128 - right)
    np.testing.assert_array_equal(told[shown], drawn[shown])
    np.testing.assert_array_equal(told[:top], told[top : 2 * top][::-1])
    np.testing.assert_array_equal(told[96 - bottom :], told[96 - 2 * bottom : 96 - bottom][::-1])
    np.testing.assert_array_equal(told[:, :left], told[:, left : 2 * left][:, ::-1])
    np.testing.assert_array_equal(told[:, 128 - right :], told[:, 128 - 2 * right : 128 - right][:, ::-1])
    assert (told is map_) == (not any((top, bottom, left, right)))


@pytest.mark.parametrize("fill", [0, 255])
def test_a_rim_is_seen_through_compression(fill: int) -> None:
    drawn = scene(6, 8).repeat(32, axis=0).repeat(32, axis=1)
    drawn[:30], drawn[:, -30:] = fill, fill
    told = without_rim(compressed(drawn))
    # Colours run a block or two into the rim.
    assert (np.abs(told.astype(int) - fill).max(axis=2) <= 4).mean() < 0.01
    np.testing.assert_array_equal(told[48:-16, 16:-48], compressed(drawn)[48:-16, 16:-48])


def test_streets_and_maps_of_one_colour_have_no_rim() -> None:
    street, line, plain = scene(), scene(), np.full((96, 128, 3), 255, np.uint8)
    street[:10, 10:] = 255  # not quite to the corner
    line[:, 0] = 255  # narrower than a hundredth of the side
    pale = np.full((12, 12, 3), 250, np.uint8)
    pale[0] = 255  # what is left of so small a picture is no rim
    for map_ in (street, line, plain, np.zeros_like(plain), pale):
        assert without_rim(map_) is map_


def ending(turned: bool, height: int = 96, width: int = 128) -> tuple[Pixels, NDArray[np.bool_]]:
    """A map that ends along a line, with some open land of the colour that is filled in, and what lies beyond."""
    rows, columns = np.indices((height, width))
    beyond = rows + columns > 130 if turned else columns >= 90
    map_ = scene(height, width)
    map_[20:30, 10:30] = PAPER
    map_[beyond] = PAPER
    return map_, beyond


@pytest.mark.parametrize("turned", [False, True])
def test_what_a_map_lacks_is_seen_by_its_filling(turned: bool) -> None:
    map_, beyond = ending(turned)
    np.testing.assert_array_equal(blank_pixels(map_, float(beyond.mean())), beyond)
    assert not blank_pixels(scene(), 0.3).any()


def test_open_land_beside_what_a_map_lacks_is_not_taken_for_it() -> None:
    map_, beyond = ending(turned=False)
    map_[40:90, 20:90] = PAPER
    np.testing.assert_array_equal(blank_pixels(map_, float(beyond.mean())), beyond)
    assert not blank_pixels(map_, 0.05).any()


@pytest.mark.parametrize("fill", [0, 255])
def test_a_blank_rim_is_what_a_map_lacks(fill: int) -> None:
    map_ = scene()
    map_[:, 32:] = fill
    assert rim_share(map_) == 0.75
    np.testing.assert_array_equal(blank_pixels(map_, 0.75), np.indices((96, 128))[1] >= 32)
    street = scene()
    street[:4] = 255
    assert rim_share(street) == rim_share(scene()) == rim_share(np.zeros((0, 0, 3), np.uint8)) == 0
