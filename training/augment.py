"""Random crops, turns and colours for a batch of aerial and map pairs; every draw comes from one generator."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

_SHIFT = 0.015
"""Standard deviation of the map's own shift against the aerial picture, in half sides: maps never lie quite true."""
_MIN_CROP = 0.75
_GREY = torch.tensor([0.299, 0.587, 0.114])


def augment(
    aerial: Tensor, maps: Tensor, turnable: Tensor, size_px: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """The same crop, turn and mirror for both layers of a pair, and colours of their own.

    Args:
        aerial, maps: (n, h, w, 3) uint8. turnable: (n,) bool, which may be turned and mirrored.
    Returns:
        Two (n, size_px, size_px, 3) uint8.
    """
    frames = _frames(turnable, generator)
    shifted = frames.clone()
    shifted[:, :, 2] += _SHIFT * _normal((len(aerial), 2), generator)
    seen = photographed(_sampled(aerial, frames, size_px), generator)
    drawn = _redrawn(_sampled(maps, shifted, size_px), generator)
    return _bytes(seen), _bytes(drawn)


def _frames(turnable: Tensor, generator: Generator) -> Tensor:
    """(n, 2, 3) affine maps from the crop to the tile: one of the eight turns and mirrors, a scale, a shift."""
    n = len(turnable)
    turns = torch.randint(4, (n,), generator=generator) * turnable * (torch.pi / 2)
    cos, sin = turns.cos().round(), turns.sin().round()
    mirror = 1 - 2.0 * torch.randint(2, (n,), generator=generator) * turnable
    turn = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=1).view(n, 2, 2)
    # Half of the tiles stay whole, since whole tiles are what is indexed.
    whole = torch.rand(n, generator=generator) < 0.5
    scale = torch.where(whole, 1.0, uniform((n,), _MIN_CROP, 1.0, generator))
    shift = (1 - scale)[:, None] * uniform((n, 2), -1, 1, generator)
    return torch.cat([turn * scale[:, None, None], shift[:, :, None]], dim=2)


def _sampled(pixels: Tensor, frames: Tensor, size_px: int) -> Tensor:
    """(n, 3, size, size) in 0..1."""
    grid = affine_grid(frames, [len(pixels), 3, size_px, size_px], align_corners=False)
    pictures = pixels.permute(0, 3, 1, 2).float() / 255
    return grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def photographed(x: Tensor, generator: Generator) -> Tensor:
    """Another camera, hour and season: gain and offset of each channel, contrast, colourfulness, blur, noise."""
    n = len(x)
    x = x * uniform((n, 3, 1, 1), 0.85, 1.15, generator) * uniform((n, 1, 1, 1), 0.75, 1.25, generator)
    x = x + 0.04 * _normal((n, 3, 1, 1), generator)
    x = toned(x, 0.7, 1.3, 0.3, 1.5, generator)
    blurred = avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    x = torch.lerp(x, blurred, uniform((n, 1, 1, 1), -0.3, 0.9, generator))
    return x + uniform((n, 1, 1, 1), 0, 0.04, generator) * _normal(tuple(x.shape), generator)


def lit(x: Tensor, gamma: float, generator: Generator) -> Tensor:
    """`photographed`, in 0..1, and darker or lighter by an exponent of at most e^gamma either way."""
    seen = photographed(x, generator).clamp(0, 1)
    return seen ** uniform((len(x), 1, 1, 1), -gamma, gamma, generator).exp()


def _redrawn(x: Tensor, generator: Generator) -> Tensor:
    """Another palette: channels mixed, tones moved, one in ten turned dark."""
    n = len(x)
    mix = torch.eye(3) + 0.12 * _normal((n, 3, 3), generator)
    x = torch.einsum("nij,njhw->nihw", mix, x)
    x = toned(x, 0.8, 1.25, 0.2, 1.4, generator) + 0.05 * _normal((n, 3, 1, 1), generator)
    dark = torch.rand((n, 1, 1, 1), generator=generator) < 0.1
    return torch.where(dark, 1 - x, x)


def toned(x: Tensor, low: float, high: float, grey: float, vivid: float, generator: Generator) -> Tensor:
    """Contrast `low`..`high` about the mean and colourfulness `grey`..`vivid`."""
    n = len(x)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * uniform((n, 1, 1, 1), low, high, generator)
    lightness = (x * _GREY.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return lightness + (x - lightness) * uniform((n, 1, 1, 1), grey, vivid, generator)


def _bytes(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    """Numbers low..high of that shape."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator)
