"""Stage two, start to end: epochs over cached vectors, prototypes kept alive, a checkpoint after each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from geoanchor.errors import UsageError
from training.checkpoint import read_checkpoint
from training.matching.examples import Examples
from training.matching.losses import assignment, hinge, prototype_margin
from training.matching.negatives import Negatives
from training.matching.network import FusionNet
from training.recipe import Matching

CHECKPOINT = "matching.pt"


class MatchingSession:
    """A fusion network and its optimiser at one epoch of a recipe's [matching] table.

    Attributes:
        epoch: the next one. history: figures of each epoch so far.
    """

    def __init__(self, shape: Matching, examples: Examples) -> None:
        if len(examples) < 2:
            raise UsageError("the matching stage needs two pairs or more to learn from")
        torch.manual_seed(shape.seed)
        self.shape = shape
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.net = FusionNet(examples.dim, shape)
        self._examples = examples
        self._negatives = Negatives(examples, shape.edits, shape.mask_from)
        weights = [*self.net.mlp.parameters(), *self.net.head.parameters(), self.net.skip]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": weights, "lr": shape.learning_rate, "weight_decay": shape.weight_decay},
                {"params": [self.net.prototypes], "lr": shape.prototype_rate, "weight_decay": 0.0},
            ]
        )

    def fit(self, run: Path | None = None) -> FusionNet:
        """Go on to the last epoch; with a `run` folder a checkpoint is written after each."""
        while self.epoch < self.shape.epochs:
            self.history.append(self.advance())
            if run is not None:
                self.save(run)
        return self.net.eval()

    def advance(self) -> dict[str, float]:
        """One epoch; its mean loss, the prototypes used and their perplexity. The same whenever it is asked for."""
        rng = np.random.default_rng([self.shape.seed, self.epoch])
        order = rng.permutation(len(self._examples))
        size = min(self.shape.batch, len(order))
        used = np.zeros(self.shape.prototypes, np.int64)
        losses, fused = [], torch.empty(0)
        for step in range(len(order) // size):
            progress = (self.epoch + step * size / len(order)) / self.shape.epochs
            loss, fused, nearest = self._step(order[step * size : (step + 1) * size], progress, rng)
            losses.append(loss)
            used += np.bincount(nearest, minlength=len(used))
        if self.shape.weight and self.epoch + 1 < self.shape.epochs:
            self._revive(np.flatnonzero(used == 0), fused, rng)
        self.epoch += 1
        figures = {"epoch": self.epoch, "loss": round(float(np.mean(losses)), 4)}
        return figures | {"protos_used": int((used > 0).sum()), "perplexity": round(perplexity(used), 2)}

    def save(self, run: Path) -> None:
        """Write the checkpoint in one step."""
        run.mkdir(parents=True, exist_ok=True)
        state = {"net": self.net.state_dict(), "optimiser": self._optimiser.state_dict(), "epoch": self.epoch}
        partial = run / f"{CHECKPOINT}.part"
        torch.save(state | {"history": json.dumps(self.history)}, partial)
        partial.replace(run / CHECKPOINT)

    def load(self, run: Path) -> None:
        """Go back to the checkpoint. Raises UsageError when it is of another network, or damaged."""
        state = read_checkpoint(run / CHECKPOINT)
        try:
            self.net.load_state_dict(state["net"])
            self._optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"{run / CHECKPOINT}: is of another network than the recipe's [matching]") from error
        self.epoch, self.history = state["epoch"], json.loads(state["history"])

    def _step(
        self, rows: NDArray[np.int64], progress: float, rng: np.random.Generator
    ) -> tuple[float, Tensor, NDArray[np.int64]]:
        views = rng.integers(len(self._examples.aerial), size=len(rows))
        wrong = self._negatives(rows, views, progress, rng)
        aerial = torch.from_numpy(self._examples.aerial[views, rows])
        maps = torch.from_numpy(self._examples.maps[views, rows])
        fused, matched, near = self.net(aerial, maps)
        _, swapped, far = self.net(aerial, torch.from_numpy(wrong.maps))
        weight = torch.from_numpy(wrong.weight)
        loss = hinge(matched, swapped, weight)
        if self.shape.weight:
            spread = prototype_margin(near, far, weight, self.shape.margin)
            loss = loss + self.shape.weight * (spread + self.shape.assign * assignment(near))
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach()), fused.detach(), near.argmax(dim=1).numpy()

    @torch.no_grad()
    def _revive(self, dead: NDArray[np.int64], fused: Tensor, rng: np.random.Generator) -> None:
        """Prototypes that no match came near to in a whole epoch start again where a match is."""
        chosen = torch.from_numpy(rng.integers(len(fused), size=len(dead)))
        self.net.prototypes[torch.from_numpy(dead)] = normalize(fused[chosen], dim=-1)


def perplexity(counts: NDArray[np.int64]) -> float:
    """How many prototypes share the matches evenly, as far as entropy tells; 1 is a collapse."""
    share = counts[counts > 0] / max(1, counts.sum())
    return float(np.exp(-(share * np.log(share)).sum()))
