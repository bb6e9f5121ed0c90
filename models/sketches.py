"""Sketches: what is drawn of a map and of a picture so that their shift shows, beside the classes of structure.

The decoder's features hold more than its beliefs in seven classes say. Two small networks, one on those features and
one on the map's shares, draw channels that are compared like the evidence of the classes and added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES
from models.registration import TAKEN, blur

_QUIET = 5.0
_SHARPNESS = 4.0


class Sketches(nn.Module):
    """Draws both sides.

    Attributes:
        sharpness: logarithm of what makes likeness of plain and drawn channels log-odds of a shift; for training.

    Args:
        features: channels of the decoder's features. channels: that are drawn. width: of the layers before.
    """

    def __init__(self, features: int, channels: int, width: int) -> None:
        super().__init__()
        self.pictures = nn.Sequential(*_layers(features, width, channels))
        self.maps = nn.Sequential(*_layers(len(CLASSES), width, width), nn.ReLU(), _layer(width, channels))
        self.quiet = nn.Parameter(torch.full((2,), _QUIET))
        self.weight = nn.Parameter(torch.zeros(()))
        self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))

    def of_pictures(self, features: Tensor) -> Tensor:
        """The decoder's features (n, f, h, w) -> (n, channels, h, w)."""
        return self._sharpened(self.pictures(features), self.quiet[0])

    def of_maps(self, shares: Tensor) -> Tensor:
        """Class shares (n, 7, h, w) -> (n, channels, h, w)."""
        return self._sharpened(self.maps(shares), self.quiet[1])

    def draw_pictures(self, features: Vectors) -> Vectors:
        """`of_pictures` for arrays with the channels last: (n, h, w, f) -> (n, h, w, channels)."""
        return _with_channels_last(self.of_pictures, features)

    def draw_maps(self, shares: Vectors) -> Vectors:
        """`of_maps` for arrays with the channels last: (n, h, w, 7) -> (n, h, w, channels)."""
        return _with_channels_last(self.of_maps, shares)

    def _sharpened(self, drawn: Tensor, quiet: Tensor) -> Tensor:
        """As `registration.sharpened`, with a floor and a weight that are learned."""
        rows, columns = (torch.from_numpy(blur(side)) for side in drawn.shape[2:])
        sharp = drawn - TAKEN * (rows @ drawn @ columns.T)
        length = torch.linalg.vector_norm(sharp, dim=(1, 2, 3), keepdim=True)
        # Half of the weight on either side: products carry all of it.
        return cast(Tensor, sharp / (length + quiet.abs()) * (self.weight / 2).exp())


def _layers(inner: int, width: int, outer: int) -> tuple[nn.Module, ...]:
    return _layer(inner, width), nn.ReLU(), _layer(width, outer)


def _layer(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1)


@torch.inference_mode()
def _with_channels_last(network: Callable[[Tensor], Tensor], grids: Vectors) -> Vectors:
    return cast(Vectors, network(torch.from_numpy(grids).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy())
