"""The structure decoder at work: pictures to beliefs on the grid of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES
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
        if not pictures:
            return np.zeros((0, cells, cells, len(CLASSES)), np.float32)
        return self._seen(pictures, partial(self._beliefs, cells))

    def described(self, pictures: Sequence[Pixels], cells: int) -> tuple[Vectors, Vectors]:
        """One or more pictures -> log-beliefs (n, cells, cells, 7) and the features behind them, (n, cells, cells, f)
        float32."""
        both = self._seen(pictures, partial(self._described, cells))
        return both[..., : len(CLASSES)], both[..., len(CLASSES) :]

    def _seen(self, pictures: Sequence[Pixels], made: Callable[[Tensor], Tensor]) -> Vectors:
        """What is made of normalised pixels (n, 3, h, w), a block at a time, with the channels last."""
        blocks = [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)]
        stacked = (torch.from_numpy(np.stack([resized(one, self.size_px) for one in block])) for block in blocks)
        parts = [in_slices(lambda pixels: made(_normalised(pixels)).permute(0, 2, 3, 1), part) for part in stacked]
        return cast(Vectors, torch.cat(parts).numpy())

    def _beliefs(self, cells: int, pixels: Tensor) -> Tensor:
        with matrix_units():
            logits = self._network(pixels)
        return adaptive_avg_pool2d(logits.float().log_softmax(dim=1), cells)

    def _described(self, cells: int, pixels: Tensor) -> Tensor:
        with matrix_units():
            features = self._network.features(pixels)
            logits = self._network.head(features)
        both = torch.cat([logits.float().log_softmax(dim=1), features.float()], dim=1)
        return adaptive_avg_pool2d(both, cells)


def _normalised(pixels: Tensor) -> Tensor:
    return normalise(pixels.permute(0, 3, 1, 2).float() / 255)


def resized(pixels: Pixels, side: int) -> Pixels:
    """(h, w, 3) -> (side, side, 3) by Pillow, antialiased; the same array where nothing changes."""
    if pixels.shape == (side, side, 3):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
