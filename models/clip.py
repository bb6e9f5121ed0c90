"""Any open_clip model as an encoder: by hub tag, from a local file, or one of the remote-sensing presets."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock, RLock
from typing import Any, cast

import numpy as np
import open_clip
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from PIL import Image
from safetensors import SafetensorError

from geoanchor.errors import BadInput, ModelNotFound, OfflineError, UnsupportedModality
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Matcher, Role, Vectors
from geoanchor.settings import Settings
from geoanchor.space import EmbeddingSpace, Modality
from models.bundle import sha256_of
from models.precision import quick_bfloat16
from models.slices import in_slices
from models.text import file_sha256

MODALITIES: tuple[Modality, ...] = ("aerial", "map", "ground", "segment", "text")
SPACE = "semantic"
ARITHMETIC = "pictures: bfloat16 products where the processor has them, float32 sums; else float32"
"""Part of the fingerprint; the same on every machine, because the vectors may be compared (docs/decisions/004)."""
_ONE_ARITHMETIC = Lock()
"""Held while a network runs: how torch multiplies is a setting of the whole process."""


@dataclass(frozen=True, slots=True)
class _Preset:
    """A published checkpoint: architecture, and the hub's repository and file, or where else to get it."""

    architecture: str
    repository: str
    file: str
    on_hub: bool = True


_PRESETS = {
    "remoteclip-rn50": _Preset("RN50", "chendelong/RemoteCLIP", "RemoteCLIP-RN50.pt"),
    "remoteclip-vit-b-32": _Preset("ViT-B-32", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-B-32.pt"),
    "remoteclip-vit-l-14": _Preset("ViT-L-14", "chendelong/RemoteCLIP", "RemoteCLIP-ViT-L-14.pt"),
    "georsclip-vit-b-32": _Preset("ViT-B-32", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-B-32.pt"),
    "georsclip-vit-l-14": _Preset("ViT-L-14", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-L-14.pt"),
    "georsclip-vit-h-14": _Preset("ViT-H-14", "Zilun/GeoRSCLIP", "ckpt/RS5M_ViT-H-14.pt"),
    "skyclip-vit-b-32": _Preset("ViT-B-32", "SkyScript", "SkyCLIP_ViT_B32_top50pct.zip", on_hub=False),
    "skyclip-vit-l-14": _Preset("ViT-L-14", "SkyScript", "SkyCLIP_ViT_L14_top30pct.zip", on_hub=False),
}


def open_clip_bundle(name: str, settings: Settings) -> Encoder:
    """The encoder of `clip:ARCHITECTURE/TAG`, `clip:ARCHITECTURE/FILE` or a preset.

    Raises ModelNotFound, OfflineError; BadInput comes with the first picture or text, when the weights are read.
    """
    if settings.offline:
        # Tokenisers of some architectures come from the hub too; this is its client's own switch.
        constants.HF_HUB_OFFLINE = True
    if name in _PRESETS:
        return ClipEncoder(name, _PRESETS[name].architecture, _preset_file(name, settings), {})
    architecture, _, weights = name.removeprefix("clip:").partition("/")
    if architecture not in open_clip.list_models():
        known = ", ".join(open_clip.list_models()[:8])
        raise ModelNotFound(f"{name}: open_clip has no architecture {architecture!r}; it has {known}, ...")
    tag = get_pretrained_cfg(architecture, weights) if weights else {}
    if tag:
        return ClipEncoder(name, architecture, _tag_file(name, tag, settings), tag)
    if not weights or not Path(weights).is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise ModelNotFound(f"{name}: {weights!r} is neither a file nor a tag of {architecture}; its tags: {tags}")
    return ClipEncoder(name, architecture, Path(weights), {})


class ClipEncoder:
    """Pictures of every layer through one image tower, text through the other.

    Args:
        name: as given to `load_bundle`. architecture: open_clip's name. weights: safetensors, or a checkpoint that
            torch can load without running code.
        tag: open_clip's own settings of the published weights (normalisation, QuickGELU), {} for a file.
    """

    matcher: Matcher | None = None

    def __init__(self, name: str, architecture: str, weights: Path, tag: Mapping[str, Any]) -> None:
        self.name = name
        self._architecture = architecture
        self._weights = weights
        self._quick_gelu = bool(tag.get("quick_gelu", False))
        config = open_clip.get_model_config(architecture)
        size = config["vision_cfg"].get("image_size", 224)
        self._pixels = PreprocessCfg(**merge_preprocess_dict(asdict(PreprocessCfg()), dict(tag) | {"size": size}))
        self._space = EmbeddingSpace(
            name=SPACE,
            dim=config["embed_dim"],
            modalities=MODALITIES,
            weights=file_sha256(weights),
            preprocessing=sha256_of([asdict(self._pixels), config, self._quick_gelu, ARITHMETIC]),
            tokeniser=sha256_of(
                [architecture if "hf_tokenizer_name" in config["text_cfg"] else "", config["text_cfg"]]
            ),
        )
        self._lock = RLock()

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        """One space, "semantic"."""
        return {SPACE: self._space}

    def neutral(self, modality: Modality) -> tuple[int, int, int]:
        """The mean of the model's own normalisation."""
        red, green, blue = (round(255 * share) for share in self._pixels.mean)
        return red, green, blue

    def prepare(self, pixels: Pixels, modality: Modality) -> Pixels:
        """Resize and crop as the model's own configuration says; a picture of that size comes back as it is."""
        self._check(modality)
        return resize(pixels, self._pixels)

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, Vectors]:
        """Unit vectors (n, d) float32. Raises UnsupportedModality, BadInput where the weights cannot be used."""
        self._check(modality)
        if not len(items):
            return {SPACE: np.zeros((0, self._space.dim), np.float32)}
        with self._lock:
            model, tokenise = self._model, self._tokeniser
        if modality == "text":
            tokens = tokenise(list(cast(Sequence[str], items)))
            with _ONE_ARITHMETIC, torch.inference_mode():
                vectors = model.encode_text(tokens, normalize=True)
        else:
            pictures = self._normalise(np.stack([resize(item, self._pixels) for item in cast(Sequence[Pixels], items)]))
            with _ONE_ARITHMETIC, _quick_products():
                vectors = in_slices(lambda part: model.encode_image(part, normalize=True), pictures)
        return {SPACE: cast(Vectors, vectors.float().numpy())}

    def _check(self, modality: Modality) -> None:
        if modality not in MODALITIES:
            raise UnsupportedModality(f"model {self.name!r} knows no {modality}; it knows {', '.join(MODALITIES)}")

    def _normalise(self, pixels: Pixels) -> torch.Tensor:
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self._pixels.mean, self._pixels.std))
        return (scaled - mean) / std

    @cached_property
    def _model(self) -> Any:
        where = str(self._weights)
        try:
            model = open_clip.create_model(
                self._architecture, pretrained=where, force_quick_gelu=self._quick_gelu, weights_only=True
            )
        except pickle.UnpicklingError as error:
            raise BadInput(
                where, "holds more than plain weights and could run code; convert it to safetensors"
            ) from error
        except (RuntimeError, KeyError, AttributeError, ValueError, EOFError, OSError, SafetensorError) as error:
            raise BadInput(where, f"does not hold the weights of a {self._architecture}") from error
        return model.eval()

    @cached_property
    def _tokeniser(self) -> Any:
        try:
            return open_clip.get_tokenizer(self._architecture)
        except OSError as error:
            raise OfflineError(
                f"{self.name}: the tokeniser of {self._architecture} lies on the hub; run once with the network on"
            ) from error


@contextmanager
def _quick_products() -> Iterator[None]:
    """Multiply float32 matrices as bfloat16 and add up in float32, where the processor does that in hardware."""
    matmul = cast(Any, torch.backends.mkldnn).matmul
    former = matmul.fp32_precision
    if quick_bfloat16():
        matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = former


def resize(pixels: Pixels, to: PreprocessCfg) -> Pixels:
    """(h, w, 3) uint8 -> the model's input size, uint8, as open_clip's own transform does up to normalisation.

    "squash" changes the aspect; "shortest" fits the shorter side and crops the middle. The very same array comes back
    where the size is right already.
    """
    height, width = (to.size, to.size) if isinstance(to.size, int) else to.size
    if pixels.shape[:2] == (height, width):
        return pixels
    picture, filter_ = Image.fromarray(pixels), Image.Resampling[to.interpolation.upper()]
    if to.resize_mode == "squash":
        return np.asarray(picture.resize((width, height), filter_))
    scale = max(height / picture.height, width / picture.width)
    # torchvision cuts a fraction of the longer side off; the small addend is for products such as 63.9999999.
    fitted = picture.resize((int(picture.width * scale + 1e-9), int(picture.height * scale + 1e-9)), filter_)
    left, top = round((fitted.width - width) / 2), round((fitted.height - height) / 2)
    return np.asarray(fitted.crop((left, top, left + width, top + height)))


def _preset_file(name: str, settings: Settings) -> Path:
    preset = _PRESETS[name]
    local = settings.cache_dir / "weights" / f"{name}.pt"
    if local.is_file():
        return local
    if not preset.on_hub:
        raise ModelNotFound(
            f"{name}: get {preset.file} from the {preset.repository} project, unpack it and put its .pt file at {local}"
        )
    try:
        found = hf_hub_download(
            preset.repository, preset.file, cache_dir=settings.cache_dir / "hub", local_files_only=settings.offline
        )
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise OfflineError(
            f"{name}: cannot fetch {preset.file} of {preset.repository} from the hub; get it and put it at {local}"
        ) from error
    return Path(found)


def _tag_file(name: str, tag: Mapping[str, Any], settings: Settings) -> Path:
    try:
        return Path(download_pretrained(dict(tag), cache_dir=str(settings.cache_dir / "hub")))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise OfflineError(
            f"{name}: cannot fetch {tag['hf_hub']} from the hub; get its weights and name them: clip:ARCHITECTURE/FILE"
        ) from error
