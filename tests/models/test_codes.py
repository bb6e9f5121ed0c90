"""Codes of structure: nearest entries against brute force, and back."""

import numpy as np
import pytest

from geoanchor.image import Layer
from models.codes import CELLS, CODES, FLOOR, Codebooks, log_odds

PRIOR = np.array([0.3, 0.3, 0.1, 0.1, 0.1, 0.05, 0.05], np.float32)
LAYERS: tuple[Layer, ...] = ("map", "aerial")


def random_books(seed: int = 0) -> Codebooks:
    rng = np.random.default_rng(seed)
    beliefs = rng.dirichlet(np.full(7, 0.4), CODES).astype(np.float32)
    return Codebooks(
        {
            "prior": PRIOR,
            "map": rng.dirichlet(np.full(7, 0.2), CODES).astype(np.float32),
            "aerial": log_odds(np.log(beliefs + 1e-9), PRIOR),
        }
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_the_code_of_a_cell_is_its_nearest_entry(layer: Layer) -> None:
    books, rng = random_books(), np.random.default_rng(1)
    grids = rng.dirichlet(np.full(7, 0.3), (12, CELLS, CELLS)).astype(np.float32)  # more cells than are done at once
    codes = books.encode(grids, layer)
    assert codes.shape == (12, CELLS**2)
    assert codes.dtype == np.uint8
    entries = books.arrays()[layer]
    # A picture's classes count as often as maps ask for them.
    weight = PRIOR if layer == "aerial" else np.ones(7)
    for row, cell in ((0, 0), (5, 77), (11, 1599), (10, 400)):
        distances = (entries - grids[row].reshape(-1, 7)[cell]) ** 2 @ weight
        assert distances[codes[row, cell]] <= distances.min() + 1e-5


@pytest.mark.parametrize("layer", LAYERS)
def test_codes_survive_decoding_and_encoding(layer: Layer) -> None:
    books = random_books()
    codes = np.random.default_rng(2).integers(0, CODES, (3, CELLS**2)).astype(np.uint8)
    grids = books.decode(codes, layer)
    assert grids.shape == (3, CELLS, CELLS, 7)
    np.testing.assert_array_equal(grids[1, 2, 5], books.arrays()[layer][codes[1, 2 * CELLS + 5]])
    np.testing.assert_array_equal(books.decode(books.encode(grids, layer), layer), grids)


def test_no_pictures_have_no_codes() -> None:
    books = random_books()
    codes = books.encode(np.zeros((0, CELLS, CELLS, 7), np.float32), "map")
    assert books.decode(codes.reshape(0, CELLS**2), "map").shape == (0, CELLS, CELLS, 7)


def test_beliefs_undo_log_odds() -> None:
    beliefs = np.random.default_rng(3).dirichlet(np.full(7, 2.0), (2, 5, 5)).astype(np.float32)
    odds = log_odds(np.log(beliefs), PRIOR)
    np.testing.assert_allclose(random_books().beliefs(odds), beliefs, atol=1e-4)


def test_what_is_impossible_is_as_good_as_improbable() -> None:
    odds = log_odds(np.full((1, 7), -40.0, np.float32), PRIOR)
    np.testing.assert_array_equal(odds, np.full((1, 7), FLOOR))
