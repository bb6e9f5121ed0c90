"""Coarse vectors against means and shifts computed cell by cell."""

import numpy as np
import pytest

from models.coarse import COARSE_CELLS, Projections, coarse_cells
from models.codes import CELLS

STEP = CELLS // COARSE_CELLS
RNG = np.random.default_rng(0)
GRID = RNG.normal(size=(1, CELLS, CELLS, 7)).astype(np.float32)
MATRIX = RNG.normal(size=(COARSE_CELLS**2 * 7, 5)).astype(np.float32)
PROJECTIONS = Projections({"map": MATRIX, "aerial": -MATRIX})


def laid_off(dx: int, dy: int) -> np.ndarray:
    """The grid moved right and down by whole coarse cells; nothing comes in."""
    out = np.zeros_like(GRID)
    for row in range(CELLS):
        for column in range(CELLS):
            if 0 <= row - dy * STEP < CELLS and 0 <= column - dx * STEP < CELLS:
                out[0, row, column] = GRID[0, row - dy * STEP, column - dx * STEP]
    return out


def test_a_coarse_cell_is_the_mean_of_its_cells() -> None:
    cells = coarse_cells(GRID).reshape(COARSE_CELLS, COARSE_CELLS, 7)
    for row, column in ((0, 0), (3, 17), (19, 19)):
        block = GRID[0, row * STEP : (row + 1) * STEP, column * STEP : (column + 1) * STEP]
        np.testing.assert_allclose(cells[row, column], block.mean(axis=(0, 1)), rtol=1e-5)


def test_probes_are_the_vectors_of_the_grid_laid_off() -> None:
    probes = PROJECTIONS.probes(GRID, "map", 0.1)
    assert probes.shape == (25, 5)
    shifts = [(dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)]
    wanted = [PROJECTIONS.vectors(laid_off(dx, dy), "map")[0] for dx, dy in shifts]
    distances = np.abs(probes[:, None] - np.array(wanted)[None]).max(axis=2)
    assert sorted(distances.argmin(axis=1).tolist()) == list(range(25))
    assert distances.min(axis=1).max() < 1e-4 * np.abs(probes).max()


@pytest.mark.parametrize("layer", ["map", "aerial"])
def test_without_an_offset_the_one_probe_is_the_vector(layer: str) -> None:
    np.testing.assert_allclose(PROJECTIONS.probes(GRID, layer, 0.0), PROJECTIONS.vectors(GRID, layer), rtol=1e-5)
