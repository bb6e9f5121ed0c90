"""The paper's ablation of U-CSA, three rows on two data sets with three seeds; a stopped run goes on where it was."""

from __future__ import annotations

from pathlib import Path

import torch

from models.bundle import SHIPPED
from training.data import cache_folder
from training.matching.ablation import prepare, run_all
from training.recipe import load_recipe

RECIPE = Path(__file__).resolve().parents[1] / "training" / "recipes" / "u_csa_mini.toml"
RUN = Path("runs") / "ablation"
SEEDS = (0, 1, 2)


def run() -> dict[str, float]:
    """Set, row, score and figure -> mean over the seeds, and its spread; the frozen backbones are those of `mini`."""
    torch.set_num_threads(1)
    recipe = load_recipe(RECIPE)
    tiles = cache_folder(RUN, recipe.data)
    prepare(recipe, tiles, print)
    table = run_all(recipe, RUN, SHIPPED / "mini", SEEDS, print, tiles)
    return {f"{key} / {name}": value for key, figures in table.items() for name, value in figures.items()}
