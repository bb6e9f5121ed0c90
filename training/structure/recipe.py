"""A structure recipe: what the decoder learns from, its shape and its schedule; one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from training.recipe import Data, Schedule, Strict, read_recipe, read_tree


class Pairs(Strict):
    """Real pairs of aerial and map pictures, `aerial/NAME` and `map/NAME` in a folder or tar.

    Attributes:
        path: relative to the working folder; where nothing lies there, the drawn tiles have to do.
        share: of a batch that is real.
    """

    path: Path = Path("../shared/data/maps/pairs.tar")
    share: float = Field(default=0.65, ge=0, le=1)


class Decoder(Strict):
    """Shape of `models.structure.StructureNet`, and the side of the pictures it is shown when an index is built.

    `keep` takes the base's own decoder, codes and coarse vectors as they are: only critic and calibration are learned.
    """

    keep: bool = False
    widths: tuple[int, ...] = (32, 64, 128, 192, 256)
    pyramid: int = Field(default=64, gt=0)
    size_px: int = Field(default=320, multiple_of=32)


class StructureSchedule(Schedule):
    """The schedule of any training, and what a batch is made of.

    Attributes:
        crop_px: side of the random crops that are learned from.
        trimmed: share of a batch's cells, those of the greatest loss, that are not learned from: maps err.
    """

    crop_px: int = Field(default=256, multiple_of=32)
    trimmed: float = Field(default=0.0, ge=0, lt=1)


class StructureRecipe(Strict):
    """Everything a structure run depends on besides the code; `base` is the bundle that it is added to."""

    name: str
    description: str
    licence: str
    base: str = "mini"
    data: Data
    pairs: Pairs = Pairs()
    decoder: Decoder = Decoder()
    schedule: StructureSchedule


SMOKE = (
    "data.train_seeds=[100000, 100000]",
    "data.val_seeds=[90000, 90000]",
    "data.tiles_per_city=24",
    "data.osm_train=[]",
    "data.osm_val=[]",
    "pairs.share=0.0",
    "decoder.widths=[8, 16, 16, 24, 32]",
    "decoder.pyramid=16",
    "schedule.steps=12",
    "schedule.batch=4",
    "schedule.crop_px=64",
    "schedule.warmup=2",
    "schedule.log_every=4",
    "schedule.ema=0.8",
)


def is_structure_recipe(path: Path) -> bool:
    """Whether a TOML file speaks of a decoder. Raises UsageError when it cannot be read."""
    return "decoder" in read_tree(path)


def load_structure_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> StructureRecipe:
    """Read a structure recipe; see `training.recipe.read_recipe`."""
    return read_recipe(path, StructureRecipe, overrides, SMOKE if smoke else None)
