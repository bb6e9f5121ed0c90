"""Batches for the structure decoder: crops, turns and light, as a pure function of seed and step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, one_hot

from geoanchor.image import Pixels
from geoanchor.structure import CLASSES
from models.structure import STRIDE, normalise
from training.augment import lit, uniform
from training.structure.recipe import StructureSchedule

_GAMMA = 0.35
"""Pictures from the air range from nearly black to washed out: the logarithm of the widest exponent."""
_SCALES = 0.55, 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Pictures to learn from: aerial (n, h, w, 3) uint8, classes (n, h, w) uint8 or `VOID`, and how often to draw."""

    aerial: Pixels
    classes: NDArray[np.uint8]
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """pixels (n, 3, crop, crop), normalised; shares (n, 7, crop / 4, crop / 4), what is void or beyond all zero."""

    pixels: Tensor
    shares: Tensor


class Batches:
    """Draws batches from several grounds in fixed shares."""

    def __init__(self, grounds: list[Ground], schedule: StructureSchedule) -> None:
        self._grounds = grounds
        self._schedule = schedule

    def __call__(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        rng = np.random.default_rng([self._schedule.seed, step])
        generator = Generator().manual_seed(int(rng.integers(1 << 62)))
        parts = [self._part(ground, count, rng, generator) for ground, count in self._counts()]
        pixels, shares = (torch.cat(column) for column in zip(*parts, strict=True))
        return Batch(normalise(lit(pixels, _GAMMA, generator)), shares)

    def _counts(self) -> list[tuple[Ground, int]]:
        """How many of each ground; the last gets what is left."""
        counts = [round(self._schedule.batch * ground.share) for ground in self._grounds[:-1]]
        counts.append(self._schedule.batch - sum(counts))
        return [(ground, count) for ground, count in zip(self._grounds, counts, strict=True) if count]

    def _part(
        self, ground: Ground, count: int, rng: np.random.Generator, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        rows = rng.choice(len(ground.aerial), count, replace=count > len(ground.aerial))
        aerial = torch.from_numpy(np.stack([ground.aerial[row] for row in rows])).permute(0, 3, 1, 2).float() / 255
        classes = torch.from_numpy(np.stack([ground.classes[row] for row in rows]))
        crop = self._schedule.crop_px
        grid = affine_grid(_frames(count, crop / aerial.shape[-1], generator), [count, 3, crop, crop], False)
        pixels = grid_sample(aerial, grid, padding_mode="reflection", align_corners=False)
        # One more class, of number 0: what is void, since 255 + 1 is 0 in a byte, or lies beyond the picture.
        numbers = grid_sample((classes[:, None] + 1).float(), grid, mode="nearest", align_corners=False)[:, 0]
        known = one_hot(numbers.long(), len(CLASSES) + 1).permute(0, 3, 1, 2)[:, 1:].float()
        return pixels, avg_pool2d(known, STRIDE)


def _frames(count: int, side: float, generator: Generator) -> Tensor:
    """(n, 2, 3) affine maps from the crop to the picture: half of them turned by any angle, half by right ones."""
    angle = uniform((count,), 0, 2 * math.pi, generator)
    right = torch.randint(4, (count,), generator=generator) * (math.pi / 2)
    angle = torch.where(torch.rand(count, generator=generator) < 0.5, angle, right)
    mirror = 1 - 2.0 * torch.randint(2, (count,), generator=generator)
    scale = uniform((count,), math.log(_SCALES[0]), math.log(_SCALES[1]), generator).exp() * side
    cos, sin = angle.cos() * scale, angle.sin() * scale
    room = (1 - 0.9 * scale).clamp(min=0)
    east, south = (room[:, None] * uniform((count, 2), -1, 1, generator)).unbind(1)
    rows = torch.stack([cos * mirror, -sin, east], 1), torch.stack([sin * mirror, cos, south], 1)
    return torch.stack(rows, 1)
