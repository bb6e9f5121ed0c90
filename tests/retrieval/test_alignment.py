"""A picture is laid on rows at the scale and the place that suit it best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from geoanchor.image import Layer, Pixels
from geoanchor.protocols import Vectors
from retrieval.alignment import align, told

SIDE = 100
PICTURE = np.zeros((SIDE, SIDE, 3), np.uint8)
ROWS = [PICTURE, PICTURE]


class Told:
    """A registrar that knows how well two rows suit a picture of each frame's side; each offset names that side."""

    def __init__(self, layer: Layer, likeness: dict[int, tuple[float, float]]) -> None:
        self._layer, self._likeness = layer, likeness
        self.shown: list[float] = []

    def likeness(
        self, maps: Sequence[Pixels], aerials: Sequence[Pixels], shown: tuple[np.ndarray, np.ndarray]
    ) -> tuple[Vectors, Vectors]:
        frames, rows = (maps, aerials) if self._layer == "map" else (aerials, maps)
        ours, theirs = shown if self._layer == "map" else shown[::-1]
        assert len(rows) == len(ROWS)
        assert (theirs == 1).all()
        self.shown = ours.tolist()
        sides = [len(frame) for frame in frames]
        found = np.array([self._likeness.get(side, (0.05, 0.05)) for side in sides], np.float32)
        offsets = np.array([[(side / 1000, np.nan if row else 0) for row in (0, 1)] for side in sides], np.float32)
        return (found, offsets) if self._layer == "map" else (found.T, offsets.swapaxes(0, 1))


@pytest.mark.parametrize("layer", ["map", "aerial"])
def test_each_row_has_the_scale_that_suits_it_best(layer: Layer) -> None:
    """A picture of four fifths of a row's side lies in a frame of 124 pixels, one of five fourths is cut to 80."""
    registrar = Told(layer, {SIDE: (0.2, 0.2), SIDE + 24: (0.4, 0.1), 80: (0.1, 0.3)})
    smaller, larger = align(PICTURE, layer, ROWS, registrar)
    assert (smaller.scale, larger.scale) == (0.8, 1.25)
    assert smaller.offset == pytest.approx((0.124, 0))
    assert larger.offset[0] == pytest.approx(0.08)
    assert max(registrar.shown) == 1
    assert min(registrar.shown) == 0.75


@pytest.mark.parametrize(("gain", "scale"), [(0.005, 1.0), (0.015, 1.25)])
def test_the_rows_own_scale_is_told_where_another_hardly_suits_better(gain: float, scale: float) -> None:
    found = align(PICTURE, "map", ROWS, Told("map", {SIDE: (0.2, 0.2), 80: (0.2 + gain, 0.1)}))
    assert [lies.scale for lies in found] == [scale, 1.0]


def test_what_is_left_of_a_smaller_picture_counts_less() -> None:
    """The likeness of a part stands for the whole, by chance the sooner the smaller it is."""
    for likeness, scale in ((0.23, 1.0), (0.24, 0.8)):
        found = align(PICTURE, "map", ROWS, Told("map", {SIDE: (0.2, 0.2), SIDE + 24: (likeness, 0.1)}))
        assert found[0].scale == scale


def test_no_rows_no_question() -> None:
    assert align(PICTURE, "map", [], Told("map", {})) == []


def test_a_shift_that_rounds_to_nothing_has_no_sign() -> None:
    assert str(told([-0.00001, 0.25])) == "{'offset': [0.0, 0.25]}"


def test_nothing_is_said_of_what_nothing_tells() -> None:
    assert told([float("nan"), 0.25]) == {}
    assert told([float("nan"), 0.25], 0.8) == {"scale": 0.8}
    assert told([0.1, 0.25], 1 / 0.9) == {"offset": [0.1, 0.25], "scale": 1.11}
