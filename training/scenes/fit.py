"""A scenes session: step, average, checkpoint, and a look at the held-out tenth now and then."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import numpy as np
import torch

from geoanchor.protocols import Vectors
from models.bundle import Branch
from retrieval import metrics
from training.batches import ReadAhead
from training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from training.data import TilePairs
from training.loop import decayed, follow, learning_rate
from training.runlog import Log, note
from training.scenes.batches import SceneBatches
from training.scenes.model import Memory, SceneLoss, SceneModel
from training.scenes.pictures import ScenePictures
from training.scenes.recipe import ScenesRecipe
from training.validate import vectors_of

CHECKPOINT = "checkpoint.pt"


class ScenesSession:
    """A model, its running average and its optimiser at one step of a recipe.

    Attributes:
        step: of the next batch. average: exponential moving average of the weights; what is judged and exported.
    """

    def __init__(self, recipe: ScenesRecipe, scenes: ScenePictures, drawn: TilePairs, run: Path) -> None:
        torch.manual_seed(recipe.schedule.seed)
        steps = sum(stage.steps for stage in recipe.stages)
        self.schedule = recipe.schedule.model_copy(update={"steps": steps})
        self.recipe, self.run, self.step = recipe, run, 0
        model = SceneModel(recipe.towers, len(scenes.kinds))
        self.model = model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.memory = Memory(recipe.objective.memory, recipe.towers.dim)
        self.batches = ReadAhead(SceneBatches(scenes, drawn, recipe))
        self.loss = SceneLoss(recipe.objective, scenes.mean)
        self.optimiser = torch.optim.AdamW(decayed(self.model, recipe.schedule.weight_decay), fused=True)

    def fit(self, held_out: ScenePictures, log: Log) -> SceneModel:
        """Step to the end of the stages, with a checkpoint now and then and one at the end; the average."""
        schedule, started, saved = self.schedule, time.monotonic(), time.monotonic()
        losses: list[float] = []
        while self.step < schedule.steps:
            losses.append(self.advance())
            if self.step % schedule.log_every == 0:
                facts = {"loss": round(float(np.mean(losses)), 4), "seconds": round(time.monotonic() - started, 1)}
                note(self.run / "log.jsonl", log, {"step": self.step} | facts)
                losses = []
            if time.monotonic() - saved > schedule.checkpoint_s or self.step == schedule.steps:
                save_checkpoint(self.run / CHECKPOINT, self.step, self._parts)
                figures = recall(self.average, held_out, _branch(self.recipe))
                note(self.run / "log.jsonl", log, {"step": self.step} | figures)
                saved = time.monotonic()
        return self.average

    def advance(self) -> float:
        """One step; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.schedule)
        loss = self.loss(self.model.train(), self.batches(self.step), self.memory)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.model.clamp()
        self.step += 1
        # Early on the average has little to remember, so it follows more closely.
        follow(self.average, self.model, min(self.schedule.ema, self.step / (self.step + 9)))
        return float(loss.detach())

    def load(self) -> None:
        """Go back to the checkpoint. Raises UsageError when it is of another model."""
        self.step = load_checkpoint(self.run / CHECKPOINT, self._parts)

    @property
    def _parts(self) -> dict[str, Stateful]:
        return {"model": self.model, "average": self.average, "optimiser": self.optimiser, "memory": self.memory}


def _branch(recipe: ScenesRecipe) -> Branch:
    """How pictures are prepared for the aerial tower."""
    return Branch(architecture=recipe.towers.architecture, size_px=recipe.towers.size_px)


@torch.inference_mode()
def recall(model: SceneModel, held_out: ScenePictures, branch: Branch) -> dict[str, float]:
    """Mean recall in percent over both directions and k = 1, 5, 10, and the recalls; every caption is a query."""
    with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu.get_capabilities().get("amx_bf16", False)):
        images = vectors_of(model.aerial, held_out.pixels, branch)
    words: Vectors = model.words(torch.from_numpy(held_out.sentences)).numpy()
    owner = np.concatenate([np.full(len(own), row) for row, own in enumerate(held_out.captions)])
    texts = words[np.concatenate(held_out.captions)]
    to_image = metrics.hits_of_vectors(texts, images, [np.array([row]) for row in owner])
    to_text = metrics.hits_of_vectors(images, texts, [np.flatnonzero(owner == row) for row in range(len(images))])
    figures = {f"text {k}": value for k, value in metrics.percent(to_image).items()}
    figures |= {f"image {k}": value for k, value in metrics.percent(to_text).items()}
    return {"mean recall": round(50 * float(to_image.mean() + to_text.mean()), 2)} | figures
