"""A scenes recipe: captioned pictures and drawn tiles to learn from, one tower, stages of growing pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from models.bundle import Branch
from training.model import branch_of
from training.recipe import SMOKE as DRAWN_SMOKE
from training.recipe import Data, Matching, Pairs, Schedule, Strict, Towers, read_recipe, read_tree


class Scenes(Strict):
    """Real pictures with captions and, where the file names it, the kind of scene; a tenth by hash is for judging.

    Attributes:
        pictures: folder or tar; captions: JSON list of {"image", "captions", "scene"?}, relative to the working folder.
        cache_px: side of the pictures as kept. limit: take the first so many of each part, 0 for all.
    """

    pictures: Path
    captions: Path
    cache_px: int = Field(default=150, gt=0)
    limit: int = Field(default=0, ge=0)


class Stage(Strict):
    """So many steps with pictures of that side."""

    size_px: int = Field(gt=0)
    steps: int = Field(gt=0)


class Objective(Strict):
    """What is asked of the tower and the text head, and how much each counts.

    Attributes:
        scenes, drawn: contrast of real pictures, and of drawn tiles, with their captions; keyword: of drawn tiles with
            words for what is in them; kind: naming the scene.
        soft: share of a target that goes to captions like the picture's own, by `temperature` of their cosine.
        blended: share of steps' captions that are mixtures of a picture's own.
        mixed: share of batches whose pictures are mixtures of two.
        memory: pictures of earlier steps that are kept as negatives.
        bank: share of the pictures' half that asks among all captions learned from, each as often as it was told,
            instead of those of batch and memory: what a picture meets when it is asked for its captions.
    """

    scenes: float = Field(default=1.0, ge=0)
    drawn: float = Field(default=0.5, ge=0)
    keyword: float = Field(default=0.1, ge=0)
    kind: float = Field(default=0.3, ge=0)
    soft: float = Field(default=0.3, ge=0, lt=1)
    temperature: float = Field(default=0.05, gt=0)
    blended: float = Field(default=0.5, ge=0, le=1)
    mixed: float = Field(default=0.4, ge=0, le=1)
    memory: int = Field(default=1024, ge=0)
    bank: float = Field(default=0.0, ge=0, le=1)


class ScenesSchedule(Schedule):
    """The schedule of any training; `drawn` of the pictures of a step are drawn tiles, the rest are real."""

    drawn: int = Field(default=32, gt=0)


class ScenesRecipe(Strict):
    """Everything a scenes run depends on besides the code.

    Attributes:
        base: the bundle whose other parts are kept. start: checkpoint of an earlier run whose average is learned on
            from, or a bundle whose aerial tower and words are; from nothing where there is none.
        views: mirrored copies of an aerial picture that are averaged.
        matched: places of the training split whose wrong maps the matcher learns from; real pairs come on top.
    """

    name: str
    description: str
    licence: str
    base: str = "mini"
    start: str | None = None
    data: Data
    pairs: Pairs | None = None
    scenes: Scenes
    towers: Towers
    stages: tuple[Stage, ...] = Field(min_length=1)
    objective: Objective = Objective()
    schedule: ScenesSchedule
    map_tower: Towers
    views: Literal[1, 2, 4] = 1
    map_schedule: Schedule
    matching: Matching
    matched: int = Field(default=8, gt=0)


SMOKE = (
    *(setting for setting in DRAWN_SMOKE if not setting.startswith("schedule.steps")),
    "schedule.steps=12",
    "schedule.drawn=8",
    "stages=[{size_px=32, steps=8}, {size_px=64, steps=4}]",
    "objective.memory=32",
    "scenes.limit=300",
    "map_schedule.steps=8",
    "map_schedule.batch=32",
    "map_schedule.log_every=4",
    "matched=1",
    "matching.epochs=1",
    "matching.views=1",
)


def aerial_branch(recipe: ScenesRecipe) -> Branch:
    """How pictures are prepared for the aerial tower."""
    return branch_of(recipe.towers).model_copy(update={"views": recipe.views})


def is_scenes_recipe(path: Path) -> bool:
    """Whether a TOML file speaks of scenes. Raises UsageError when it cannot be read."""
    return "scenes" in read_tree(path)


def load_scenes_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> ScenesRecipe:
    """Read a scenes recipe; see `training.recipe.read_recipe`."""
    return read_recipe(path, ScenesRecipe, overrides, SMOKE if smoke else None)
