"""Fits the structure decoder: L_dense, the cross-entropy of class shares, cell by cell."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.precision import matrix_units
from models.structure import StructureNet
from training.fitting import Fitting
from training.readahead import ReadAhead
from training.structure.batches import Batches, Ground
from training.structure.recipe import Decoder, StructureSchedule

CHECKPOINT = "structure.pt"


class StructureSession(Fitting[StructureNet]):
    """The decoder at one step of a schedule."""

    def __init__(self, decoder: Decoder, schedule: StructureSchedule, grounds: list[Ground], run: Path) -> None:
        torch.manual_seed(schedule.seed)
        network = StructureNet(decoder.widths, decoder.pyramid)
        super().__init__(network, schedule, run / CHECKPOINT, run / "structure.jsonl")
        self._trimmed = schedule.trimmed
        self._batches = ReadAhead(Batches(grounds, schedule))

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take another decoder's weights as the beginning."""
        self.model.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def loss(self, step: int) -> Tensor:
        """The dense loss of one batch."""
        batch = self._batches(step)
        with matrix_units():
            logits = self.model(batch.pixels)
        return dense_loss(logits.float(), batch.shares, self._trimmed)


def dense_loss(logits: Tensor, shares: Tensor, trimmed: float = 0.0) -> Tensor:
    """L_dense = - mean_u sum_c g_u(c) log p_u(c), over the cells that are known.

    Args:
        logits: (n, 7, h, w). shares: (n, 7, h, w); a cell's sum is the part of it that is known.
        trimmed: share of the cells, those of the greatest loss, that are left out (least trimmed loss, Rousseeuw 1984).
    """
    cells, known = -(shares * logits.log_softmax(dim=1)).sum(dim=1), shares.sum(dim=1)
    if trimmed:
        known = known * (cells <= torch.quantile(cells.detach().flatten(), 1 - trimmed))
        cells = cells * (known > 0)
    return cells.sum() / known.sum().clamp(min=1)
