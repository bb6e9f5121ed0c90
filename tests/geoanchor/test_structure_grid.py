"""Class shares of a grid, against a plain loop over its cells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoanchor.structure import CLASSES, VOID, shares


def looped(classes: np.ndarray, cells: int) -> np.ndarray:
    rows, columns = ([round(i * side / cells) for i in range(cells + 1)] for side in classes.shape)
    out = np.zeros((cells, cells, len(CLASSES)))
    for i in range(cells):
        for j in range(cells):
            block = classes[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            known = block[block != VOID]
            for number in range(len(CLASSES)):
                out[i, j, number] = (known == number).sum() / max(1, known.size)
    return out


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 20), st.integers(0, 2**31))
def test_shares_are_those_of_a_plain_loop(cells: int, taller: int, wider: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, len(CLASSES) + 1, (cells + taller, cells + wider)).astype(np.uint8)
    classes[classes == len(CLASSES)] = VOID
    found = shares(classes, cells)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, looped(classes, cells), atol=1e-6)


def test_a_cell_of_nothing_known_is_zero_and_all_others_add_up() -> None:
    classes = np.full((8, 8), 3, np.uint8)
    classes[:4, :4] = VOID
    sums = shares(classes, 2).sum(axis=-1)
    np.testing.assert_array_equal(sums, [[0, 1], [1, 1]])
