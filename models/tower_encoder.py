"""The encoder over trained towers: text in numpy, pictures in torch, which is imported with the first picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

from geoanchor.errors import BadInput, UnsupportedModality
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Matcher, Role, Vectors
from geoanchor.settings import Settings
from geoanchor.space import EmbeddingSpace, Modality
from models.bundle import WEIGHTS_NAME, Branch, BundleManifest
from models.text import SentenceEncoder, file_sha256, gelu, linear, unit

if TYPE_CHECKING:
    from torch import Tensor

    from models.towers import ImageTower

SPACE = "semantic"


def open_towers(name: str, folder: Path, manifest: BundleManifest, settings: Settings) -> Encoder:
    """The encoder of a bundle folder. Raises BadInput when the manifest asks for a space that towers do not make."""
    if set(manifest.spaces) != {SPACE}:
        raise BadInput(str(folder), f"backend 'towers' makes the space {SPACE!r}, not {', '.join(manifest.spaces)}")
    return TowerEncoder(name, folder / WEIGHTS_NAME, manifest, settings)


class TowerEncoder:
    """One image tower a modality, and a head on frozen sentence vectors for text, into one space.

    Args:
        name: as given to `load_bundle`. weights: safetensors, read on first use.
    """

    matcher: Matcher | None = None

    def __init__(self, name: str, weights: Path, manifest: BundleManifest, settings: Settings) -> None:
        self.name = name
        self._manifest = manifest
        self._weights = _Weights(weights, manifest.weights_sha256)
        self._settings = settings
        self._spaces = manifest.embedding_spaces()
        self._towers: dict[Modality, ImageTower] = {}
        self._lock = RLock()

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        """One space, "semantic"."""
        return self._spaces

    def prepare(self, pixels: Pixels, modality: Modality) -> Pixels:
        """Resize to the tower's square, antialiased; a picture of that size comes back as it is.

        Raises UnsupportedModality.
        """
        return resize(pixels, self._branch(modality))

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, Vectors]:
        """Unit vectors (n, d) float32. Raises UnsupportedModality, BadInput where the weights are damaged."""
        branch = self._branch(modality)
        if not len(items):
            return {SPACE: np.zeros((0, self._spaces[SPACE].dim), np.float32)}
        if modality == "text":
            return {SPACE: self._texts(cast(Sequence[str], items))}
        pixels = np.stack([resize(item, branch) for item in cast(Sequence[Pixels], items)])
        return {SPACE: self._pictures(pixels, modality)}

    def _branch(self, modality: Modality) -> Branch:
        branch = self._manifest.branches.get(modality)
        if branch is None:
            known = ", ".join(self._manifest.branches)
            raise UnsupportedModality(f"model {self.name!r} knows no {modality}; it knows {known}")
        return branch

    def _texts(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            sentences, head = self._sentences, self._text_head
        hidden = gelu(linear(sentences.encode(texts), head["inner.weight"], head["inner.bias"]))
        return unit(linear(hidden, head["outer.weight"], head["outer.bias"]))

    def _pictures(self, pixels: Pixels, modality: Modality) -> Vectors:
        import torch

        with self._lock:
            if modality not in self._towers:
                self._towers[modality] = self._open_tower(modality)
            tower = self._towers[modality]
        with torch.inference_mode():
            vectors = tower(normalise(torch.from_numpy(pixels), self._branch(modality)))
        return cast(Vectors, vectors.numpy())

    def _open_tower(self, modality: Modality) -> ImageTower:
        import torch

        from models.towers import ImageTower, fold_batchnorm

        branch, arrays = self._branch(modality), self._weights.read(modality)
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        try:
            hidden, dim = len(weights["head.inner.bias"]), len(weights["head.outer.bias"])
            tower = ImageTower(branch.architecture, branch.size_px, dim, hidden, branch.layout_channels)
            tower.load_state_dict(weights)
        except (KeyError, RuntimeError) as error:
            reason = f"does not hold a {branch.architecture} tower for {modality} as the manifest says"
            raise BadInput(str(self._weights.path), reason) from error
        return fold_batchnorm(tower, branch.size_px).to(memory_format=torch.channels_last)

    @cached_property
    def _sentences(self) -> SentenceEncoder:
        sentences = SentenceEncoder(self._settings.text_model_dir)
        if sentences.tokeniser_sha256 != self._branch("text").tokeniser_sha256:
            raise BadInput("tokenizer.json", f"not the tokeniser that model {self.name!r} was trained with")
        return sentences

    @cached_property
    def _text_head(self) -> dict[str, Vectors]:
        return self._weights.read("text.head")


class _Weights:
    """A safetensors file whose SHA-256 is checked before the first tensor is read."""

    def __init__(self, path: Path, sha256: str) -> None:
        self.path = path
        self._sha256 = sha256
        self._checked = False

    def read(self, prefix: str) -> dict[str, Vectors]:
        """Tensors below `prefix`, by the rest of their names; halves become float32, integers stay."""
        self._check()
        try:
            with safe_open(self.path, "numpy") as file:
                names = [name for name in file.keys() if name.startswith(f"{prefix}.")]  # noqa: SIM118
                arrays = {name.removeprefix(f"{prefix}."): file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise BadInput(str(self.path), f"not a safetensors file ({error})") from error
        return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arrays.items()}

    def _check(self) -> None:
        if self._checked:
            return
        if not self.path.is_file():
            raise BadInput(str(self.path), "the bundle's weights are missing; install or fetch the bundle again")
        if file_sha256(self.path) != self._sha256:
            raise BadInput(
                str(self.path), "the weights are not those of bundle.json (SHA-256 differs); fetch them again"
            )
        self._checked = True


def resize(pixels: Pixels, branch: Branch) -> Pixels:
    """(h, w, 3) uint8 -> (size, size, 3) uint8, antialiased by Pillow; the same array where nothing changes."""
    if pixels.shape == (branch.size_px, branch.size_px, 3):
        return pixels
    shrink = Image.Resampling[branch.interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((branch.size_px, branch.size_px), shrink))


def normalise(pixels: Tensor, branch: Branch) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float32 in channels-last order, less the mean, over the standard deviation."""
    import torch

    mean, std = torch.tensor(branch.mean), torch.tensor(branch.std)
    scaled = (pixels.to(torch.float32) - 255 * mean) / (255 * std)
    return scaled.permute(0, 3, 1, 2)
