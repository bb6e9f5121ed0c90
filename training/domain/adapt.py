"""Moving a network from its source to a target domain (UrbanCross stage 3)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from geoanchor.errors import UsageError
from training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from training.domain.adversary import (
    Discriminator,
    accuracy,
    coral,
    domain_features,
    domain_loss,
    ramp,
    reversed_gradient,
)
from training.domain.batches import Batch, Side, Views, in_turn
from training.domain.best import Best, collapsed, epochs_since, rounded, spread, unsound
from training.domain.curriculum import draw_source, likeness, pair_vectors, source_weights
from training.domain.features import featured, measure_statistics
from training.domain.judge import Judge, picture_vectors, text_vectors
from training.domain.network import Heads, SmallTowers, TwoTowers
from training.domain.pictures import Rows
from training.domain.pretrain import pair_loss
from training.domain.recipe import Adaptation, DomainRecipe
from training.domain.triplet import weighted_triplet
from training.fitting import decayed
from training.runlog import Log, note

CHECKPOINT = "adapted.pt"
_DISCRIMINATOR_RATE = 10
_MAX_NORM = 5.0


class Adapter:
    """A network on its way to the target, with discriminator, optimiser and the best weights so far.

    Batches are a function of seed and step, and the likeness of domains is told by a snapshot of the network as it was
    given, so that a resumed run ends where an uninterrupted one would.

    Attributes:
        step: of the next batch. best: by the target's validation tenth, the network as given included.
    """

    def __init__(
        self, network: TwoTowers, source: Side, target: Views, parts: Mapping[str, Rows], shape: Adaptation, run: Path,
        recipe: DomainRecipe,
    ) -> None:  # fmt: skip
        torch.manual_seed(shape.seed)
        self.step = 0
        self.model = copy.deepcopy(network)
        self._judge = Judge(Side(target, parts["validation"]))
        self.best = Best(network, self._judge.mean_recall(network))
        self._spread = spread(picture_vectors(network, self._judge.side))
        self._source, self._target = source, Side(target, parts["adapt"])
        self._shape, self._run, self._recipe = shape, run, recipe
        self._discriminator = Discriminator(network.dim * (1 if shape.target_text == "none" else 2)).to(network.device)
        tuned = shape.fine_tune_rate if shape.objective == "fine_tune" else None
        rate = tuned or shape.learning_rate
        self._optimiser = torch.optim.AdamW(
            [
                *({**group, "lr": rate} for group in decayed(self.model, shape.weight_decay)),
                {"params": self._discriminator.parameters(), "lr": _DISCRIMINATOR_RATE * rate},
            ]
        )
        self._per_epoch = max(1, len(parts["adapt"]) // shape.batch)
        if shape.objective == "adapt":
            self._source_pairs, self._target_pairs = self._snapshot(network)

    def fit(self, log: Log, resume: bool = False) -> TwoTowers:
        """Adapt to the last epoch, or until it no longer gets better or is no longer sound; the best network.

        Args:
            resume: go on from the checkpoint, if there is one. Raises UsageError when it is of another network.
        """
        if resume and (self._run / CHECKPOINT).is_file():
            self.step = load_checkpoint(self._run / CHECKPOINT, self._parts)
        while self.step < self._shape.epochs * self._per_epoch and int(self.best.stopped) < 0:
            facts, trouble = self._epoch()
            epoch = self.step // self._per_epoch
            if not trouble:
                facts["validation"] = self._judge.mean_recall(self.model)
                self.best.offer(self.model, facts["validation"], epoch)
                trouble = self._trouble(epoch)
            if trouble:
                self.best.stopped.fill_(self.step)
            said = rounded(facts) | ({"stopped": f"{trouble}; the best weights so far are kept"} if trouble else {})
            note(self._run / "adapted.jsonl", log, {"epoch": epoch, "step": self.step} | said)
            save_checkpoint(self._run / CHECKPOINT, self.step, self._parts)
        return self.best.network

    def summary(self) -> dict[str, int]:
        """The best epoch, 0 for the network as given; at which step it was stopped, -1 if it was not; steps made."""
        return {"best_epoch": int(self.best.epoch), "stopped_at": int(self.best.stopped), "steps": self.step}

    def _epoch(self) -> tuple[dict[str, float], str]:
        """Means of what an epoch's steps tell of themselves, and what was wrong with the last one, if anything."""
        told: list[dict[str, float]] = []
        trouble = ""
        while not trouble:
            facts, trouble = self.advance()
            told.append(facts)
            if self.step % self._per_epoch == 0:
                break
        return {name: float(np.mean([own[name] for own in told])) for name in told[0]}, trouble

    def advance(self) -> tuple[dict[str, float], str]:
        """One step: what it tells of itself, and what is wrong with it; a step with something wrong changes nothing."""
        self._train_mode()
        rng = np.random.default_rng([self._shape.seed, 2, self.step])
        rows = in_turn(self._target.rows, self._shape.batch, self.step, self._shape.seed)
        with self.model.arithmetic():
            losses, facts = (
                self._fine_tuned(rows, rng) if self._shape.objective == "fine_tune" else self._adapted(rows, rng)
            )
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self._optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        trouble = unsound(self.model, losses)
        if not trouble:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_NORM)
            self._optimiser.step()
            self.model.clamp()
            self.step += 1
        return {name: float(loss.detach()) for name, loss in losses.items()} | facts, trouble

    def _adapted(self, rows: Rows, rng: np.random.Generator) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Losses of a step that knows no target pair, and what is told of it."""
        shape = self._shape
        chosen, weights = self._choose(rows, rng)
        weights = weights.to(self.model.device)
        source, target = self._source.views(chosen, rng), self._target.views(rows, rng)
        both = self.model.pictures(torch.cat([source.pictures, target.pictures]))
        own, other = both[: len(chosen)], both[len(chosen) :]
        own_words, other_words = self.model.words(source.words), self._target_words(target, rows, rng)
        positive = source.positive.to(self.model.device)
        losses = {"triplet": weighted_triplet(own, own_words, weights, positive, shape.margin)}
        facts = {"sample_share": float(weights.sum() ** 2 / weights.square().sum() / len(weights))}
        if shape.adversary:
            known = None if other_words is None else own_words
            losses["adversary"], facts["d_accuracy"] = self._adversary(
                domain_features(own, known), domain_features(other, other_words), weights
            )
        if shape.coral:
            losses["coral"] = shape.coral * coral(own.float(), other.float())
        return losses, facts

    def _fine_tuned(self, rows: Rows, rng: np.random.Generator) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = self._target.views(rows, rng)
        return {"pairs": pair_loss(self.model, batch, self._recipe.pretraining, self._recipe.segments)}, {}

    def _choose(self, rows: Rows, rng: np.random.Generator) -> tuple[Rows, Tensor]:
        """Source rows of a step and their weights, by the snapshot's likeness to the target batch."""
        shape = self._shape
        some = rng.choice(
            len(self._source.rows), min(shape.batch * shape.candidates, len(self._source.rows)), replace=False
        )
        places = torch.from_numpy(np.searchsorted(self._target.rows, rows))
        alike = likeness(self._target_pairs[places], self._source_pairs[torch.from_numpy(some)])
        picked = draw_source(alike, self.step // self._per_epoch, shape, rng)
        weights = source_weights(alike[:, torch.from_numpy(picked)], shape.weighting, shape.temperature)
        return self._source.rows[some[picked]], weights

    def _target_words(self, target: Batch, rows: Rows, rng: np.random.Generator) -> Tensor | None:
        """(n, d) what is known of the target batch's words."""
        if self._shape.target_text == "none":
            return None
        paired = self._shape.target_text == "paired"
        return self.model.words(
            target.words if paired else self._target.views.unpaired(self._target.rows, len(rows), rng)
        )

    def _adversary(self, source: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, float]:
        """The discriminator's loss, whose gradient reaches the towers turned round, and its accuracy."""
        strength = self._shape.adversary * ramp(self.step / (self._shape.epochs * self._per_epoch))
        logits = self._discriminator(reversed_gradient(torch.cat([source, target]), strength)).float()
        own, other = logits[: len(source)], logits[len(source) :]
        return domain_loss(own, other, weights), accuracy(own, other)

    def _snapshot(self, network: TwoTowers) -> tuple[Tensor, Tensor]:
        """E_P of all source rows, and of all target rows as far as their words are known."""
        with torch.inference_mode():
            return self._pair_vectors(network, self._source, "paired"), self._pair_vectors(
                network, self._target, self._shape.target_text
            )  # fmt: skip

    def _pair_vectors(self, network: TwoTowers, side: Side, text: str) -> Tensor:
        pictures = picture_vectors(network, side)
        if self._shape.target_text == "none":
            return pair_vectors(pictures, None)
        words = text_vectors(network, side.views.words)
        captions = side.views.pictures.captions[side.rows][:, 0]
        if text == "unpaired":
            captions = np.random.default_rng([self._shape.seed, 3]).permutation(captions)
        return pair_vectors(pictures, words[torch.from_numpy(captions)])

    def _train_mode(self) -> None:
        self.model.train()
        if self._shape.statistics != "shared":
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _trouble(self, epoch: int) -> str:
        """Why a run ends before its time; "" where it goes on."""
        if collapsed(picture_vectors(self.model, self._judge.side), self._spread):
            return "the pictures' vectors have become one"
        if epochs_since(self.best, epoch) >= self._shape.patience:
            return f"no better validation for {self._shape.patience} epochs"
        return ""

    @property
    def _parts(self) -> dict[str, Stateful]:
        return {
            "model": self.model, "best": self.best, "discriminator": self._discriminator, "optimiser": self._optimiser,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where an adaptation begins: the whole network, what of it is learned, and both domains as that sees them."""

    whole: TwoTowers
    learned: TwoTowers
    source: Side
    target: Views


def prepare(network: TwoTowers, source: Side, target: Views, adapt: Rows, shape: Adaptation) -> Start:
    """The start for a copy of a network.

    Args:
        source: rows it learned from. adapt: rows of the target to adapt on.
    Raises:
        UsageError: only heads are to be learned, of a network that has none.
    """
    moved = copy.deepcopy(network)
    if shape.statistics == "target":
        measure_statistics(moved, Side(target, adapt))
    if shape.learns == "all":
        return Start(moved, moved, source, target)
    if not isinstance(network, SmallTowers) or not isinstance(moved, SmallTowers):
        raise UsageError('adaptation.learns="heads" is for networks of the kind mini')
    # Each domain by its own statistics: the source's features stay what its heads were learned with.
    ours = Side(featured(source.views, network), source.rows)
    return Start(moved, Heads(moved), ours, featured(target, moved))


def adapted(
    start: Start, parts: Mapping[str, Rows], shape: Adaptation, run: Path, recipe: DomainRecipe, log: Log,
    resume: bool = False,
) -> tuple[TwoTowers, dict[str, int]]:  # fmt: skip
    """A network moved to its target, and how that went; the start is left as it is.

    Args:
        parts: rows of the target to adapt on and to choose by. run: for the checkpoint.
    """
    if shape.objective == "measure":
        return start.whole, {}
    adapter = Adapter(start.learned, start.source, start.target, parts, shape, run, recipe)
    best = adapter.fit(log, resume)
    if not isinstance(best, Heads):
        return best, adapter.summary()
    network = copy.deepcopy(start.whole)
    assert isinstance(network, SmallTowers)
    best.put_into(network)
    return network, adapter.summary()
