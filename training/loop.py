"""Training, start to bundle: draw tiles, step, average, checkpoint, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from geoanchor.settings import Settings
from training.anchorcache import annotate_places
from training.batches import Batches, anchor_targets
from training.checkpoint import require_checkpoint
from training.data import TilePairs, cache_folder, draw_all
from training.export import export
from training.fitting import Fitting
from training.matching.pictures import cache_edits
from training.matching.stage import match
from training.model import PairModel, branch_of
from training.places import places_of
from training.readahead import ReadAhead
from training.realpairs import cache_pairs
from training.recipe import Recipe, load_recipe
from training.runlog import Log, silent
from training.validate import validate, vectors_of

CHECKPOINT = "checkpoint.pt"


def train(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    settings: Settings | None = None,
    log: Log = silent,
) -> Path:
    """Train a recipe and export the averaged model as a bundle folder, whose path is returned.

    Args:
        recipe: TOML. run: folder for tiles, checkpoints, log.jsonl and the bundle; default runs/<recipe's name>.
        overrides: "table.key=value" that win over the recipe; smoke: a minute's work, to see that all is in place.
        resume: go on from the run's checkpoint. settings: whether weights may be fetched, and where they are
            kept. log: gets a line now and then.
    Raises:
        UsageError: a bad recipe, nothing to resume, or a run that exists and is not to be resumed.
    """
    plan = load_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-smoke" if smoke else plan.name)
    require_checkpoint(run / CHECKPOINT, resume, plan)
    tiles = cache_folder(run, plan.data)
    draw_all(plan.data, tiles, log)
    if plan.pairs:
        cache_pairs(plan.pairs, plan.data.cache_px, tiles, log)
    if plan.weights.anchors or plan.matching:
        annotate_places(places_of(plan.data), tiles, log)
    session = Session(plan, TilePairs(tiles, "train"), run, TilePairs(tiles, "val"), settings)
    if resume:
        session.load()
    session.fit(log)
    fusion = None
    if plan.matching:
        cache_edits(places_of(plan.data), plan.data, tiles, 1, log)
        branch = branch_of(plan.towers)
        towers = (session.average.aerial, session.average.map)
        aerial, maps = (partial(vectors_of, tower, branch=branch) for tower in towers)
        fusion = match((aerial, maps), plan.matching, tiles, run, log)
    return export(session.average, plan, run / "bundle", fusion)


class Session(Fitting[PairModel]):
    """Both towers and the text head at one step of a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        pairs: TilePairs,
        run: Path,
        held_out: TilePairs | None = None,
        settings: Settings | None = None,
    ) -> None:
        torch.manual_seed(recipe.schedule.seed)
        schedule = recipe.schedule.model_copy(update={"steps": recipe.schedule.steps_over(len(pairs)), "epochs": 0})
        targets = anchor_targets(pairs, recipe.anchors, settings) if recipe.weights.anchors else None
        anchors, inner = (recipe.anchors, targets.vectors.shape[1]) if targets else (None, 0)
        model = PairModel(recipe.towers, anchors, inner, settings)
        super().__init__(model, schedule, run / CHECKPOINT, run / "log.jsonl")
        self._weights, self._branch, self._held_out = recipe.weights, branch_of(recipe.towers), held_out
        self.batches = ReadAhead(Batches(pairs, self._branch, schedule, targets))

    def loss(self, step: int) -> Tensor:
        """Weighted sum of the contrasts of one batch."""
        return self.model.loss(self.batches(step), self._weights)

    def bound(self) -> None:
        """Keep the scales in range."""
        self.model.clamp()

    def figures(self) -> Mapping[str, float]:
        """Recall on places that are not learned from, where there are any."""
        return validate(self.average, self._held_out, self._branch) if self._held_out else {}
