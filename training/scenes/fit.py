"""A scenes session: step, average, checkpoint, and a look at the held-out tenth now and then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from geoanchor.errors import UsageError
from geoanchor.protocols import Vectors
from models.bundle import WEIGHTS_NAME, Branch, bundle_folder, read_bundle
from models.weights import Weights
from retrieval import metrics
from training.checkpoint import Stateful, load_checkpoint
from training.data import TilePairs
from training.fitting import Fitting
from training.readahead import ReadAhead
from training.scenes.batches import SceneBatches
from training.scenes.model import Memory, SceneLoss, SceneModel
from training.scenes.pictures import ScenePictures
from training.scenes.recipe import ScenesRecipe, aerial_branch
from training.validate import vectors_of

CHECKPOINT = "checkpoint.pt"
_SETTLING_STEPS, _SETTLING_RATE = 60, 0.05


class ScenesSession(Fitting[SceneModel]):
    """The aerial tower and the text head at one step of a recipe."""

    def __init__(
        self, recipe: ScenesRecipe, scenes: ScenePictures, held_out: ScenePictures, drawn: TilePairs, run: Path
    ) -> None:
        torch.manual_seed(recipe.schedule.seed)
        schedule = recipe.schedule.model_copy(update={"steps": sum(stage.steps for stage in recipe.stages)})
        super().__init__(SceneModel(recipe.towers, len(scenes.kinds)), schedule, run / CHECKPOINT, run / "log.jsonl")
        if recipe.start:
            self._start_from(Path(recipe.start))
        self._branch, self._held_out = aerial_branch(recipe), held_out
        self._memory = Memory(recipe.objective.memory, recipe.towers.dim)
        self._batches = ReadAhead(SceneBatches(scenes, drawn, recipe))
        self._loss = SceneLoss(recipe.objective, scenes)

    def _start_from(self, start: Path) -> None:
        if start.is_file():
            load_checkpoint(start, {"average": self.model})
        else:
            self._take(bundle_folder(str(start)))
        self.average.load_state_dict(self.model.state_dict())

    def _take(self, bundle: Path) -> None:
        """A bundle's aerial tower and words. Raises UsageError when they are of another shape."""
        weights = Weights(bundle / WEIGHTS_NAME, read_bundle(bundle).weights_sha256)
        parts: dict[str, nn.Module] = {"aerial": self.model.aerial, "text": self.model.text}
        for name, part in parts.items():
            try:
                part.load_state_dict({key: torch.from_numpy(value) for key, value in weights.read(name).items()})
            except RuntimeError as error:
                raise UsageError(f"{bundle}: its {name} branch is another network than the recipe's") from error

    def settle(self) -> None:
        """Heads and scales that no bundle keeps learn by themselves, the tower and the words held still."""
        model = self.model.eval()
        kept = [p for name, p in model.named_parameters() if name.partition(".")[0] not in ("aerial", "text")]
        optimiser = torch.optim.Adam(kept, lr=_SETTLING_RATE)
        model.requires_grad_(False)
        for parameter in kept:
            parameter.requires_grad_(True)
        for step in range(_SETTLING_STEPS):
            optimiser.zero_grad()
            self.loss(step).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            model.clamp()
        model.requires_grad_(True)
        self.average.load_state_dict(model.state_dict())

    def loss(self, step: int) -> Tensor:
        """The objective of one batch, which the memory takes in."""
        return self._loss(self.model, self._batches(step), self._memory)

    def bound(self) -> None:
        """Keep the scales in range."""
        self.model.clamp()

    def figures(self) -> Mapping[str, float]:
        """Recall on the tenth that is not learned from."""
        return recall(self.average, self._held_out, self._branch)

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds: the memory too."""
        return super().parts | {"memory": self._memory}


@torch.inference_mode()
def recall(model: SceneModel, held_out: ScenePictures, branch: Branch) -> dict[str, float]:
    """Mean recall in percent over both directions and k = 1, 5, 10, and the recalls; every caption is a query."""
    images = vectors_of(model.aerial, held_out.pixels, branch)
    words: Vectors = model.words(torch.from_numpy(held_out.sentences)).numpy()
    owner = np.concatenate([np.full(len(own), row) for row, own in enumerate(held_out.captions)])
    texts = words[np.concatenate(held_out.captions)]
    to_image = metrics.hits_of_vectors(texts, images, [np.array([row]) for row in owner])
    to_text = metrics.hits_of_vectors(images, texts, [np.flatnonzero(owner == row) for row in range(len(images))])
    figures = {f"text {k}": value for k, value in metrics.percent(to_image).items()}
    figures |= {f"image {k}": value for k, value in metrics.percent(to_text).items()}
    return {"mean recall": round(50 * float(to_image.mean() + to_text.mean()), 2)} | figures
