"""A slim residual network of dense 3 x 3 convolutions: what processors with matrix units run fastest for its size.

Source: He et al. 2016, the 18-layer network, with a narrower and shorter last stage.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn.init import zeros_

from models.precision import matrix_units
from models.structure import Residual, convolution

NAME = "resnet16_slim"
CHANNELS = (256, 320)
"""Of the two feature maps."""
STRIDE = 16
"""Pixels of the input's side to one cell of the first map; the second's cells are twice as wide."""
_WIDTHS = (64, 64, 128, 256, 320)
_BLOCKS = (2, 2, 2, 1)


class ResNet(nn.Module):
    """Pictures to two feature maps: at a 16th of the side, 256 channels, and at a 32nd, 320 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, _WIDTHS[0], 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList()
        for number, (inner, outer) in enumerate(pairwise(_WIDTHS)):
            rest = (Residual(outer, outer) for _ in range(_BLOCKS[number] - 1))
            self.stages.append(nn.Sequential(Residual(inner, outer, 2 if number else 1), *rest))
        for module in self.modules():
            if isinstance(module, Residual):
                # A block begins as its shortcut, so that the whole learns from the first step.
                zeros_(cast(nn.BatchNorm2d, cast(nn.Sequential, module.body[-1])[-1]).weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, 3, h, w) normalised pixels -> (n, 256, h/16, w/16), (n, 320, h/32, w/32)."""
        with matrix_units():
            x = self.stem(x)
            for stage in self.stages[:-1]:
                x = stage(x)
            deep = self.stages[-1](x)
        return [x.float(), deep.float()]
