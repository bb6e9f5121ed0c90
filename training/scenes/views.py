"""Random views of pictures from above: any turn, any part, any light, with a piece cut out."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.augment import toned, uniform

_SMALLEST = 0.6
"""Side of a view as a share of the picture's; nearly half of the views show the whole."""
_CUT = (0.15, 0.45)
"""Sides of the piece cut out, as shares of the view's."""


def view(pixels: Tensor, turnable: Tensor, size_px: int, generator: Generator) -> Tensor:
    """Pictures (n, h, w, 3) uint8 -> views (n, 3, size, size) in 0..1.

    Args:
        turnable: (n,) bool, which may be turned and mirrored.
    """
    grid = affine_grid(_frames(turnable, generator), [len(pixels), 3, size_px, size_px], align_corners=False)
    pictures = pixels.permute(0, 3, 1, 2).float() / 255
    seen = grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    return _cut(_lit(seen, generator), generator).clamp(0, 1)


def _frames(turnable: Tensor, generator: Generator) -> Tensor:
    """(n, 2, 3) affine maps from the view to the picture."""
    n = len(turnable)
    quarter = torch.randint(4, (n,), generator=generator) * (torch.pi / 2)
    # Half of the turns are by whole quarters: no corner is made up there.
    free = (torch.rand(n, generator=generator) < 0.5) * uniform((n,), -torch.pi / 4, torch.pi / 4, generator)
    turns = (quarter + free) * turnable
    mirror = 1 - 2.0 * torch.randint(2, (n,), generator=generator) * turnable
    cos, sin = turns.cos(), turns.sin()
    turn = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=1).view(n, 2, 2)
    scale = uniform((n,), _SMALLEST, 1.3, generator).clamp(max=1.05)
    stretch = uniform((n, 2), 0.9, 1.1, generator)
    shift = (1 - scale).clamp(min=0)[:, None] * uniform((n, 2), -1, 1, generator)
    return torch.cat([turn * (scale[:, None] * stretch)[:, None, :], shift[:, :, None]], dim=2)


def _lit(x: Tensor, generator: Generator) -> Tensor:
    """Another hour and camera, but colours that can still be named, since captions name them."""
    n = len(x)
    x = x * uniform((n, 3, 1, 1), 0.93, 1.07, generator) * uniform((n, 1, 1, 1), 0.8, 1.2, generator)
    x = toned(x, 0.75, 1.3, 0.6, 1.4, generator)
    return x + uniform((n, 1, 1, 1), 0, 0.02, generator) * torch.randn(x.shape, generator=generator)


def _cut(x: Tensor, generator: Generator) -> Tensor:
    """Half of the views with a grey rectangle."""
    n, size = len(x), x.shape[-1]
    side = uniform((n, 2), *_CUT, generator) * (torch.rand(n, 1, generator=generator) < 0.5)
    start = uniform((n, 2), 0, 1, generator) * (1 - side)
    at = (torch.arange(size) + 0.5) / size
    inside = (at >= start[:, :, None]) & (at < (start + side)[:, :, None])
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(hole[:, None], torch.tensor(0.5), x)
