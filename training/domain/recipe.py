"""A domain recipe: captioned grounds, the network, how it is trained on one and adapted to another; one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from training.recipe import Schedule, Strict, read_recipe, read_tree

Contrast = Literal["info_nce", "hinge_sum", "hinge_max"]
Band = Literal["cumulative", "disjoint"]


class GroundSpec(Strict):
    """Captioned pictures of one domain: cities by country, or files as `geoanchor evaluate retrieval` takes them.

    Attributes:
        cities: country -> first and last city seed, both included. tiles_per_city: drawn from each.
        images: folder or tar, captions: in any format of `training.datasets`, both relative to the working folder.
        limit: at most so many of those pictures, chosen by the hash of their names.
    """

    cities: dict[str, tuple[int, int]] = Field(default_factory=dict)
    tiles_per_city: int = Field(default=240, gt=0)
    images: Path | None = None
    captions: Path | None = None
    limit: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.cities) == bool(self.images) or bool(self.images) != bool(self.captions):
            raise ValueError("give either cities, or images with captions")
        return self


class NetworkSpec(Strict):
    """The image and text towers.

    Attributes:
        kind: mini is a small tower from scratch beside frozen sentence vectors; clip any open_clip model.
        architecture: of the image tower, or open_clip's name of the whole.
        weights: of clip, a tag or a file; empty for random ones. size_px: side of a picture, 0 for the model's own.
        dim, hidden: of mini's head.
    """

    kind: Literal["mini", "clip"] = "mini"
    architecture: str = "mobilenetv4_conv_small_050"
    weights: str = ""
    size_px: int = Field(default=0, ge=0)
    dim: int = Field(default=128, gt=0)
    hidden: int = Field(default=256, gt=0)

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.kind == "mini" and not self.size_px:
            raise ValueError("size_px must be given for the kind mini")
        return self


class SegmentSpec(Strict):
    """The segment branch (UrbanCross section 3.2).

    Attributes:
        method: who finds them, as `geoanchor index --segments` takes it; count: at most, 0 leaves the branch out.
        weighting: softmax over cosines with the caption by `temperature`, or the paper's clamped cosines.
        weight: lambda_s of segments against text; image_weight: of segments against their picture.
        size_px: side of a crop, 0 for the pictures'.
    """

    method: str = "regions"
    count: int = Field(default=0, ge=0, le=6)
    weighting: Literal["softmax", "paper"] = "softmax"
    temperature: float = Field(default=0.07, gt=0)
    weight: float = Field(default=1.0, ge=0)
    image_weight: float = Field(default=0.0, ge=0)
    size_px: int = Field(default=0, ge=0)


class Pretraining(Schedule):
    """The schedule of the training on the source, and its contrast. `margin` is of the hinges."""

    contrast: Contrast = "info_nce"
    margin: float = Field(default=0.2, ge=0)
    places: int = 1


class Adaptation(Strict):
    """How the network is moved to the target (UrbanCross section 3.3).

    Attributes:
        epochs: over the target's adaptation pictures. batch: n^t; candidates: n^s over that.
        learning_rate: of the network, the discriminator's is ten times it; fine_tune_rate: of fine-tuning, None for
            the same.
        band: which part of the ranked candidates an epoch draws from. weighting, temperature: of the source pairs.
        margin: alpha, of the triplets. adversary: beta; coral: weight of the second moments' distance beside it.
        target_text: whether target captions are known, and to which picture each belongs.
        sampling: acss, or random candidates (w/o SS). curriculum: False stays at the first band (w/o CL).
        learns: all of the network, or its heads alone over features of whole pictures, worked out once (mini only).
        objective: adapt; measure batch statistics and learn nothing; or fine_tune on the target's own pairs.
        statistics: of batch normalisation: kept are the source's, target are measured anew on the target's pictures
            before anything is learned, shared go on over the pictures of both domains (not with heads alone).
        patience: epochs without a better validation before it stops.
    """

    epochs: int = Field(default=5, gt=0)
    batch: int = Field(default=16, gt=1)
    candidates: int = Field(default=5, gt=0)
    learning_rate: float = Field(gt=0)
    fine_tune_rate: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    band: Band = "cumulative"
    weighting: Literal["softmax", "paper"] = "softmax"
    temperature: float = Field(default=0.1, gt=0)
    margin: float = Field(default=0.2, ge=0)
    adversary: float = Field(default=1.0, ge=0)
    coral: float = Field(default=0.0, ge=0)
    target_text: Literal["none", "unpaired", "paired"] = "unpaired"
    sampling: Literal["acss", "random"] = "acss"
    curriculum: bool = True
    objective: Literal["adapt", "measure", "fine_tune"] = "adapt"
    learns: Literal["all", "heads"] = "all"
    statistics: Literal["kept", "target", "shared"] = "kept"
    patience: int = Field(default=5, gt=0)
    seed: int = 0


class DomainRecipe(Strict):
    """Everything that a run depends on besides the code.

    Attributes:
        grounds: by name; source, target: two of them. transfers: (source, target) pairs of the matrix.
        cache_px: side of the pictures as kept, larger than the network's to leave room for crops.
    """

    name: str
    description: str
    licence: str
    source: str
    target: str
    transfers: tuple[tuple[str, str], ...] = ()
    cache_px: int = Field(gt=0)
    grounds: dict[str, GroundSpec]
    network: NetworkSpec
    segments: SegmentSpec = SegmentSpec()
    pretraining: Pretraining
    adaptation: Adaptation

    @model_validator(mode="after")
    def _known_grounds(self) -> Self:
        for name in (self.source, self.target, *(name for pair in self.transfers for name in pair)):
            if name not in self.grounds:
                raise ValueError(f"there is no table [grounds.{name}]")
        return self


SMOKE = (
    "grounds.source={cities = {A = [1000, 1004]}, tiles_per_city = 8}",
    "grounds.target={cities = {B = [1010, 1014]}, tiles_per_city = 8}",
    "source=source",
    "target=target",
    "transfers=[['source', 'target']]",
    "pretraining.steps=8",
    "pretraining.epochs=0",
    "pretraining.batch=16",
    "pretraining.warmup=2",
    "pretraining.log_every=4",
    "adaptation.epochs=2",
    "adaptation.batch=4",
)


def is_domain_recipe(path: Path) -> bool:
    """Whether a TOML file speaks of an adaptation. Raises UsageError when it cannot be read."""
    return "adaptation" in read_tree(path)


def load_domain_recipe(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> DomainRecipe:
    """Read a domain recipe; see `training.recipe.read_recipe`."""
    return read_recipe(path, DomainRecipe, overrides, SMOKE if smoke else None)
