"""The structure decoder: shapes, folding, and that a picture's beliefs are its own."""

import numpy as np
import pytest
import torch

from geoanchor.structure import CLASSES
from models.codes import CELLS
from models.decoding import Decoder, resized
from models.structure import STRIDE, StructureNet, fold_norms, normalise

WIDTHS, PYRAMID = (8, 8, 12, 12, 16), 8


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> StructureNet:
    """Random, with running statistics that are not those of the start."""
    torch.manual_seed(0)
    made = StructureNet(WIDTHS, PYRAMID).train()
    for _ in range(3):
        made(torch.randn(2, 3, 64, 64) * 2 + 1)
    return made.eval()


def pictures(count: int, *shape: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 160), (320, 320)])
def test_a_cell_is_four_pixels(network: StructureNet, height: int, width: int) -> None:
    with torch.no_grad():
        assert network(torch.zeros(2, 3, height, width)).shape == (2, len(CLASSES), height // STRIDE, width // STRIDE)


def test_folded_norms_change_nothing(network: StructureNet) -> None:
    x = torch.randn(2, 3, 96, 64)
    folded = fold_norms(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())  # a copy was folded
    with torch.no_grad():
        torch.testing.assert_close(folded(x), network(x), atol=1e-4, rtol=1e-4)


def test_pixels_are_centred() -> None:
    x = normalise(torch.tensor([0.0, 0.5, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2))
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([-2.0, 0.0, 2.0]))


def test_beliefs_of_a_cell_are_a_distribution_of_mean_logarithms(network: StructureNet) -> None:
    decoder = Decoder(network, 160)
    found = decoder.log_beliefs(pictures(2, 160, 160))
    assert found.shape == (2, CELLS, CELLS, 7)
    assert found.dtype == np.float32
    # 160 px at stride 4 are one output pixel a cell: no mean is taken, so the beliefs add up to 1.
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, atol=1e-4)


def test_pictures_of_any_size_are_resized_as_a_caller_would(network: StructureNet) -> None:
    decoder, (picture,) = Decoder(network, 160), pictures(1, 75, 210)
    np.testing.assert_array_equal(decoder.log_beliefs([picture]), decoder.log_beliefs([resized(picture, 160)]))
    square = resized(picture, 160)
    assert square.shape == (160, 160, 3)
    assert resized(square, 160) is square


def test_a_batch_gives_what_each_picture_gives_alone(network: StructureNet) -> None:
    decoder, several = Decoder(network, 160), pictures(35, 160, 160)  # more than go at once
    together = decoder.log_beliefs(several)
    for row in (0, 31, 32, 34):
        np.testing.assert_allclose(together[row], decoder.log_beliefs([several[row]])[0], atol=2e-2)


def test_no_pictures_no_beliefs(network: StructureNet) -> None:
    assert Decoder(network, 160).log_beliefs([]).shape == (0, CELLS, CELLS, 7)
