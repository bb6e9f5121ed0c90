"""A domain run, start to model: read or draw, train on the source, adapt to the target, export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from geoanchor.settings import Settings
from training.checkpoint import require_checkpoint
from training.domain.adapt import adapted, prepare
from training.domain.batches import Side
from training.domain.export import export_network, model_name
from training.domain.judge import Judge
from training.domain.pictures import PRETRAINING, adaptation_split
from training.domain.pretrain import CHECKPOINT
from training.domain.recipe import load_domain_recipe
from training.domain.source import Grounds, train_source
from training.runlog import Log, silent


def train_domain(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    settings: Settings | None = None,
    log: Log = silent,
) -> Path:
    """Train a domain recipe on its source and adapt it to its target; the bundle, or the weights of open_clip.

    Recall on the target's test before and after is kept in figures.json of the run's folder.

    Args and raises: as `training.loop.train`; UsageError also where a ground's files are absent, TrainingFailed where
    the source's training comes to no numbers.
    """
    plan = load_domain_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-smoke" if smoke else plan.name)
    require_checkpoint(run / CHECKPOINT, resume, plan)
    grounds = Grounds(plan, run / "pictures", log, settings)
    network = train_source(grounds, plan.source, plan.pretraining.seed, run)
    source, target = (grounds.views(name, network) for name in (plan.source, plan.target))
    parts = adaptation_split(source.pictures, target.pictures)
    train = Side(source, source.pictures.split(PRETRAINING)["train"])
    start = prepare(network, train, target, parts["adapt"], plan.adaptation)
    moved, facts = adapted(start, parts, plan.adaptation, run, plan, log, resume)
    judge = Judge(Side(target, parts["test"]))
    before, after = judge(network), judge(moved)
    figures = {"target_text": plan.adaptation.target_text, "before": before, "after": after, "adaptation": facts}
    (run / "figures.json").write_text(json.dumps(figures, indent=1), "utf-8")
    log(f"mean recall on the target's test: {before['mean_recall']} before, {after['mean_recall']} after")
    made = export_network(moved, plan, run / "bundle")
    log(f"--model takes it as {model_name(plan, made)}")
    return made
