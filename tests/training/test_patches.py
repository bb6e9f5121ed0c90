"""Patches, windows and swaps of pictures whose pixels are known."""

from __future__ import annotations

import numpy as np
import pytest

from geoanchor.errors import UsageError
from training.patches import Box, moved_windows, paste, patch, quartet, recompressed
from training.swaps import derangement


def plain(value: int, shape: tuple[int, ...] = (40, 60, 3)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 1.0])
def test_a_patch_has_its_share_of_the_area_and_lies_within(share: float) -> None:
    rng = np.random.default_rng(0)
    boxes = [patch(rng, share, (200, 320)) for _ in range(50)]
    for box in boxes:
        assert 0 <= box.top < box.bottom <= 200
        assert 0 <= box.left < box.right <= 320
        assert box.mask((200, 320)).mean() == pytest.approx(share, rel=0.02)
    assert share == 1.0 or len(set(boxes)) > 40
    with pytest.raises(UsageError, match="more than 0"):
        patch(rng, 0.0, (10, 10))


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
def test_paste_changes_the_box_and_nothing_else(shape: tuple[int, ...]) -> None:
    box = Box(5, 10, 15, 30)
    mine = plain(0, shape)
    pasted = paste(mine, plain(6, shape), box)
    inside = (pasted if pasted.ndim == 2 else pasted[..., 0]) == 6
    assert np.array_equal(inside, box.mask((40, 60)))
    assert not mine.any()


def test_a_feather_fades_from_the_edge_in() -> None:
    pasted = paste(plain(0), plain(90), Box(10, 10, 20, 20), feather_px=2)[..., 0]
    assert pasted[15, 9:14].tolist() == [0, 30, 60, 90, 90]
    with pytest.raises(UsageError, match="feather"):
        paste(plain(0, (9, 9)), plain(1, (9, 9)), Box(0, 0, 2, 2), feather_px=1)
    with pytest.raises(UsageError, match="cannot paste"):
        paste(plain(0), plain(1, (9, 9, 3)), Box(0, 0, 2, 2))


def test_match_and_mismatch_differ_in_the_agreement_of_the_patch_alone() -> None:
    places = [(plain(n), plain(100 + n)) for n in (1, 2, 3)]
    box = Box(0, 0, 10, 10)
    (aerial, agreeing), (same_aerial, foreign) = quartet(*places, box)
    assert np.array_equal(aerial, same_aerial)
    assert [picture[0, 0, 0] for picture in (aerial, agreeing, foreign)] == [2, 102, 103]
    assert [picture[30, 30, 0] for picture in (aerial, agreeing, foreign)] == [1, 101, 101]


def test_moved_windows_lie_half_a_window_apart() -> None:
    seen = set()
    for seed in range(20):
        here, there = moved_windows(np.random.default_rng(seed), (300, 320))
        assert (here.bottom - here.top, here.right - here.left) == (200, 213)
        assert (there.bottom - there.top, there.right - there.left) == (200, 213)
        assert min(*here, *there) >= 0
        assert max(here.bottom, there.bottom) <= 300
        assert max(here.right, there.right) <= 320
        seen.add((there.top - here.top, there.left - here.left))
    assert seen == {(100, 0), (-100, 0), (0, 106), (0, -106)}


def test_recompression_is_that_of_the_format() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    coarse, fine = recompressed(noise, 20), recompressed(noise, 95)
    errors = [np.abs(picture.astype(int) - noise).mean() for picture in (coarse, fine)]
    assert coarse.shape == noise.shape
    assert errors[0] > errors[1] > 0


def test_derangements_move_everything_and_are_all_equally_likely() -> None:
    rng = np.random.default_rng(0)
    orders = [tuple(derangement(rng, 4).tolist()) for _ in range(1800)]
    assert all(order[n] != n for order in orders for n in range(4))
    counts = [orders.count(order) for order in set(orders)]
    # Four things have nine derangements; 200 each are expected, with a standard deviation of 13.
    assert len(counts) == 9
    assert min(counts) > 150
    assert max(counts) < 250
    with pytest.raises(UsageError, match="two are needed"):
        derangement(rng, 1)
