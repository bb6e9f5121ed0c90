"""The adaptation matrix: every transfer, every row of the ablation, every seed; finished cells are kept as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.domain.adapt import Start, adapted, prepare
from training.domain.batches import Side
from training.domain.ground import is_there
from training.domain.judge import Judge
from training.domain.network import TwoTowers
from training.domain.pictures import PRETRAINING, adaptation_split
from training.domain.recipe import Adaptation, DomainRecipe
from training.domain.source import Grounds, train_source
from training.runlog import Log

ROWS: dict[str, Mapping[str, Any] | None] = {
    "no adaptation": None,
    "statistics alone": {"objective": "measure"},
    "w/o SS": {"sampling": "random"},
    "w/o CL": {"curriculum": False},
    "w/o AT": {"adversary": 0.0},
    "full": {},
    "upper bound": {"objective": "fine_tune"},
}
"""Row -> what it changes in the recipe's adaptation; None leaves the network as the source made it."""


class Experiment:
    """A recipe's cells, and the networks that they begin with, each trained once.

    Attributes:
        folder: where networks and cells of this very recipe are kept; pictures lie beside it.
    """

    def __init__(self, recipe: DomainRecipe, run: Path, log: Log) -> None:
        said = recipe.model_dump_json(exclude={"transfers", "description", "licence", "adaptation"})
        self.folder = run / f"matrix-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
        self._recipe, self._log = recipe, log
        self._grounds = Grounds(recipe, run / "pictures", log)
        self._sources: dict[tuple[str, int], TwoTowers] = {}
        self._start: tuple[tuple[str, str, int, str, str], Start] | None = None

    def source(self, name: str, seed: int) -> TwoTowers:
        """The network trained on a source, to be copied before it is changed."""
        if (name, seed) not in self._sources:
            self._sources[name, seed] = train_source(self._grounds, name, seed, self.folder / f"{name}-{seed}")
        return self._sources[name, seed]

    def cell(self, source: str, target: str, row: str, seed: int) -> dict[str, Any]:
        """Figures of one run, on the target's test."""
        change = ROWS[row]
        shape = self._recipe.adaptation.model_copy(update={"seed": seed} | dict(change or {}))
        said = shape.model_dump_json() if change is not None else str(seed)
        key = hashlib.sha256(said.encode()).hexdigest()[:8]
        file = self.folder / "cells" / f"{source}-{target}-{row.replace('/', '').replace(' ', '-')}-{seed}-{key}.json"
        if not file.is_file():
            figures = self._run(source, target, shape if change is not None else None, seed, file.with_suffix(""))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(figures, indent=1))
            self._log(f"{source} to {target}, {row}, seed {seed}: mean recall {figures['mean_recall']}")
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return found

    def _run(self, source: str, target: str, shape: Adaptation | None, seed: int, folder: Path) -> dict[str, Any]:
        network = self.source(source, seed)
        ours, theirs = self._grounds.views(source, network), self._grounds.views(target, network)
        parts = adaptation_split(ours.pictures, theirs.pictures)
        test = Judge(Side(theirs, parts["test"]))
        if shape is None:
            return test(network)
        key = (source, target, seed, shape.learns, shape.statistics)
        if self._start is None or self._start[0] != key:
            train = Side(ours, ours.pictures.split(PRETRAINING)["train"])
            self._start = key, prepare(network, train, theirs, parts["adapt"], shape)
        network, facts = adapted(self._start[1], parts, shape, folder, self._recipe, self._log)
        return test(network) | facts


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
        # A seed's rows begin with the same network, so they go together.
        cells = {seed: {row: experiment.cell(source, target, row, seed) for row in ROWS} for seed in seeds}
        table[f"{source} to {target}"] = {row: _over_seeds([cells[seed][row] for seed in seeds]) for row in ROWS}
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
