"""Fits the structure decoder: L_dense of methods 1.9, the cross-entropy of class shares, cell by cell."""

from __future__ import annotations

import copy
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from models.precision import matrix_units
from models.structure import StructureNet
from training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from training.loop import decayed, follow, learning_rate
from training.runlog import Log, note
from training.structure.batches import Batch, Batches, Ground
from training.structure.recipe import Decoder, StructureSchedule

CHECKPOINT = "structure.pt"
_MAX_NORM = 5.0


class StructureSession:
    """The decoder, its running average and its optimiser at one step of a schedule.

    Attributes:
        step: of the next batch. average: exponential moving average of the weights; what is judged and exported.
    """

    def __init__(self, decoder: Decoder, schedule: StructureSchedule, grounds: list[Ground], run: Path) -> None:
        torch.manual_seed(schedule.seed)
        self.step = 0
        self.model = StructureNet(decoder.widths, decoder.pyramid).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self._schedule = schedule
        self._run = run
        self._batches = Batches(grounds, schedule)
        self._optimiser = torch.optim.AdamW(decayed(self.model, schedule.weight_decay), fused=True)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take another decoder's weights as the beginning."""
        self.model.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def fit(self, log: Log) -> StructureNet:
        """Step to the end of the schedule, with a checkpoint now and then; the average."""
        schedule, started, saved, losses = self._schedule, time.monotonic(), time.monotonic(), []
        with ThreadPoolExecutor(1, thread_name_prefix="batch") as pool:
            ahead: Future[Batch] = pool.submit(self._batches, self.step)
            while self.step < schedule.steps:
                batch, ahead = ahead.result(), pool.submit(self._batches, self.step + 1)
                losses.append(self._advance(batch))
                if self.step % schedule.log_every == 0:
                    facts = {"loss": sum(losses) / len(losses), "seconds": time.monotonic() - started}
                    rounded = {name: round(value, 4) for name, value in facts.items()}
                    note(self._run / "structure.jsonl", log, {"step": self.step} | rounded)
                    losses = []
                if time.monotonic() - saved > schedule.checkpoint_s or self.step == schedule.steps:
                    self.save()
                    saved = time.monotonic()
        return self.average

    def _advance(self, batch: Batch) -> float:
        schedule = self._schedule
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, schedule)
        with matrix_units():
            logits = self.model.train()(batch.pixels)
        loss = dense_loss(logits.float(), batch.shares, schedule.trimmed)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_NORM)
        self._optimiser.step()
        self.step += 1
        follow(self.average, self.model, min(schedule.ema, self.step / (self.step + 9)))
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self._run / CHECKPOINT, self.step, self._parts)

    def load(self) -> None:
        """Go back to the checkpoint. Raises UsageError when it is of another model."""
        self.step = load_checkpoint(self._run / CHECKPOINT, self._parts)

    @property
    def _parts(self) -> dict[str, Stateful]:
        return {"model": self.model, "average": self.average, "optimiser": self._optimiser}


def dense_loss(logits: Tensor, shares: Tensor, trimmed: float = 0.0) -> Tensor:
    """L_dense = - mean_u sum_c g_u(c) log p_u(c) (methods 1.9), over the cells that are known.

    Args:
        logits: (n, 7, h, w). shares: (n, 7, h, w); a cell's sum is the part of it that is known.
        trimmed: share of the cells, those of the greatest loss, that are left out (least trimmed loss, Rousseeuw 1984).
    """
    cells, known = -(shares * logits.log_softmax(dim=1)).sum(dim=1), shares.sum(dim=1)
    if trimmed:
        known = known * (cells <= torch.quantile(cells.detach().flatten(), 1 - trimmed))
        cells = cells * (known > 0)
    return cells.sum() / known.sum().clamp(min=1)
