"""Grounds that are opened once, and networks trained on one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from geoanchor.settings import Settings
from training.domain.batches import Side, Views
from training.domain.ground import open_ground
from training.domain.judge import Judge
from training.domain.network import TwoTowers, build_network
from training.domain.pictures import PRETRAINING, DomainPictures
from training.domain.pretrain import CHECKPOINT, Pretrainer
from training.domain.recipe import DomainRecipe
from training.domain.words import words_of
from training.runlog import Log


@dataclass
class Grounds:
    """A recipe's grounds, drawn or read into `cache` when first asked for; weights come as settings let them."""

    recipe: DomainRecipe
    cache: Path
    log: Log
    settings: Settings | None = None
    _opened: dict[str, DomainPictures] = field(default_factory=dict)

    def views(self, name: str, network: TwoTowers) -> Views:
        """Random views of a ground, its texts as a network reads them."""
        if name not in self._opened:
            self._opened[name] = open_ground(self.recipe, name, self.cache, self.log, self.settings)
        pictures = self._opened[name]
        return Views(pictures, words_of(pictures, network, self.recipe.network, self.cache), network.size_px)


def train_source(grounds: Grounds, name: str, seed: int, folder: Path) -> TwoTowers:
    """The network of a recipe trained on a ground; a stopped training goes on where it was.

    How good it is on the ground's own test is kept in `folder`/test.json.
    """
    recipe = grounds.recipe
    torch.manual_seed(seed)
    network = build_network(recipe.network, grounds.settings)
    views = grounds.views(name, network)
    parts = views.pictures.split(PRETRAINING)
    shape = recipe.pretraining.model_copy(update={"seed": seed})
    held_out = Judge(Side(views, parts["validation"]))
    trainer = Pretrainer(network, Side(views, parts["train"]), held_out, shape, recipe.segments, folder)
    if (folder / CHECKPOINT).is_file():
        trainer.load()
    done = trainer.fit(grounds.log)
    figures = folder / "test.json"
    if not figures.is_file():
        figures.write_text(json.dumps(Judge(Side(views, parts["test"]))(done), indent=1))
        grounds.log(f"{name}, seed {seed}, on its own test: {figures.read_text()}")
    return done
