"""Batches of windows, each with its map's window moved by a known way: a function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geoanchor.change import MAX_OFFSET
from geoanchor.protocols import Vectors
from models.codes import log_odds
from models.registrar import FINE_CELLS
from models.registration import MAP_FLOOR, PICTURE_FLOOR, Spectra, reach_cells, sharpened
from training.sketches.recipe import SketchSchedule
from training.sketches.views import Views

REACH = reach_cells(MAX_OFFSET, FINE_CELLS)

_HIDDEN = 0.1
"""Share of the channels of features that each row goes without, so that pairs are not learned by heart."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """n windows.

    Attributes:
        features: (n, f, h, w) of the pictures. shares: (n, 7, h, w) of the maps. shifts: (n, 2) dx, dy, in cells.
        plain: (n, 2 REACH + 1, 2 REACH + 1) how alike they are by the classes alone, as of `Spectra.likeness`.
    """

    features: Tensor
    shares: Tensor
    plain: Tensor
    shifts: Tensor


class Batches:
    """Draws batches from several grounds in their shares.

    Args:
        prior: (7,) share of each class on maps.
    """

    def __init__(self, views: Sequence[Views], prior: Vectors, schedule: SketchSchedule) -> None:
        self._views, self._prior, self._schedule = views, prior, schedule

    def __call__(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        rng = np.random.default_rng([self._schedule.seed, step])
        counts = rng.multinomial(self._schedule.batch, [views.ground.share for views in self._views])
        parts = [self._part(views, count, rng) for views, count in zip(self._views, counts, strict=True) if count]
        return Batch(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _part(self, views: Views, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        numbers = rng.integers(len(views.windows), size=count)
        beliefs, features = views.seen(numbers)
        chosen = [views.windows[number] for number in numbers.tolist()]
        moved = [window.moved(views.ground.classes[row], rng) for row, window in chosen]
        maps = np.stack([shares for shares, _ in moved])
        rows = np.arange(count)
        odds = sharpened(log_odds(beliefs, self._prior), PICTURE_FLOOR)
        plain = Spectra(sharpened(maps, MAP_FLOOR), odds, REACH).likeness(rows, rows)
        shifts = torch.tensor([shift for _, shift in moved]) * FINE_CELLS
        features *= (rng.random((count, 1, 1, features.shape[3])) >= _HIDDEN) / np.float32(1 - _HIDDEN)
        return _channels_first(features), _channels_first(maps), torch.from_numpy(plain), shifts


def _channels_first(grids: Vectors) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(grids, -1, 1)))
