"""Fits sketches: of all shifts within reach the true one must be the likeliest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from models.sketches import Sketches
from training.fitting import Fitting
from training.readahead import ReadAhead
from training.sketches.batches import REACH, Batches
from training.sketches.judge import HeldOut
from training.sketches.recipe import Sketch, SketchSchedule

CHECKPOINT = "sketches.pt"
_SPREAD = 0.6
"""Cells; a true shift between cells is shared among those around it."""


class SketchSession(Fitting[Sketches]):
    """Sketches at one step of a schedule.

    Args:
        features: channels of the decoder's features. sketch: their shape. held_out: judged with each checkpoint.
    """

    def __init__(
        self, features: int, sketch: Sketch, schedule: SketchSchedule, batches: Batches, held_out: HeldOut, run: Path
    ) -> None:
        torch.manual_seed(schedule.seed)
        model = Sketches(features, sketch.channels, sketch.width)
        super().__init__(model, schedule, run / CHECKPOINT, run / "sketches.jsonl")
        self._trimmed = schedule.trimmed
        self._batches, self._held_out = ReadAhead(batches), held_out

    def loss(self, step: int) -> Tensor:
        """The loss of one batch's shifts."""
        batch, model = self._batches(step), self.model
        drawn = likeness(model.of_maps(batch.shares), model.of_pictures(batch.features))
        return shift_loss(model.sharpness.exp() * (batch.plain + drawn), batch.shifts, self._trimmed)

    def figures(self) -> Mapping[str, float]:
        """Percent of held-out shifts told to a hundredth of the side."""
        return {"within_1_percent": round(100 * self._held_out.within(self.average), 2)}


def likeness(maps: Tensor, pictures: Tensor) -> Tensor:
    """`registration.Spectra.likeness` of n pairs row by row, with a gradient: (n, c, h, w) each -> (n, s, s)."""
    height, width = maps.shape[2:]
    size = [next_fast_len(side + REACH + 1, real=True) for side in (height, width)]
    products = (torch.fft.rfft2(maps, size) * torch.fft.rfft2(pictures, size).conj()).sum(dim=1)
    shifts = torch.arange(-REACH, REACH + 1)
    overlap = torch.outer(1 - shifts.abs() / height, 1 - shifts.abs() / width)
    sums: Tensor = torch.fft.irfft2(products, size)[:, shifts[:, None], shifts[None, :]]
    return sums / overlap


def shift_loss(logits: Tensor, shifts: Tensor, trimmed: float = 0.0) -> Tensor:
    """Cross-entropy of shifts.

    Args:
        logits: (n, s, s), [:, reach + dy, reach + dx] of the map that lies dx, dy cells off. shifts: (n, 2) dx, dy.
        trimmed: share of the rows, those of the greatest loss, that are left out (least trimmed loss, Rousseeuw 1984).
    """
    steps = torch.arange(logits.shape[1]) - logits.shape[1] // 2
    east, south = (torch.exp(-0.5 * ((steps - shifts[:, axis, None]) / _SPREAD) ** 2) for axis in (0, 1))
    wanted = (south[:, :, None] * east[:, None, :]).flatten(1)
    rows = -(wanted / wanted.sum(dim=1, keepdim=True) * logits.flatten(1).log_softmax(dim=1)).sum(dim=1)
    kept = max(1, round(len(rows) * (1 - trimmed)))
    return rows.topk(kept, largest=False).values.mean()
