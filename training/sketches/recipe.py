"""A recipe of sketches: what they learn from, their shape and their schedule; one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from training.recipe import Data, Schedule, Strict, read_recipe, read_tree
from training.structure.recipe import Pairs


class Sketch(Strict):
    """Shape of `models.sketches.Sketches`: channels that are drawn, and width of the layers before them.

    `views` is how many windows of each picture are learned from.
    """

    channels: int = Field(default=16, gt=0)
    width: int = Field(default=32, gt=0)
    views: int = Field(default=5, gt=0)


class SketchSchedule(Schedule):
    """The schedule of any training; `trimmed` is the share of a batch, the worst told, that is not learned from: over
    open water nothing tells a shift, and some maps lie off their pictures by themselves."""

    trimmed: float = Field(default=0.1, ge=0, lt=1)


class SketchRecipe(Strict):
    """Everything a run depends on besides the code; `base` is the bundle whose decoder is looked at and stays."""

    name: str
    base: str = "mini"
    data: Data
    pairs: Pairs = Pairs()
    sketch: Sketch = Sketch()
    schedule: SketchSchedule


SMOKE = (
    "data.train_seeds=[100000, 100000]",
    "data.val_seeds=[90000, 90000]",
    "data.tiles_per_city=12",
    "data.osm_train=[]",
    "data.osm_val=[]",
    "pairs.share=0.0",
    "sketch.channels=4",
    "sketch.width=8",
    "sketch.views=2",
    "schedule.steps=6",
    "schedule.batch=4",
    "schedule.warmup=2",
    "schedule.log_every=2",
    "schedule.ema=0.8",
)


def is_sketch_recipe(path: Path) -> bool:
    """Whether a TOML file speaks of sketches. Raises UsageError when it cannot be read."""
    return "sketch" in read_tree(path)


def load_sketch_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> SketchRecipe:
    """Read a recipe of sketches; see `training.recipe.read_recipe`."""
    return read_recipe(path, SketchRecipe, overrides, SMOKE if smoke else None)
