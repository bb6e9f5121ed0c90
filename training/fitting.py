"""Fitting a model step by step: rate, average, checkpoints and a journal, the same for every kind of training."""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from training.recipe import Schedule
from training.runlog import Log, note

M = TypeVar("M", bound=nn.Module)
_MAX_NORM = 5.0


class Fitting(ABC, Generic[M]):
    """A model, its running average and its optimiser at one step of a schedule; a kind of training adds its loss.

    Attributes:
        step: of the next batch. average: exponential moving average of the weights; what is judged and exported.

    Args:
        checkpoint: file of the state. journal: file of the log, a line of JSON at a time.
    """

    def __init__(self, model: M, schedule: Schedule, checkpoint: Path, journal: Path) -> None:
        self.schedule = schedule
        self.step = 0
        self.model = model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = torch.optim.AdamW(decayed(self.model, schedule.weight_decay), fused=True)
        self._checkpoint, self._journal = checkpoint, journal

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Of the batch of one step, a scalar."""

    def bound(self) -> None:
        """Keep what was learned in range; called after each step."""

    def figures(self) -> Mapping[str, float]:
        """How good the average is by now; looked at with each checkpoint."""
        return {}

    def fit(self, log: Log) -> M:
        """Step to the end of the schedule, with a checkpoint now and then and one at the end; the average."""
        schedule, started, saved = self.schedule, time.monotonic(), time.monotonic()
        losses: list[float] = []
        while self.step < schedule.steps:
            losses.append(self.advance())
            if self.step % schedule.log_every == 0:
                mean, losses = sum(losses) / len(losses), []
                self._note(log, loss=round(mean, 4), seconds=round(time.monotonic() - started, 1))
            if time.monotonic() - saved > schedule.checkpoint_s or self.step == schedule.steps:
                self.save()
                if figures := self.figures():
                    self._note(log, **figures)
                saved = time.monotonic()
        return self.average

    def advance(self) -> float:
        """One step; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.schedule)
        self.model.train()
        loss = self.loss(self.step)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_NORM)
        self.optimiser.step()
        self.bound()
        self.step += 1
        # Early on the average has little to remember, so it follows more closely.
        follow(self.average, self.model, min(self.schedule.ema, self.step / (self.step + 9)))
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self._checkpoint, self.step, self.parts)

    def load(self) -> None:
        """Go back to the checkpoint. Raises UsageError when it is of another model."""
        self.step = load_checkpoint(self._checkpoint, self.parts)

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds."""
        return {"model": self.model, "average": self.average, "optimiser": self.optimiser}

    def _note(self, log: Log, **facts: Any) -> None:
        note(self._journal, log, {"step": self.step} | facts)


def learning_rate(step: int, schedule: Schedule) -> float:
    """Linear warm-up, then half a cosine down to nothing at the last step, or one rate to the end."""
    if step < schedule.warmup:
        return schedule.learning_rate * (step + 1) / schedule.warmup
    if not schedule.anneal:
        return schedule.learning_rate
    done = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.learning_rate * (1 + math.cos(math.pi * min(1.0, done))) / 2


@torch.no_grad()
def follow(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """average <- keep * average + (1 - keep) * model, for weights and statistics; counters are copied."""
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)


def decayed(model: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels decay, offsets, norms and scales do not."""
    learned = [p for p in model.parameters() if p.requires_grad]
    matrices: list[Tensor] = [p for p in learned if p.ndim > 1]
    rest: list[Tensor] = [p for p in learned if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
