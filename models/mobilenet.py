"""MobileNetV4's small convolutional network at half its width, the backbone of the shipped towers.

It is timm's `mobilenetv4_conv_small_050` to the name of each weight and the last bit of each feature. It is written out
because timm imports torchvision and torch's compiler, which take longer than all else that a search does.

Source: Qin et al. 2024, MobileNetV4, table 11.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

NAME = "mobilenetv4_conv_small_050"
CHANNELS = (48, 480)
"""Of the two feature maps."""
STRIDE = 16
"""Pixels of the input's side to one cell of the first map; the second's cells are twice as wide."""


class _Conv(NamedTuple):
    """A convolution: side of its kernel, stride, channels it makes."""

    kernel: int
    stride: int
    outer: int


class _Bottleneck(NamedTuple):
    """An inverted bottleneck: kernels of its depthwise convolutions (0: none), stride, widened and final channels."""

    start: int
    middle: int
    stride: int
    wide: int
    outer: int


_STAGES: tuple[tuple[_Conv | _Bottleneck, ...], ...] = (
    (_Conv(3, 2, 16), _Conv(1, 1, 16)),
    (_Conv(3, 2, 48), _Conv(1, 1, 32)),
    (_Bottleneck(5, 5, 2, 96, 48), *[_Bottleneck(0, 3, 1, 96, 48)] * 4, _Bottleneck(3, 0, 1, 192, 48)),
    (
        _Bottleneck(3, 3, 2, 288, 64),
        _Bottleneck(5, 5, 1, 256, 64),
        _Bottleneck(0, 5, 1, 256, 64),
        _Bottleneck(0, 5, 1, 192, 64),
        *[_Bottleneck(0, 3, 1, 256, 64)] * 2,
    ),
    (_Conv(1, 1, 480),),
)
_SHALLOW = 3
"""Stages below the first feature map."""


class MobileNet(nn.Module):
    """Pictures to two feature maps: at a 16th of the side, 48 channels, and at a 32nd, 480 channels."""

    def __init__(self) -> None:
        super().__init__()
        inner = 32
        self.conv_stem = _convolution(3, inner, 3, 2)
        self.bn1 = nn.BatchNorm2d(inner)
        self.blocks = nn.ModuleList()
        for stage in _STAGES:
            blocks = []
            for spec in stage:
                blocks.append(ConvBlock(inner, spec) if isinstance(spec, _Conv) else Bottleneck(inner, spec))
                inner = spec.outer
            self.blocks.append(nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, 3, h, w) normalised pixels -> (n, 48, h/16, w/16), (n, 480, h/32, w/32)."""
        x = torch.relu(self.bn1(self.conv_stem(x)))
        for stage in self.blocks[:_SHALLOW]:
            x = stage(x)
        shallow = x
        for stage in self.blocks[_SHALLOW:]:
            x = stage(x)
        return [shallow, x]


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU: (n, inner, h, w) -> (n, outer, h/stride, w/stride)."""

    def __init__(self, inner: int, spec: _Conv) -> None:
        super().__init__()
        self.conv = _convolution(inner, spec.outer, spec.kernel, spec.stride)
        self.bn1 = nn.BatchNorm2d(spec.outer)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) -> (n, outer, h/stride, w/stride)."""
        return torch.relu(self.bn1(self.conv(x)))


class Bottleneck(nn.Module):
    """Universal inverted bottleneck: (n, inner, h, w) -> (n, outer, h/stride, w/stride)."""

    def __init__(self, inner: int, spec: _Bottleneck) -> None:
        super().__init__()
        self.dw_start = _Normed(inner, inner, spec.start, groups=inner) if spec.start else nn.Identity()
        self.pw_exp = _Normed(inner, spec.wide, 1)
        self.dw_mid = (
            _Normed(spec.wide, spec.wide, spec.middle, spec.stride, spec.wide) if spec.middle else nn.Identity()
        )
        self.pw_proj = _Normed(spec.wide, spec.outer, 1)
        self._has_shortcut = inner == spec.outer and spec.stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) -> (n, outer, h/stride, w/stride)."""
        wide = torch.relu(self.pw_exp(self.dw_start(x)))
        # Where there is no convolution in the middle, its ReLU has nothing left to cut.
        y = self.pw_proj(torch.relu(self.dw_mid(wide)))
        return cast(Tensor, y + x if self._has_shortcut else y)


class _Normed(nn.Module):
    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = _convolution(inner, outer, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.bn(self.conv(x)))


def _convolution(inner: int, outer: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
