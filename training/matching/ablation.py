"""The paper's ablation on frozen backbones: what anchors and prototypes each add, on real pairs and on the city."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle import read_bundle
from models.fusion import Calibration, FusionScorer
from training.anchorcache import annotate_places
from training.batches import AnchorTargets, anchor_targets
from training.data import TilePairs, draw_all, draw_place
from training.matching.calibrate import calibrate
from training.matching.examples import Edits, Examples
from training.matching.fit import MatchingSession
from training.matching.heads import HeadSchedule, Sides, fit_heads, frozen_towers, headed
from training.matching.judge import cosine, judged, trials
from training.matching.pictures import cache_edits
from training.matching.stage import examples_of
from training.places import Place, Split, places_of
from training.realpairs import PLACE, cache_pairs
from training.recipe import Matching, Recipe, Weights
from training.runlog import Log

SETS = ("maps", "city")
TEST_CITIES = tuple(
    Place(f"city-{seed}-{country}", "test", seed, 120, country)
    for seed, country in ((901, "A"), (902, "B"), (903, "C"))
)
"""Unseen towns, one of a country that nothing learns from."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: whether stage one knows anchors, and whether stage two knows prototypes."""

    name: str
    anchors: bool
    prototypes: bool


ROWS = (
    Row("image-map contrast, prototypes", False, True),
    Row("anchors, no prototypes", True, False),
    Row("full", True, True),
)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Features of one data set: to learn from, to choose and calibrate on, and to judge once."""

    train: Examples
    val: Examples
    test: Examples
    anchors: AnchorTargets


def prepare(recipe: Recipe, tiles: Path, log: Log) -> None:
    """Draw, annotate and make wrong what the cache at `tiles` does not hold yet."""
    draw_all(recipe.data, tiles, log)
    places = [*places_of(recipe.data), *TEST_CITIES]
    for place in TEST_CITIES:
        if not (tiles / place.split / place.name).is_dir():
            log(f"drew {draw_place(place, recipe.data, tiles)} tiles of {place.name}")
    annotate_places(places, tiles, log)
    cache_edits(places, recipe.data, tiles, 1, log)
    if recipe.pairs:
        cache_pairs(recipe.pairs, recipe.data.cache_px, tiles, log, ("train", "val", "test"))


def ground_of(name: str, recipe: Recipe, tiles: Path, bundle: Path, views: int) -> Ground:
    """Features of the bundle's backbones, read from `tiles` where they are kept from an earlier run."""
    encoders, _ = frozen_towers(bundle)
    made = f"{bundle.name}-{read_bundle(bundle).weights_sha256[:8]}-{views}"
    kept: dict[Split, Examples] = {}
    for split in ("train", "val", "test"):
        file = tiles / f"features-{name}-{split}-{made}.npz"
        if not file.is_file():
            own = _places(name, recipe, split)
            write_examples(file, examples_of(tiles, split, encoders, views if split == "train" else 1, own))
        kept[split] = read_examples(file)
    pairs = TilePairs(tiles, "train", _places(name, recipe, "train"))
    return Ground(kept["train"], kept["val"], kept["test"], anchor_targets(pairs, recipe.anchors))


def run_row(ground: Ground, row: Row, seed: int, recipe: Recipe, shape: Matching) -> dict[str, dict[str, float]]:
    """One run, both stages: figures of the matcher and of the plain cosine of the same vectors, judged on the test."""
    weights = recipe.weights if row.anchors else Weights(aerial_text=0, map_text=0, keyword=0, aerial_map=1)
    sides = fit_heads(
        ground.train, ground.anchors if row.anchors else None, recipe.towers, weights, HeadSchedule(seed=seed)
    )
    shape = shape.model_copy(update={"seed": seed} | ({} if row.prototypes else {"weight": 0.0}))
    scorer, history = fit_matching(ground.train, ground.val, sides, shape)
    tests, held_out = (trials(headed(side, sides)) for side in (ground.test, ground.val))
    last = {name: history[-1][name] for name in ("protos_used", "perplexity")}
    return {
        "matcher": judged(scorer.probability, tests, held_out) | last | {"alpha": scorer.calibration.alpha},
        "cosine": judged(cosine, tests, held_out),
    }


def fit_matching(
    train: Examples, val: Examples, sides: Sides, shape: Matching
) -> tuple[FusionScorer, Sequence[Mapping[str, float]]]:
    """Stage two over the features of frozen backbones under given heads; calibrated on `val`."""
    session = MatchingSession(shape, headed(train, sides))
    net = session.fit()
    found = calibrate(net.scorer(Calibration()), headed(val, sides), shape)
    return net.scorer(found), session.history


def run_all(
    recipe: Recipe, run: Path, bundle: Path, seeds: Sequence[int], log: Log, tiles: Path
) -> dict[str, dict[str, float]]:
    """Every row, set and seed that `run` does not hold yet; "set / row" -> mean and spread over the seeds."""
    assert recipe.matching is not None
    run.mkdir(parents=True, exist_ok=True)
    table = {}
    for name in SETS:
        ground: Ground | None = None
        for row in ROWS:
            done = []
            for seed in seeds:
                file = run / f"{name}-{ROWS.index(row)}-{seed}.json"
                if not file.is_file():
                    ground = ground or ground_of(name, recipe, tiles, bundle, recipe.matching.views)
                    file.write_text(json.dumps(run_row(ground, row, seed, recipe, recipe.matching), indent=1))
                    log(f"{name}, {row.name}, seed {seed}: {file.read_text()}")
                done.append(json.loads(file.read_text()))
            for score in ("matcher", "cosine"):
                table[f"{name} / {row.name} / {score}"] = spread([one[score] for one in done])
    return table


def spread(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over the seeds of each figure, and its standard deviation as "... sd"."""
    found = {}
    for name in figures[0]:
        values = np.array([one[name] for one in figures])
        found[name] = round(float(values.mean()), 4)
        found[f"{name} sd"] = round(float(values.std(ddof=1)) if len(values) > 1 else 0.0, 4)
    return found


def write_examples(file: Path, examples: Examples) -> None:
    """Keep examples as one .npz without pickles, features in half precision."""
    partial = file.with_name(f"part-{file.name}")
    np.savez(
        partial,
        aerial=examples.aerial.astype(np.float16), maps=examples.maps.astype(np.float16),
        changed=examples.changed.astype(np.float16), row=examples.edits.row, kind=examples.edits.kind,
        strength=examples.edits.strength, attributes=examples.attributes, plain=examples.plain,
    )  # fmt: skip
    partial.replace(file)


def read_examples(file: Path) -> Examples:
    """What `write_examples` kept."""
    with np.load(file, allow_pickle=False) as kept:
        aerial, maps, changed = (kept[name].astype(np.float32) for name in ("aerial", "maps", "changed"))
        edits = Edits(kept["row"], kept["kind"], kept["strength"])
        return Examples(aerial, maps, changed, edits, kept["attributes"], kept["plain"])


def _places(name: str, recipe: Recipe, split: Split) -> list[str]:
    """Names of a data set's places in a split."""
    if name == "maps":
        return [PLACE]
    places = [*places_of(recipe.data), *TEST_CITIES]
    return [place.name for place in places if place.split == split and place.country]
