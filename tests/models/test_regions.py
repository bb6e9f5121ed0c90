"""Regions of like colour: the same every time, one piece each, and where a picture's parts are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from models.regions import MOST_REGIONS, RegionSegmenter, merge, neighbours
from models.segments import select


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """A green field with a red square and a blue disc, and some noise."""
    random = np.random.default_rng(seed)
    pixels = np.full((200, 160, 3), (60, 140, 60), np.int64)
    pixels[20:80, 20:80] = (200, 60, 50)
    y, x = np.mgrid[:200, :160]
    pixels[(y - 140) ** 2 + (x - 110) ** 2 < 35**2] = (40, 70, 190)
    return np.clip(pixels + random.integers(-12, 12, pixels.shape), 0, 255).astype(np.uint8)


def test_parts_cover_the_picture_once_and_are_of_one_piece() -> None:
    masks = RegionSegmenter().segment(picture())
    assert 3 <= len(masks) <= MOST_REGIONS
    assert (np.sum([mask.pixels for mask in masks], axis=0) == 1).all()
    assert all(label(mask.pixels, np.ones((3, 3)))[1] == 1 for mask in masks)
    assert all(0 <= mask.stability <= 1 for mask in masks)


def test_square_and_disc_are_found() -> None:
    wanted = {"square": (20 / 160, 20 / 200, 80 / 160, 80 / 200), "disc": (75 / 160, 105 / 200, 145 / 160, 175 / 200)}
    boxes = [mask.box for mask in select(RegionSegmenter().segment(picture()))]
    for name, box in wanted.items():
        assert min(np.abs(np.subtract(found, box)).max() for found in boxes) < 0.03, name


def test_the_same_bits_every_time() -> None:
    first, second = (RegionSegmenter().segment(picture(3)) for _ in range(2))
    assert [mask.stability for mask in first] == [mask.stability for mask in second]
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (96, 96)])
def test_blank_and_odd_pictures_have_one_part_that_is_everything(shape: tuple[int, int]) -> None:
    masks = RegionSegmenter().segment(np.full((*shape, 3), 90, np.uint8))
    assert [mask.area for mask in masks] == [1.0]
    assert select(masks) == []


def test_textures_stay_whole() -> None:
    noise = np.random.default_rng(1).integers(60, 110, (256, 256, 3)).astype(np.uint8)
    assert len(RegionSegmenter().segment(noise)) == 1


def test_merging_by_hand() -> None:
    labels = np.array([[0, 1, 2, 3]])
    colours = np.array([[[0.0], [1.0], [10.0], [30.0]]])
    assert merge(labels, colours, most=3, alike=0.5).tolist() == [[0, 0, 1, 2]]
    assert merge(labels, colours, most=2, alike=0.5).tolist() == [[0, 0, 0, 1]]
    assert merge(labels, colours, most=4, alike=5.0).tolist() == [[0, 0, 1, 2]]
    assert merge(labels, colours, most=4, alike=1000.0).tolist() == [[0, 0, 0, 0]]
    assert neighbours(labels, 4).tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]


def test_only_neighbours_are_joined() -> None:
    labels = np.array([[0, 1, 2]])
    colours = np.array([[[5.0], [50.0], [5.0]]])
    assert merge(labels, colours, most=3, alike=10.0).tolist() == [[0, 1, 2]]
