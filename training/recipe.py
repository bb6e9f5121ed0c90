"""A training recipe: one TOML file, checked before anything is rendered."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import UsageError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Strict):
    """What is rendered to learn from; places, never tiles, are split.

    Attributes:
        train_seeds, val_seeds: first and last city seed of the split, both included; they take the countries in turn.
        countries: building habits to learn from.
        tiles_per_city, tiles_per_extract: drawn from each place, those with landmarks first.
        zooms: zoom -> share of the tiles.
        osm_folder: where the extracts lie, relative to the working folder; without it the cities have to do.
        osm_train, osm_val: file names of real extracts, drawn like the city.
        styles: map styles drawn beside the standard one, one a tile.
        tile_px: side of the tiles as drawn; cache_px: as kept, larger than the towers' side to leave room for crops.
        workers: processes that draw.
    """

    train_seeds: tuple[int, int]
    val_seeds: tuple[int, int]
    countries: tuple[str, ...]
    tiles_per_city: int = Field(gt=0)
    tiles_per_extract: int = Field(default=0, ge=0)
    zooms: dict[int, float] = Field(default_factory=lambda: {17: 1.0})
    osm_folder: Path = Path("../shared/data/osm")
    osm_train: tuple[str, ...] = ()
    osm_val: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    tile_px: int = Field(default=256, gt=0)
    cache_px: int = Field(default=160, gt=0)
    workers: int = Field(default=1, ge=1)


class Towers(_Strict):
    """Shape of the model, as in `models.towers.ImageTower`; the same for aerial and map, with weights of their own."""

    architecture: str
    size_px: int = Field(gt=0)
    dim: int = Field(gt=0)
    hidden: int = Field(gt=0)
    layout_channels: int = Field(default=0, ge=0)


class Weights(_Strict):
    """How much each contrast counts; `keyword` is concept words against pictures of either layer."""

    aerial_text: float = Field(default=1.0, ge=0)
    map_text: float = Field(default=1.0, ge=0)
    aerial_map: float = Field(default=1.0, ge=0)
    keyword: float = Field(default=1.0, ge=0)


class Schedule(_Strict):
    """How long and how fast: AdamW with linear warm-up and a cosine to nothing.

    Attributes:
        steps: of the optimiser; batch: pairs a step; places: that a batch is drawn from, so that negatives are near.
        ema: share of the average kept at each step; checkpoint_s: seconds between checkpoints; seed: of everything.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=1)
    places: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: int = Field(default=100, ge=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    log_every: int = Field(default=20, gt=0)
    checkpoint_s: float = Field(default=180, ge=0)
    seed: int = 0


class Recipe(_Strict):
    """Everything a training run depends on besides the code."""

    name: str
    description: str
    licence: str
    data: Data
    towers: Towers
    weights: Weights = Weights()
    schedule: Schedule


def load_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> Recipe:
    """Read a recipe; `overrides` are "table.key=value" and win; `smoke` shrinks it to a minute's work.

    Raises UsageError when the file or an override cannot be understood.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot read the recipe ({error})") from error
    for override in (*(SMOKE if smoke else ()), *overrides):
        _set(tree, override)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: recipe {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


SMOKE = (
    "data.train_seeds=[100000, 100000]",
    "data.val_seeds=[90000, 90000]",
    "data.tiles_per_city=64",
    "data.osm_train=[]",
    "data.osm_val=[]",
    "data.workers=1",
    "schedule.steps=40",
    "schedule.batch=32",
    "schedule.warmup=5",
    "schedule.log_every=10",
    "schedule.ema=0.9",
)


def _set(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    *tables, key = path.strip().split(".")
    if not equals or not key:
        raise UsageError(f"--set {override}: write it as table.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise UsageError(f"--set {override}: {table} is no table")
    tree[key] = value
