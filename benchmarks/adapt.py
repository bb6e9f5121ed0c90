"""`adapt` on ground that `mini` never learned from: what it gains, and whether wrong maps are learned by heart."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import geoanchor
from app.adapting import adapt
from app.index import Index
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASS_OF, shares
from geoanchor.tiling import Bounds, Tile
from models.codes import CELLS, log_odds
from models.critic import features
from models.matcher import StructureMatcher
from retrieval import metrics
from training.adapt.blocks import split_blocks
from training.adapt.ground import OwnGround, read_ground
from training.adapt.learning import beliefs, continued
from training.structure.base import Base

BANEPA = Path("../shared/data/banepa")
TOWN = "city:61000/C"
"""Of the country that no recipe learns from."""
MIDDLE, WIDER = (78255, 51039, 78263, 51045), (78254, 51038, 78264, 51046)
"""Tiles of the town at zoom 17, first and last columns and rows."""
SEEDS = (0, 1, 2)
WRONG, STEPS = 0.1, 60
"""Share of the maps that are made wrong, and steps of each decoder beside them."""
_BUILT = 0.02


def run() -> dict[str, Any]:
    """Gain on blocks not learned from; wrong maps among the worst, by the shipped decoder, cross-fitted and plain."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if BANEPA.exists():
            imagery, osm = str(BANEPA / "imagery"), str(BANEPA / "osm.geojson")
            figures |= _gains("Banepa", _indexed(imagery, osm, 19, None, folder / "banepa"), folds=3, steps=40)
        middle = _indexed(TOWN, TOWN, 17, _box(*MIDDLE), folder / "middle")
        figures |= _gains(f"SYNTHETIC, {TOWN}", middle, folds=2, steps=20)
        wider = geoanchor.open(_indexed(TOWN, TOWN, 17, _box(*WIDER), folder / "wider"))
        return figures | _wrong(f"SYNTHETIC, {TOWN}, {WRONG:.0%} of the maps wrong", wider)


def _indexed(imagery: str, drawn: str, zoom: int, box: Bounds | None, into: Path) -> Path:
    geoanchor.build(imagery, into, zoom=zoom, within=box)
    geoanchor.build(drawn, into, layer="map", zoom=zoom, within=box)
    return into


def _box(first_x: int, first_y: int, last_x: int, last_y: int) -> Bounds:
    top_left, bottom_right = Tile(17, first_x, first_y).bounds, Tile(17, last_x, last_y).bounds
    return Bounds(top_left.west, bottom_right.south, bottom_right.east, top_left.north)


def _gains(title: str, index: Path, folds: int, steps: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for seed in SEEDS:
        own = index.with_suffix(f".{seed}")
        shutil.copytree(index, own)
        made = adapt(own, folds=folds, steps=steps, seed=seed)
        gain = mean(made.after.values()) - mean(made.before.values())
        kinds = ", ".join(f"{kind} {made.before[kind]:.3f} -> {made.after[kind]:.3f}" for kind in made.before)
        said = f"{gain:+.3f} ± {made.error:.3f}, {'kept' if made.kept else 'not kept'}, {made.seconds:.0f} s"
        figures[f"{title}, seed {seed}, {made.pairs} pairs: mean AUROC of map edits"] = f"{said} ({kinds})"
    return figures


def _wrong(title: str, index: Index) -> dict[str, Any]:
    base, figures = Base("mini"), dict[str, list[tuple[int, float]]]()
    for seed in SEEDS:
        ground = read_ground(index._serving, index._store, base.spec.size_px, seed)
        ground, wrong = _made_wrong(ground, seed)
        for name, believed in _believed(base, ground, seed, str(index.folder)):
            logits = _agreement(base, ground, believed)
            found = int(wrong[np.argsort(logits)[: wrong.sum()]].sum())
            figures.setdefault(name, []).append((found, metrics.auroc(-logits.astype(np.float64), wrong)))
    return {
        f"{title}: {name}, seeds {SEEDS}": f"{[n for n, _ in said]} of {wrong.sum()} worst are wrong ones, AUROC "
        f"{', '.join(f'{auroc:.3f}' for _, auroc in said)}"
        for name, said in figures.items()
    }


def _made_wrong(ground: OwnGround, seed: int) -> tuple[OwnGround, NDArray[np.bool_]]:
    """Every second wrong map without its buildings where it has any, the others another place's map."""
    rng, count = np.random.default_rng(seed), len(ground)
    rows = np.sort(rng.permutation(count)[: round(WRONG * count)])
    right = np.setdiff1d(np.arange(count), rows)
    classes = ground.classes.copy()
    for number, row in enumerate(rows):
        built = classes[row] == CLASS_OF["building"]
        if number % 2 == 0 and built.mean() > _BUILT:
            classes[row][built] = CLASS_OF["other"]
        else:
            classes[row] = ground.classes[rng.choice(right)]
    return replace(ground, classes=classes), np.isin(np.arange(count), rows)


def _believed(base: Base, ground: OwnGround, seed: int, where: str) -> Iterator[tuple[str, Vectors]]:
    """Log-beliefs of the pictures by decoders that learned from all, from the other fold, or from none of the maps."""
    fold, pictures, everything = split_blocks(ground.cells, 2, where).of(ground.cells), list(ground.aerial), len(ground)

    def learned(rows: NDArray[np.int64], number: int) -> Any:
        return base.decoder(continued(base, ground, rows, STEPS, 100 * seed + number, lambda _: None))

    yield "as it ships", base.decoder().log_beliefs(pictures)
    crossed = [learned(np.flatnonzero(fold != number), number) for number in (0, 1)]
    yield "adapted, cross-fitted", beliefs(crossed, fold, pictures)
    yield "adapted, plain", learned(np.arange(everything), 9).log_beliefs(pictures)


def _agreement(base: Base, ground: OwnGround, believed: Vectors) -> Vectors:
    """The critic's logits (n,) that map and picture agree."""
    books = base.encoder.books
    matcher = StructureMatcher(books, base.critic, None, np.array([0, 1], np.float32))
    maps = books.encode(np.stack([shares(classes, CELLS) for classes in ground.classes]), "map")
    aerials = books.encode(log_odds(believed, books.prior), "aerial")
    evidence, _ = matcher.evidence(maps, aerials, 0.1, np.zeros((len(ground), 2), np.float32))
    return base.critic(features(evidence, books.prior))
