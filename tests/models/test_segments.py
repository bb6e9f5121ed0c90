"""Which parts of a picture are kept, how they are cut out, and what each counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from geoanchor.errors import UnsupportedModality, UsageError
from geoanchor.segment import OUTLINE_UNITS, Mask
from geoanchor.settings import Settings
from models.segments import (
    LARGEST,
    MOST,
    OVERLAP,
    SMALLEST,
    PartEncoder,
    fused,
    index_weights,
    masked_crop,
    open_segments,
    outline_of,
    overlap,
    select,
)
from models.toy import ToyEncoder

SIDE = 40


def box_mask(left: int, top: int, right: int, bottom: int, stability: float = 1.0, side: int = SIDE) -> Mask:
    pixels = np.zeros((side, side), bool)
    pixels[top:bottom, left:right] = True
    return Mask(pixels, stability)


class Fixed:
    """A segmenter that always finds the same."""

    def __init__(self, *masks: Mask) -> None:
        self.masks = masks

    def segment(self, pixels: NDArray[np.uint8]) -> tuple[Mask, ...]:
        return self.masks


@st.composite
def some_masks(draw: st.DrawFn) -> list[Mask]:
    corners = st.tuples(*[st.integers(0, SIDE)] * 4, st.floats(0, 1))
    return [
        box_mask(min(a, c), min(b, d), max(a, c), max(b, d), s)
        for a, b, c, d, s in draw(st.lists(corners, max_size=14))
    ]


@settings(max_examples=60, deadline=None)
@given(some_masks())
def test_what_is_kept(masks: list[Mask]) -> None:
    kept = select(masks)
    assert len(kept) <= MOST
    assert all(SMALLEST <= mask.area <= LARGEST for mask in kept)
    assert [mask.score for mask in kept] == sorted((mask.score for mask in kept), reverse=True)
    assert all(overlap(a, b) <= OVERLAP for i, a in enumerate(kept) for b in kept[:i])
    # What is left out is too small or large, nearly the same as something better, or too many.
    for mask in masks:
        if mask not in kept and len(kept) < MOST and SMALLEST <= mask.area <= LARGEST:
            assert any(overlap(mask, better) > OVERLAP and better.score >= mask.score for better in kept)


def test_of_two_nearly_equal_the_surer_one_stays() -> None:
    sure, unsure, other = box_mask(0, 0, 20, 20, 0.9), box_mask(0, 0, 20, 21, 0.5), box_mask(25, 25, 35, 35, 0.1)
    assert select([unsure, other, sure]) == [sure, other]


def test_overlap_by_hand() -> None:
    assert overlap(box_mask(0, 0, 10, 10), box_mask(5, 0, 15, 10)) == 50 / 150
    empty = box_mask(0, 0, 0, 0)
    assert overlap(empty, empty) == 0.0


def test_a_crop_is_the_box_a_tenth_wider_and_filled_outside_the_mask() -> None:
    pixels = np.full((80, 80, 3), 200, np.uint8)
    crop = masked_crop(pixels, box_mask(10, 10, 20, 30), (1, 2, 3))
    # The box is 20 to 40 and 20 to 60 in pixels; a tenth of its sides is 2 and 4.
    assert crop.shape == (48, 24, 3)
    assert (crop[4:44, 2:22] == 200).all()
    assert (crop[:4] == (1, 2, 3)).all()
    assert (crop[:, :2] == (1, 2, 3)).all()


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (12, 17)).filter(np.any), st.integers(1, 50), st.integers(1, 50))
def test_any_mask_can_be_cut_out_and_outlined(pixels: NDArray[np.bool_], height: int, width: int) -> None:
    mask = Mask(pixels, 1.0)
    crop = masked_crop(np.zeros((height, width, 3), np.uint8), mask, (9, 9, 9))
    assert min(crop.shape[:2]) >= 1
    outline = outline_of(pixels)
    assert outline.shape[1] == 2
    assert len(outline) >= 3


def test_an_outline_runs_around_the_mask() -> None:
    ring = outline_of(box_mask(10, 20, 30, 40).pixels) / OUTLINE_UNITS * SIDE
    assert ring.min(axis=0) == pytest.approx([10, 20], abs=0.6)
    assert ring.max(axis=0) == pytest.approx([30, 40], abs=0.6)


unit = arrays(np.float32, (5, 6), elements=st.floats(-1, 1, width=32)).map(
    lambda a: (a + 1e-3) / np.linalg.norm(a + 1e-3, axis=1, keepdims=True)
)


@settings(max_examples=80, deadline=None)
@given(unit, arrays(np.float32, 4, elements=st.floats(np.float32(0.005), 1, width=32)))
def test_weights_sum_to_one_and_are_never_negative_or_nan(
    vectors: NDArray[np.float32], areas: NDArray[np.float32]
) -> None:
    picture, parts = vectors[0], vectors[1:]
    weights = index_weights(parts, areas, picture)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    for share in (0.0, 0.3, 1.0):
        assert np.linalg.norm(fused(picture, parts, weights, share)) == pytest.approx(1, abs=1e-4)


def test_weights_and_fused_vector_by_hand() -> None:
    picture = np.array([1, 0], np.float32)
    parts = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    weights = index_weights(parts, np.array([0.04, 0.16, 0.25], np.float32), picture)
    assert weights == pytest.approx(np.array([0.2, 0.24, 0]) / 0.44, abs=1e-5)
    mixed = 0.7 * picture + 0.3 * (weights @ parts)
    assert fused(picture, parts, weights, 0.3) == pytest.approx(mixed / np.linalg.norm(mixed), abs=1e-6)
    assert fused(picture, parts, weights, 0.0) == pytest.approx(picture)


def test_opposites_that_cancel_out_leave_the_picture() -> None:
    picture = np.array([1, 0], np.float32)
    assert (fused(picture, -picture[None], np.ones(1, np.float32), 0.5) == picture).all()


def test_a_picture_without_parts_is_its_own_only_segment() -> None:
    encoder = ToyEncoder()
    parts = PartEncoder("regions", Fixed(box_mask(0, 0, SIDE, SIDE)), encoder)
    pixels = np.full((50, 50, 3), (200, 10, 10), np.uint8)
    picture = encoder.encode([pixels], "aerial")["semantic"]
    cuts = parts.cut(pixels)
    assert cuts == ()
    [[segment]] = parts.encode([cuts], picture)
    assert segment.weight == 1.0
    assert (segment.vector == picture[0]).all()
    assert parts.fused(picture[0], [segment]) == pytest.approx(picture[0], abs=1e-6)


def test_segments_of_a_batch_are_those_of_each_picture_alone() -> None:
    """What stands in for a missing part never takes part: pictures of two, none and one part go together."""
    encoder = ToyEncoder()
    red, blue = box_mask(0, 0, 20, SIDE), box_mask(20, 0, SIDE, SIDE)
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (250, 0, 0), (0, 0, 250)
    parts = PartEncoder("polygons", None, encoder)
    cuts = [parts.cut(pixels, masks) for masks in ([red, blue], [], [blue])]
    pictures = encoder.encode([pixels] * 3, "aerial")["semantic"]
    together = parts.encode(cuts, pictures)
    assert [len(own) for own in together] == [2, 1, 1]
    for own, cut, picture in zip(together, cuts, pictures, strict=True):
        [alone] = parts.encode([cut], picture[None])
        assert [part.weight for part in own] == [part.weight for part in alone]
        assert all((a.vector == b.vector).all() for a, b in zip(own, alone, strict=True))
        assert sum(part.weight for part in own) == pytest.approx(1, abs=1e-6)
    query = encoder.encode(["red", "blue"], "text")["semantic"]
    likeness = np.stack([part.vector for part in together[0]]) @ query.T
    assert likeness.argmax(axis=0).tolist() == [0, 1]


def test_polygons_finds_nothing_by_itself() -> None:
    parts = open_segments("polygons", ToyEncoder(), Settings())
    assert parts.cut(np.zeros((30, 30, 3), np.uint8)) == ()


def test_refusals() -> None:
    with pytest.raises(UsageError, match="segments cannot be made by 'magic'"):
        open_segments("magic", ToyEncoder(), Settings())
    with pytest.raises(UsageError, match=r"must be 0..1, not 1.5"):
        PartEncoder("regions", None, ToyEncoder(), fuse=1.5)

    class Mute(ToyEncoder):
        @property
        def spaces(self):  # type: ignore[no-untyped-def]
            return {"semantic": self._space.model_copy(update={"modalities": ("aerial",)})}

    with pytest.raises(UnsupportedModality, match="no segments"):
        PartEncoder("regions", None, Mute())
