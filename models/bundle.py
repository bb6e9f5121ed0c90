"""Model bundles: from a name or a folder to an encoder, and what a bundle says of itself before any weight is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import BadInput, ModelNotFound, first_fault
from geoanchor.protocols import Encoder
from geoanchor.settings import Settings
from geoanchor.space import EmbeddingSpace, Metric, Modality, Number

MANIFEST_NAME = "bundle.json"
WEIGHTS_NAME = "weights.safetensors"
SKETCHES_NAME = "sketches.safetensors"
CARD_NAME = "CARD.md"
SHIPPED = Path(__file__).parent / "bundles"
"""Bundles that come with the package, one folder each."""

_BACKENDS = {"towers": "models.tower_encoder:open_towers"}
"""bundle.json's `backend` -> "module:callable(name, folder, manifest, settings)"."""

_NAMES = {"toy": "models.toy:open_toy", "clip": "models.clip:open_clip_bundle"}
"""What stands before the colon of a name that is no folder -> "module:callable(name, settings)"."""

PRESETS = (
    "remoteclip-rn50",
    "remoteclip-vit-b-32",
    "remoteclip-vit-l-14",
    "georsclip-vit-b-32",
    "georsclip-vit-l-14",
    "georsclip-vit-h-14",
    "skyclip-vit-b-32",
    "skyclip-vit-l-14",
)
"""Published remote-sensing checkpoints that `models.clip` knows where to find."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Branch(_Strict):
    """How one modality gets into the bundle's spaces.

    Attributes:
        architecture: timm name of the image tower, or "all-MiniLM-L6-v2" for text.
        size_px: side of the square a picture is resized to; 0 for text.
        interpolation: Pillow's name of the resize filter.
        mean, std: of RGB in 0..1.
        layout_channels: channels that keep where things lie in the picture; 0 for none.
        views: mirrored copies of a picture whose vectors are averaged, itself among them.
        weights_sha256, tokeniser_sha256: of frozen weights that lie outside the bundle, and of the tokeniser.
    """

    architecture: str
    size_px: int = Field(default=0, ge=0)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    layout_channels: int = Field(default=0, ge=0)
    views: Literal[1, 2, 4] = 1
    weights_sha256: str = ""
    tokeniser_sha256: str = ""


class StructureSpec(_Strict):
    """Shape of `models.structure.StructureNet`, and the side of the square that aerial pictures are resized to."""

    widths: tuple[int, ...]
    pyramid: int = Field(gt=0)
    size_px: int = Field(gt=0, multiple_of=32)


class SketchSpec(_Strict):
    """Shape of `models.sketches.Sketches`: channels that are drawn, width of the layers before, SHA-256 of the file.

    A file of its own, since no vector depends on it: an index stays good when another tells shifts.
    """

    channels: int = Field(gt=0)
    width: int = Field(gt=0)
    weights_sha256: str


class SpaceSpec(_Strict):
    """One space of a bundle: length and number type of its vectors, metric, and the modalities it holds."""

    dim: int = Field(gt=0)
    metric: Metric = "cosine"
    number: Number = "float32"
    modalities: tuple[Modality, ...]


class BundleManifest(_Strict):
    """bundle.json: everything that must be known of a bundle without reading its weights.

    Attributes:
        backend: which file of `models` reads the weights.
        branches: by modality; spaces: by name; structure: the decoder, where the bundle has one; sketches: what tells
            shifts more surely, where there is such.
        weights_sha256: of weights.safetensors; checked when weights are loaded.
        training_data, attribution, licence, limits: in words; quality: measured figures.
        seeds: split -> range in words; recipe: what it was trained by.
    """

    format_version: Literal[1] = 1
    name: str
    description: str
    backend: str
    branches: dict[Modality, Branch]
    spaces: dict[str, SpaceSpec]
    structure: StructureSpec | None = None
    sketches: SketchSpec | None = None
    weights_sha256: str
    licence: str
    training_data: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    quality: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, str] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)

    def embedding_spaces(self) -> dict[str, EmbeddingSpace]:
        """The spaces with their fingerprints, by name."""
        return {name: self._space(name, spec) for name, spec in self.spaces.items()}

    def _space(self, name: str, spec: SpaceSpec) -> EmbeddingSpace:
        branches = {modality: self.branches[modality] for modality in spec.modalities}
        weights = {"bundle": self.weights_sha256} | {
            modality: branch.weights_sha256 for modality, branch in branches.items()
        }
        preprocessing: dict[str, Any] = {
            modality: branch.model_dump(mode="json", exclude={"weights_sha256", "tokeniser_sha256"})
            for modality, branch in branches.items()
        }
        if name != "semantic" and self.structure:
            preprocessing["structure"] = self.structure.model_dump(mode="json")
        text = branches.get("text")
        return EmbeddingSpace(
            name=name,
            dim=spec.dim,
            metric=spec.metric,
            number=spec.number,
            modalities=spec.modalities,
            weights=sha256_of(weights),
            preprocessing=sha256_of(preprocessing),
            tokeniser=text.tokeniser_sha256 if text else "",
        )


def sha256_of(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_bundle(folder: Path) -> BundleManifest:
    """Read and check bundle.json.

    Raises ModelNotFound when there is none, BadInput when it cannot be understood.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ModelNotFound(f"{folder}: holds no {MANIFEST_NAME}, so it is no model bundle")
    try:
        manifest = BundleManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInput(str(path), f"not a bundle manifest: {first_fault(error)}") from error
    missing = [m for spec in manifest.spaces.values() for m in spec.modalities if m not in manifest.branches]
    if missing:
        raise BadInput(str(path), f"a space names the modality {missing[0]}, for which the bundle has no branch")
    if manifest.backend not in _BACKENDS:
        raise BadInput(str(path), f"unknown backend {manifest.backend!r}; known: {', '.join(_BACKENDS)}")
    return manifest


def load_bundle(name: str | Path, settings: Settings | None = None) -> Encoder:
    """The encoder of a shipped bundle, a bundle folder, `clip:ARCH/TAG-or-file`, a preset, or `toy`.

    Quick: weights are read on first use, except where only they can tell the fingerprint (`clip:`).
    Raises ModelNotFound when there is no such bundle, BadInput when it is broken, OfflineError when weights would have
    to be fetched and the network is off.
    """
    name, settings = str(name), settings or Settings()
    folder = bundle_folder(name)
    if (folder / MANIFEST_NAME).is_file():
        manifest = read_bundle(folder)
        return _call(_BACKENDS[manifest.backend], name, folder, manifest, settings)
    kind = "clip" if name in PRESETS else name.partition(":")[0]
    if kind in _NAMES:
        return _call(_NAMES[kind], name, settings)
    if folder.is_dir():
        raise ModelNotFound(f"{folder}: holds no {MANIFEST_NAME}, so it is no model bundle")
    raise ModelNotFound(f"no model {name!r}: it is neither a bundle folder nor one of {', '.join(known_names())}")


def bundle_folder(name: str) -> Path:
    """Where the bundle of a name lies: a shipped one's own folder, else the name as a path."""
    return SHIPPED / name if name in _shipped() else Path(name)


def known_names() -> list[str]:
    """Every name that `load_bundle` knows without a folder."""
    return [*_shipped(), *PRESETS, "clip:ARCHITECTURE/TAG", "clip:ARCHITECTURE/FILE", "toy"]


def list_bundles() -> list[BundleManifest]:
    """Manifests of the shipped bundles, by name."""
    return [read_bundle(SHIPPED / name) for name in _shipped()]


def _shipped() -> list[str]:
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST_NAME}"))


def _call(opener: str, *args: Any) -> Encoder:
    module, _, attribute = opener.partition(":")
    function: Callable[..., Encoder] = getattr(import_module(module), attribute)
    return function(*args)
