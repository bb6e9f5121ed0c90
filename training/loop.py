"""Training, start to bundle: draw tiles, step, average, checkpoint, export."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.anchorcache import annotate_places
from training.batches import Batches, ReadAhead, anchor_targets
from training.checkpoint import Stateful, load_checkpoint, require_checkpoint, save_checkpoint
from training.data import TilePairs, cache_folder, draw_all
from training.export import export
from training.matching.pictures import cache_edits
from training.matching.stage import match
from training.model import PairModel, branch_of
from training.places import places_of
from training.realpairs import cache_pairs
from training.recipe import Recipe, Schedule, load_recipe
from training.runlog import Log, note, silent
from training.validate import validate

CHECKPOINT = "checkpoint.pt"


def train(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    log: Log = silent,
) -> Path:
    """Train a recipe and export the averaged model as a bundle folder, whose path is returned.

    Args:
        recipe: TOML. run: folder for tiles, checkpoints, log.jsonl and the bundle; default runs/<recipe's name>.
        overrides: "table.key=value" that win over the recipe; smoke: a minute's work, to see that all is in place.
        resume: go on from the run's checkpoint. log: gets a line now and then.
    Raises:
        UsageError: a bad recipe, nothing to resume, or a run that exists and is not to be resumed.
    """
    plan = load_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-smoke" if smoke else plan.name)
    require_checkpoint(run / CHECKPOINT, resume)
    tiles = cache_folder(run, plan.data)
    draw_all(plan.data, tiles, log)
    if plan.pairs:
        cache_pairs(plan.pairs, plan.data.cache_px, tiles, log)
    if plan.weights.anchors or plan.matching:
        annotate_places(places_of(plan.data), tiles, log)
    session = Session(plan, TilePairs(tiles, "train"), run)
    if resume:
        session.load()
    session.fit(TilePairs(tiles, "val"), log)
    fusion = None
    if plan.matching:
        cache_edits(places_of(plan.data), plan.data, tiles, 1, log)
        fusion = match(session.average, plan, tiles, run, log)
    return export(session.average, plan, run / "bundle", fusion)


class Session:
    """A model, its running average and its optimiser at one step of a recipe.

    Attributes:
        step: of the next batch. average: exponential moving average of the weights; what is judged and exported.
    """

    def __init__(self, recipe: Recipe, pairs: TilePairs, run: Path) -> None:
        torch.manual_seed(recipe.schedule.seed)
        steps = recipe.schedule.steps_over(len(pairs))
        self.recipe = recipe
        self.schedule = recipe.schedule.model_copy(update={"steps": steps, "epochs": 0})
        self.run = run
        self.step = 0
        targets = anchor_targets(pairs, recipe.anchors) if recipe.weights.anchors else None
        model = (
            PairModel(recipe.towers, recipe.anchors, targets.vectors.shape[1]) if targets else PairModel(recipe.towers)
        )
        self.model = model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.batches = ReadAhead(Batches(pairs, branch_of(recipe.towers), self.schedule, targets))
        self.optimiser = torch.optim.AdamW(decayed(self.model, recipe.schedule.weight_decay), fused=True)

    def fit(self, held_out: TilePairs, log: Log) -> None:
        """Step to the end of the schedule, with a checkpoint now and then and one at the end."""
        schedule, started, saved = self.schedule, time.monotonic(), time.monotonic()
        losses: list[float] = []
        while self.step < schedule.steps:
            losses.append(self.advance())
            if self.step % schedule.log_every == 0:
                mean, losses = sum(losses) / len(losses), []
                self._note(log, loss=round(mean, 4), seconds=round(time.monotonic() - started, 1))
            if time.monotonic() - saved > schedule.checkpoint_s or self.step == schedule.steps:
                self.save()
                self._note(log, **validate(self.average, held_out, branch_of(self.recipe.towers)))
                saved = time.monotonic()

    def advance(self) -> float:
        """One step; its loss."""
        schedule = self.schedule
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, schedule)
        loss = self.model.train().loss(self.batches(self.step), self.recipe.weights)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.model.clamp()
        self.step += 1
        # Early on the average has little to remember, so it follows more closely.
        follow(self.average, self.model, min(schedule.ema, self.step / (self.step + 9)))
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.run / CHECKPOINT, self.step, self._parts)

    def load(self) -> None:
        """Go back to the checkpoint. Raises UsageError when it is of another model."""
        self.step = load_checkpoint(self.run / CHECKPOINT, self._parts)

    @property
    def _parts(self) -> dict[str, Stateful]:
        return {"model": self.model, "average": self.average, "optimiser": self.optimiser}

    def _note(self, log: Log, **facts: Any) -> None:
        note(self.run / "log.jsonl", log, {"step": self.step} | facts)


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
