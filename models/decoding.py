"""The structure decoder at work: pictures to beliefs on the grid of codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.codes import CELLS
from models.precision import matrix_units
from models.slices import in_slices
from models.structure import StructureNet, normalise

_AT_ONCE = 32


class Decoder:
    """A trained network for inference.

    Args:
        network: in evaluation mode. size_px: side of the pictures it is shown; a multiple of 32 and of CELLS.
    """

    def __init__(self, network: StructureNet, size_px: int) -> None:
        self.size_px = size_px
        self._network = network.eval().to(memory_format=torch.channels_last)

    def log_beliefs(self, pictures: Sequence[Pixels], cells: int = CELLS) -> Vectors:
        """Pictures of any size -> (n, cells, cells, 7) float32, mean log-belief in each class over a cell's pixels."""
        starts = range(0, len(pictures), _AT_ONCE)
        blocks = [self._block(pictures[start : start + _AT_ONCE], cells) for start in starts]
        return np.concatenate(blocks) if blocks else np.zeros((0, cells, cells, 7), np.float32)

    def _block(self, pictures: Sequence[Pixels], cells: int) -> Vectors:
        stacked = torch.from_numpy(np.stack([resized(picture, self.size_px) for picture in pictures]))
        return cast(Vectors, in_slices(partial(self._beliefs, cells), stacked).numpy())

    def _beliefs(self, cells: int, pixels: Tensor) -> Tensor:
        with matrix_units():
            logits = self._network(normalise(pixels.permute(0, 3, 1, 2).float() / 255))
        beliefs = logits.float().log_softmax(dim=1)
        return torch.nn.functional.adaptive_avg_pool2d(beliefs, cells).permute(0, 2, 3, 1)


def resized(pixels: Pixels, side: int) -> Pixels:
    """(h, w, 3) -> (side, side, 3) by Pillow, antialiased; the same array where nothing changes."""
    if pixels.shape == (side, side, 3):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
