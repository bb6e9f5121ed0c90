"""The structure decoder: an aerial picture to the belief in each class of structure, cell by cell."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geoanchor.structure import CLASSES

STRIDE = 4
"""Pixels of the input's side to one cell of the output's."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016): (n, inner, h, w) -> (n, outer, h/stride, w/stride)."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        first, second = convolution(inner, outer, 3, stride), convolution(outer, outer, 3)
        self.body = nn.Sequential(first, nn.ReLU(inplace=True), second)
        self.stride = stride
        plain = inner == outer and stride == 1
        self.shortcut = nn.Identity() if plain else convolution(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) -> (n, outer, h/stride, w/stride)."""
        # The pixels that a strided convolution of one pixel looks at, taken beforehand: on processors with AVX-512 but
        # without matrix units torch 2.15 corrupts memory in the strided one's backward pass where channels are few.
        return torch.relu(self.body(x) + self.shortcut(x[:, :, :: self.stride, :: self.stride]))


class StructureNet(nn.Module):
    """Residual stages down to a 32nd of the side, and a pyramid of features back up to a quarter.

    Plain dense convolutions: on a processor with matrix units they cost less than depthwise ones of the same power.

    Args:
        widths: channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side. pyramid: channels on the way up.
    """

    def __init__(self, widths: Sequence[int], pyramid: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, widths[0], 3, 2), nn.ReLU(inplace=True))
        pairs = list(pairwise(widths))
        self.stages = nn.ModuleList(nn.Sequential(Residual(a, b, 2), Residual(b, b)) for a, b in pairs)
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths[1:])
        self.smooth = nn.ModuleList(Residual(pyramid, pyramid) for _ in pairs[1:])
        self.head = nn.Conv2d(pyramid, len(CLASSES), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) normalised pixels, sides a multiple of 32 -> (n, 7, h/4, w/4) logits."""
        return cast(Tensor, self.head(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) as above -> (n, pyramid, h/4, w/4), what the logits are made of."""
        x, levels = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        y = self.lateral[-1](levels[-1])
        for lateral, smooth, level in reversed(list(zip(self.lateral, self.smooth, levels, strict=False))):
            y = smooth(lateral(level) + interpolate(y, scale_factor=2.0, mode="nearest"))
        return cast(Tensor, y)


def convolution(inner: int, outer: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the side, or divides it by `stride`, and its batch norm."""
    conv = nn.Conv2d(inner, outer, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outer))


def normalise(pixels: Tensor) -> Tensor:
    """(n, 3, h, w) in 0..1 -> what the decoder takes, in channels-last order."""
    return ((pixels - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def fold_norms(network: StructureNet) -> StructureNet:
    """A copy for inference with every batch norm folded into the convolution before it."""
    folded = copy.deepcopy(network).eval()
    for name, pair in list(folded.named_modules()):
        if isinstance(pair, nn.Sequential) and len(pair) == 2 and isinstance(pair[1], nn.BatchNorm2d):
            folded.set_submodule(name, fuse_conv_bn_eval(cast(nn.Conv2d, pair[0]), pair[1]))
    return folded
