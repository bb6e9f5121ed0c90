"""The adaptation matrix: every transfer, every row of the ablation, every seed; finished cells are kept as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.domain.adapt import adapted
from training.domain.batches import Side, Views
from training.domain.ground import is_there, open_ground
from training.domain.judge import Judge
from training.domain.network import TwoTowers, build_network
from training.domain.pictures import PRETRAINING, DomainPictures, adaptation_split
from training.domain.pretrain import CHECKPOINT, Pretrainer
from training.domain.recipe import Adaptation, DomainRecipe
from training.domain.words import words_of
from training.runlog import Log

ROWS: dict[str, Mapping[str, Any] | None] = {
    "no adaptation": None,
    "w/o SS": {"sampling": "random"},
    "w/o CL": {"curriculum": False},
    "w/o AT": {"adversary": 0.0},
    "full": {},
    "upper bound": {"objective": "fine_tune"},
}
"""Row -> what it changes in the recipe's adaptation; None leaves the network as the source made it."""


@dataclass
class Experiment:
    """A recipe's grounds and the networks trained on them, each made once and kept below `run`.

    Args:
        run: pictures lie in `run`/pictures, the rest in a folder named by what the recipe says of the learning.
    """

    recipe: DomainRecipe
    run: Path
    log: Log
    _grounds: dict[str, DomainPictures] = field(default_factory=dict)
    _sources: dict[tuple[str, int], TwoTowers] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where networks and cells of this very recipe are kept."""
        said = self.recipe.model_dump_json(exclude={"transfers", "description", "licence", "adaptation"})
        return self.run / f"matrix-{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def views(self, name: str, network: TwoTowers) -> Views:
        """Random views of a ground."""
        cache = self.run / "pictures"
        if name not in self._grounds:
            self._grounds[name] = open_ground(self.recipe, name, cache, self.log)
        pictures = self._grounds[name]
        return Views(pictures, words_of(pictures, network, self.recipe.network, cache), network.size_px)

    def source(self, name: str, seed: int) -> TwoTowers:
        """The network trained on a source, to be copied before it is changed; a stopped training goes on."""
        if (name, seed) not in self._sources:
            self._sources[name, seed] = self._trained(name, seed)
        return self._sources[name, seed]

    def _trained(self, name: str, seed: int) -> TwoTowers:
        folder = self.folder / f"{name}-{seed}"
        torch.manual_seed(seed)
        network = build_network(self.recipe.network)
        views = self.views(name, network)
        parts = views.pictures.split(PRETRAINING)
        shape = self.recipe.pretraining.model_copy(update={"seed": seed})
        held_out = Judge(Side(views, parts["validation"]))
        trainer = Pretrainer(network, Side(views, parts["train"]), held_out, shape, self.recipe.segments, folder)
        if (folder / CHECKPOINT).is_file():
            trainer.load()
        done = trainer.fit(self.log)
        figures = folder / "test.json"
        if not figures.is_file():
            figures.write_text(json.dumps(Judge(Side(views, parts["test"]))(done), indent=1))
            self.log(f"{name}, seed {seed}, on its own test: {figures.read_text()}")
        return done

    def cell(self, source: str, target: str, row: str, seed: int) -> dict[str, Any]:
        """Figures of one run, on the target's test."""
        change = ROWS[row]
        shape = self.recipe.adaptation.model_copy(update={"seed": seed} | dict(change or {}))
        said = shape.model_dump_json() if change is not None else str(seed)
        key = hashlib.sha256(said.encode()).hexdigest()[:8]
        file = self.folder / "cells" / f"{source}-{target}-{row.replace('/', '').replace(' ', '-')}-{seed}-{key}.json"
        if not file.is_file():
            figures = self._run(source, target, shape if change is not None else None, seed, file.with_suffix(""))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(figures, indent=1))
            self.log(f"{source} to {target}, {row}, seed {seed}: mean recall {figures['mean_recall']}")
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return found

    def _run(self, source: str, target: str, shape: Adaptation | None, seed: int, folder: Path) -> dict[str, Any]:
        network = self.source(source, seed)
        ours, theirs = self.views(source, network), self.views(target, network)
        parts = adaptation_split(ours.pictures, theirs.pictures)
        facts: dict[str, Any] = {}
        if shape is not None:
            train = Side(ours, ours.pictures.split(PRETRAINING)["train"])
            network, facts = adapted(
                network, train, theirs, parts, shape, folder, self.recipe, self.log
            )  # fmt: skip
        return Judge(Side(theirs, parts["test"]))(network) | facts


def run_matrix(recipe: DomainRecipe, run: Path, seeds: Sequence[int], log: Log) -> dict[str, Any]:
    """Every cell; transfer -> row -> mean, spread over the seeds, chance, and each seed's figures.

    A transfer whose files are absent is left out and named under "absent".
    """
    experiment = Experiment(recipe, run, log)
    table: dict[str, Any] = {}
    absent = []
    for source, target in recipe.transfers:
        if not (is_there(recipe.grounds[source]) and is_there(recipe.grounds[target])):
            absent.append(f"{source} to {target}")
            continue
        table[f"{source} to {target}"] = {
            row: _over_seeds([experiment.cell(source, target, row, seed) for seed in seeds]) for row in ROWS
        }
    return {"transfers": table, "absent": absent, "seeds": list(seeds), "target_text": recipe.adaptation.target_text}


def _over_seeds(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = np.array([cell["mean_recall"] for cell in cells])
    return {
        "mean_recall": round(float(values.mean()), 3),
        "sd": round(float(values.std(ddof=1)), 3) if len(values) > 1 else None,
        "chance": cells[0]["chance"],
        "images": cells[0]["images"],
        "captions": cells[0]["captions"],
        "runs": list(cells),
    }
