"""A training recipe: one TOML file, checked before anything is rendered."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from geoanchor.errors import UsageError, first_fault, reason_of
from geoanchor.tiling import MAX_ZOOM

R = TypeVar("R", bound=BaseModel)


class Strict(BaseModel):
    """A table of a recipe: frozen, and a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Strict):
    """What is rendered to learn from; places, never tiles, are split.

    Attributes:
        train_seeds, val_seeds: first and last city seed of the split, both included, none where the first is beyond the
            last; they take the countries in turn.
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

    @model_validator(mode="after")
    def _places_are_split(self) -> Self:
        (first, last), (held_first, held_last) = self.train_seeds, self.val_seeds
        if max(first, held_first) <= min(last, held_last):
            raise ValueError("train_seeds and val_seeds have cities in common, which would be judged by heart")
        if common := sorted({*self.osm_train} & {*self.osm_val}):
            raise ValueError(f"{common[0]} is in osm_train and in osm_val; a place can only be in one")
        return self

    @field_validator("zooms")
    @classmethod
    def _zooms_can_be_drawn(cls, zooms: dict[int, float]) -> dict[int, float]:
        if not zooms or min(zooms) < 0 or max(zooms) > MAX_ZOOM:
            raise ValueError(f"name at least one zoom between 0 and {MAX_ZOOM}")
        if min(zooms.values()) < 0 or sum(zooms.values()) <= 0:
            raise ValueError("shares are 0 or more, and not all of them 0")
        return zooms


class Pairs(Strict):
    """Real pairs beside the drawn ones: a tar or folder with `aerial/NAME` and `map/NAME`.

    Split by SHA-256 of the name modulo ten: 0 is for judging, 1 for choosing and calibrating, the rest is learned from.

    Attributes:
        path: relative to the working folder; without it the drawn tiles have to do. metres: side of a picture.
        limit: take the first so many of each part, 0 for all.
    """

    path: Path
    metres: float = Field(gt=0)
    limit: int = Field(default=0, ge=0)


class Towers(Strict):
    """Shape of the model, as in `models.towers.ImageTower`; the same for aerial and map, with weights of their own.

    `pretrained` begins with timm's own ImageNet weights, which have to be fetched once, and takes their colour scale.
    """

    architecture: str
    pretrained: bool = False
    size_px: int = Field(gt=0)
    dim: int = Field(gt=0)
    hidden: int = Field(gt=0)
    layout_channels: int = Field(default=0, ge=0)


class Weights(Strict):
    """How much each contrast counts; `keyword` is concept words against pictures of either layer.

    `aerial_anchor` and `map_anchor` are U-CSA's L_AT and L_MT, `aerial_map` its lambda_AM; they need a table [anchors].
    """

    aerial_text: float = Field(default=1.0, ge=0)
    map_text: float = Field(default=1.0, ge=0)
    aerial_map: float = Field(default=1.0, ge=0)
    keyword: float = Field(default=1.0, ge=0)
    aerial_anchor: float = Field(default=0.0, ge=0)
    map_anchor: float = Field(default=0.0, ge=0)

    @property
    def captions(self) -> bool:
        """Whether captions are learned from."""
        return self.aerial_text + self.map_text > 0

    @property
    def anchors(self) -> bool:
        """Whether semantic anchors are learned from."""
        return self.aerial_anchor + self.map_anchor > 0


class Anchors(Strict):
    """The frozen text that semantic anchors are told to, and how tiles with nearly the same anchor share a target.

    Attributes:
        text: "minilm" or a model that knows text, e.g. "clip:ViT-B-32/openai". form: one sentence, or "key: value".
        text_projection: none where the towers' dim is the text's own; frozen_orthogonal; or a trainable linear layer.
        soft_from: equal attributes of eleven from which a tile's anchor is a target of another's, by
            `soft_temperature`; 12 leaves each to its own.
    """

    text: str = "minilm"
    form: Literal["sentence", "listing"] = "listing"
    text_projection: Literal["none", "frozen_orthogonal", "trainable"] = "none"
    soft_from: int = Field(default=9, ge=0, le=12)
    soft_temperature: float = Field(default=0.5, gt=0)


class Matching(Strict):
    """Stage two of U-CSA: fusion, discriminator and prototypes over the frozen towers.

    Attributes:
        epochs, batch, learning_rate, prototype_rate: Adam. width: of the fused vector; inputs: rich is [a;m;|a-m|;a*m].
        prototypes: how many; weight: lambda, of their losses, 0 leaves them out; margin: on mismatches.
        assign: weight of the even assignment within those; the paper has none.
        edits: share of mismatches that are edited maps, the rest are swaps; 1 - edits of them.
        mask_from: equal attributes of eleven from which a swap counts as no mismatch.
        alpha: weight of the discriminator, None to choose it on held-out pairs. fusion: raw is the paper's sum without
            calibration, with the sign of its equation 8 put right.
        views: turned and mirrored copies of each pair, 1 to 8.
        skip: how much the discriminator makes of the plain cosine to begin with; 0, as in the paper, shuts it out.
    """

    epochs: int = Field(default=20, gt=0)
    batch: int = Field(default=64, gt=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    prototype_rate: float = Field(default=5e-5, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    width: int = Field(default=256, gt=3)
    inputs: Literal["rich", "concat"] = "rich"
    prototypes: int = Field(default=50, gt=1)
    weight: float = Field(default=0.5, ge=0)
    margin: float = Field(default=0.3, ge=-1, le=1)
    assign: float = Field(default=1.0, ge=0)
    edits: float = Field(default=0.5, ge=0, le=1)
    mask_from: int = Field(default=10, ge=0, le=12)
    alpha: float | None = Field(default=None, ge=0, le=1)
    fusion: Literal["calibrated", "raw"] = "calibrated"
    views: int = Field(default=8, ge=1, le=8)
    skip: float = Field(default=4.0, ge=0)
    seed: int = 0


class Schedule(Strict):
    """How long and how fast: AdamW with linear warm-up and a cosine to nothing.

    Attributes:
        steps: of the optimiser, or epochs: that many times the number of tiles; batch: pairs a step.
        places: that a batch is drawn from, so that negatives are near.
        anneal: down to nothing by a cosine, or else at one rate to the end.
        ema: share of the average kept at each step; checkpoint_s: seconds between checkpoints; seed: of everything.
    """

    steps: int = Field(default=0, ge=0)
    epochs: int = Field(default=0, ge=0)
    anneal: bool = True
    batch: int = Field(gt=1)
    places: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: int = Field(default=100, ge=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    log_every: int = Field(default=20, gt=0)
    checkpoint_s: float = Field(default=180, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if bool(self.steps) == bool(self.epochs):
            raise ValueError("give either steps or epochs, above 0")
        return self

    def steps_over(self, tiles: int) -> int:
        """Steps of the whole run over so many tiles."""
        return self.steps or self.epochs * max(1, tiles // self.batch)


class Recipe(Strict):
    """Everything a training run depends on besides the code."""

    name: str
    description: str
    licence: str
    data: Data
    pairs: Pairs | None = None
    towers: Towers
    weights: Weights = Weights()
    anchors: Anchors = Anchors()
    schedule: Schedule
    matching: Matching | None = None


def load_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> Recipe:
    """Read a recipe of towers; see `read_recipe`."""
    return read_recipe(path, Recipe, overrides, SMOKE if smoke else None)


def read_recipe(path: Path, kind: type[R], overrides: Sequence[str] = (), smoke: Sequence[str] | None = None) -> R:
    """Read a recipe of some kind.

    Args:
        overrides: "table.key=value" that win over the file. smoke: overrides that shrink it to a minute's work, None to
            leave it whole; a recipe's own `smoke` list says what else that takes, such as towers whose weights need no
            fetching.
    Raises:
        UsageError: the file or an override cannot be understood.
    """
    tree = read_tree(path)
    own = tree.pop("smoke", ())
    for setting in (*((*smoke, *own) if smoke is not None else ()), *overrides):
        override(tree, setting)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"{path}: recipe {first_fault(error)}") from error


def read_tree(path: Path) -> dict[str, Any]:
    """The tables of a recipe, unchecked. Raises UsageError when the file is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot read the recipe ({reason_of(error)})") from error


SMOKE = (
    "data.train_seeds=[100000, 100000]",
    "data.val_seeds=[90000, 90000]",
    "data.tiles_per_city=64",
    "data.osm_train=[]",
    "data.osm_val=[]",
    "data.workers=1",
    "schedule.steps=40",
    "schedule.epochs=0",
    "schedule.batch=32",
    "schedule.warmup=5",
    "schedule.log_every=10",
    "schedule.ema=0.9",
)


def override(tree: dict[str, Any], text: str) -> None:
    """Set one "table.key=value" in a recipe's tree. Raises UsageError when it is written otherwise."""
    path, equals, value = text.partition("=")
    *tables, key = path.strip().split(".")
    if not equals or not key:
        raise UsageError(f"--set {text}: write it as table.key=value")
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise UsageError(f"--set {text}: {table} is no table")
    try:
        tree[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        tree[key] = value.strip()
