"""Which scale is told of a picture: another than the rows' own only where it is clearly likelier."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.scales import Usual, told_scale, usual_of

SCALES = (1.0, 0.9, 0.8)
USUAL = Usual(np.zeros((3, 1), np.float32), 1.0)


@pytest.mark.parametrize(
    ("likeness", "above", "scale"),
    [
        ((6.0, 1.0, 1.0), 6.0, 0),
        ((1.0, 6.0, 2.0), 5.25, 1),
        ((1.0, 2.0, 6.0), 5.25, 2),
        ((6.0, 7.0, 1.0), 6.25, 0),  # higher, and not clearly so
        ((5.0, 7.0, 1.0), 6.25, 1),
        ((1.0, 1.5, 1.5), 1.0, 0),  # not by what another scale must gain
    ],
)
def test_another_scale_must_be_clearly_likelier(likeness: tuple[float, ...], above: float, scale: int) -> None:
    found, told = told_scale(np.array(likeness, np.float32)[:, None], USUAL, SCALES)
    assert (found.tolist(), told.tolist()) == ([above], [scale])


def test_each_scale_has_its_own_usual_and_the_first_tells_the_deviation() -> None:
    rng = np.random.default_rng(0)
    anywhere = rng.normal([[0.0], [0.3], [0.5]], [[0.1], [0.4], [0.2]], (3, 2000)).astype(np.float32)
    usual = usual_of(anywhere)
    np.testing.assert_allclose(usual.median[:, 0], (0, 0.3, 0.5), atol=0.03)
    assert usual.deviation == pytest.approx(0.1, rel=0.05)
    # Of one row nothing deviates.
    assert usual_of(np.full((3, 1), 0.2, np.float32)).deviation == 0.01
    found, told = told_scale(usual.median + np.array([[0.5], [0.0], [0.0]]), usual, SCALES)
    assert found == pytest.approx([5], rel=0.05)
    assert told.tolist() == [0]
