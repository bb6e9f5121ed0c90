"""A scenes run, start to bundle: draw and read, learn aerial tower and words, then the map tower, then the matcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from geoanchor.protocols import Vectors
from models.bundle import WEIGHTS_NAME, bundle_folder, read_bundle
from models.fusion import FusionScorer
from models.towers import Head
from models.weights import Weights
from training.anchorcache import annotate_places
from training.checkpoint import require_checkpoint
from training.data import TilePairs, cache_folder, draw_all
from training.matching.pictures import cache_edits
from training.matching.stage import match
from training.model import branch_of
from training.places import Place, places_of
from training.realpairs import PLACE, cache_pairs
from training.runlog import Log, silent
from training.scenes.export import export_scenes
from training.scenes.fit import CHECKPOINT, ScenesSession
from training.scenes.maps import CHECKPOINT as MAP_CHECKPOINT
from training.scenes.maps import MapModel, MapSession
from training.scenes.model import SceneModel
from training.scenes.pictures import ScenePictures, cache_scenes
from training.scenes.recipe import ScenesRecipe, aerial_branch, load_scenes_recipe
from training.validate import vectors_of


def train_scenes(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    log: Log = silent,
) -> Path:
    """Train a scenes recipe and export its base bundle with the new towers and words; the bundle's folder.

    Args and raises: as `training.loop.train`; UsageError also where the captioned pictures are not there.
    """
    plan = load_scenes_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-scenes-smoke" if smoke else f"{plan.name}-scenes")
    require_checkpoint(run / CHECKPOINT, resume, plan)
    tiles = cache_folder(run, plan.data)
    _prepare(plan, run, tiles, log)
    scenes = ScenePictures(run / "scenes", "train")
    session = ScenesSession(plan, scenes, ScenePictures(run / "scenes", "validation"), TilePairs(tiles, "train"), run)
    if resume:
        session.load()
    elif plan.start and not Path(plan.start).is_file():
        session.settle()
    model = session.fit(log)
    maps = _map_tower(plan, model, tiles, run, log)
    return export_scenes(plan, model, maps, _fusion(plan, model, maps, tiles, run, log), run / "bundle")


def _prepare(plan: ScenesRecipe, run: Path, tiles: Path, log: Log) -> None:
    """Everything that is read or drawn once."""
    cache_scenes(plan.scenes, run / "scenes", log)
    draw_all(plan.data, tiles, log)
    if plan.pairs:
        cache_pairs(plan.pairs, plan.data.cache_px, tiles, log)
    matched = [place for place in places_of(plan.data) if place.split != "train"] + _matched(plan)
    annotate_places(matched, tiles, log)
    cache_edits(matched, plan.data, tiles, 1, log)


def _matched(plan: ScenesRecipe) -> list[Place]:
    """Drawn places that the matcher learns from."""
    return [place for place in places_of(plan.data) if place.split == "train"][: plan.matched]


def _map_tower(plan: ScenesRecipe, model: SceneModel, tiles: Path, run: Path, log: Log) -> MapModel:
    words = cast(Head, model.text["head"])
    session = MapSession(plan.map_tower, plan.map_schedule, model.aerial, words, TilePairs(tiles, "train"), run)
    if (run / MAP_CHECKPOINT).is_file():
        session.load()
    else:
        session.start_from(_base_maps(plan), model)
    return session.fit(log)


def _base_maps(plan: ScenesRecipe) -> Mapping[str, Vectors]:
    """Tensors of the base's map tower; none where it is another network."""
    folder = bundle_folder(plan.base)
    manifest = read_bundle(folder)
    if manifest.branches["map"] != branch_of(plan.map_tower):
        return {}
    return Weights(folder / WEIGHTS_NAME, manifest.weights_sha256).read("map")


def _fusion(plan: ScenesRecipe, model: SceneModel, maps: MapModel, tiles: Path, run: Path, log: Log) -> FusionScorer:
    encoders = (
        partial(vectors_of, model.aerial, branch=aerial_branch(plan)),
        partial(vectors_of, maps.map, branch=branch_of(plan.map_tower)),
    )
    return match(encoders, plan.matching, tiles, run, log, [PLACE, *(place.name for place in _matched(plan))])
