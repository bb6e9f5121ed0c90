"""A structure run, start to bundle: draw tiles, fit the decoder, learn the codes, calibrate the matcher, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoanchor.errors import UsageError
from training.structure.batches import Ground
from training.structure.fit import CHECKPOINT, Log, StructureSession
from training.structure.pairs import read_real_pairs
from training.structure.recipe import StructureRecipe, load_structure_recipe
from training.structure.tiles import cache_folder, draw_structure, read_tiles


def silent(_line: str) -> None:
    """Log to nowhere."""


def train_structure(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    log: Log = silent,
) -> Path:
    """Train a structure recipe and export its base bundle with the decoder and matcher; the bundle's folder.

    Args and raises: as `training.loop.train`.
    """
    plan = load_structure_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-structure-smoke" if smoke else f"{plan.name}-structure")
    there = (run / CHECKPOINT).is_file()
    if resume != there:
        say = "holds a run already; go on with --resume" if there else f"holds no {CHECKPOINT} to resume from"
        raise UsageError(f"{run}: {say}")
    tiles = cache_folder(run, plan.data)
    draw_structure(plan.data, tiles, log)
    session = StructureSession(plan.decoder, plan.schedule, _grounds(plan, tiles), run)
    if resume:
        session.load()
    session.fit(log)
    return run


def _grounds(plan: StructureRecipe, tiles: Path) -> list[Ground]:
    """What a recipe learns from: real pairs where they lie at hand, and drawn tiles."""
    aerial, classes = read_tiles(tiles, "train")
    real = plan.pairs.share if plan.pairs.path.exists() else 0.0
    grounds = [Ground(aerial, classes, 1 - real)]
    if real:
        pairs = read_real_pairs(plan.pairs.path, "train")
        grounds.insert(0, Ground(pairs.aerial, pairs.classes, real))
    return grounds
