"""Codes, critic and calibration learned with three seeds over the decoder that ships, each against the plain cosine."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from benchmarks.matching import DRAWN, REAL, aurocs, drawn_pairs, real_pairs
from geoanchor.protocols import Encoder
from models.bundle import load_bundle
from training.evaluate import evaluate_map_to_aerial, evaluate_matching
from training.pairlist import read_pairs
from training.structure.export import export_structure
from training.structure.recipe import load_structure_recipe
from training.structure.tiles import cache_folder, draw_structure
from training.structure.train import kept_decoder, learn_rest

RECIPE = Path(__file__).resolve().parents[1] / "training" / "recipes" / "mini_structure.toml"
RUN = Path("runs") / "seeds"
SEEDS = (0, 1, 2)


def run() -> dict[str, Any]:
    """AUROC by kind of wrong map and recall at 1, mean over the seeds with their spread, the cosine's behind it."""
    torch.set_num_threads(1)
    if not REAL.exists():
        return {"real pairs": f"{REAL} is not there, and without them nothing is learned"}
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {"real": real_pairs(folder / "real"), DRAWN: drawn_pairs(folder / "drawn")}
        for seed in SEEDS:
            encoder = load_bundle(str(_learned(seed, folder / str(seed))))
            for figure, value in _judged(encoder, sets):
                found[figure].append(value)
    return {figure: f"{mean(values):.3f} ± {stdev(values):.3f}" for figure, values in found.items()}


def _learned(seed: int, into: Path) -> Path:
    plan = load_structure_recipe(RECIPE, (f"schedule.seed={seed}",))
    tiles = cache_folder(RUN, plan.data)
    draw_structure(plan.data, tiles, print, ("val",))
    network = kept_decoder(plan)
    return export_structure(plan, network, learn_rest(plan, network, tiles, print), into)


def _judged(encoder: Encoder, sets: dict[str, Path]) -> Iterator[tuple[str, float]]:
    for title, pairs in sets.items():
        found = evaluate_matching(encoder, read_pairs(pairs))
        for kind, (own, cosine) in aurocs(found).items():
            yield f"{title}: AUROC {kind}", own
            yield f"{title}: AUROC {kind}, plain cosine", cosine
        yield f"{title}: AUROC with the imagery swapped", found["auroc_imagery_swapped"]
    for title, file in (("real", "retrieval.csv"), ("real, moved up to 10 %", "retrieval-moved.csv")):
        recall = evaluate_map_to_aerial(encoder, read_pairs(sets["real"].with_name(file)))
        for way in ("map_to_aerial", "aerial_to_map"):
            yield f"{title}: {way} R@1", recall[way]["R@1"]
