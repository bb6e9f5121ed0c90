"""The encoder over trained towers: text in numpy, pictures in torch, which is imported with the first picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from geoanchor.errors import BadInput, UnsupportedModality
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Matcher, Role, RowVectors, Vectors
from geoanchor.settings import Settings
from geoanchor.space import EmbeddingSpace, Modality
from models.bundle import WEIGHTS_NAME, Branch, BundleManifest
from models.coarse import COARSE
from models.fusion import PREFIX as FUSION
from models.fusion import FusionScorer
from models.fusion_matcher import FusionMatcher
from models.matcher import CODES
from models.structure_encoder import StructureEncoder
from models.text import SentenceEncoder, gelu, linear, unit
from models.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from models.towers import ImageTower

SPACE = "semantic"


def open_towers(name: str, folder: Path, manifest: BundleManifest, settings: Settings) -> Encoder:
    """The encoder of a bundle folder. Raises BadInput when the manifest asks for spaces that towers do not make."""
    made = {SPACE} if manifest.structure is None else {SPACE, COARSE, CODES}
    if set(manifest.spaces) != made:
        asked = ", ".join(manifest.spaces)
        raise BadInput(str(folder), f"backend 'towers' makes the spaces {', '.join(sorted(made))} of it, not {asked}")
    return TowerEncoder(name, folder / WEIGHTS_NAME, manifest, settings)


class TowerEncoder:
    """One image tower a modality, and a head on frozen sentence vectors for text, into the space "semantic"; and the
    structure of maps and aerial pictures where the bundle has a decoder.

    Args:
        name: as given to `load_bundle`. weights: safetensors, read on first use.
    """

    def __init__(self, name: str, weights: Path, manifest: BundleManifest, settings: Settings) -> None:
        self.name = name
        self._manifest = manifest
        self._weights = Weights(weights, manifest.weights_sha256)
        self._settings = settings
        self._spaces = manifest.embedding_spaces()
        spec = manifest.structure
        self._structure = StructureEncoder(spec, self._weights, manifest.sketches) if spec else None
        self._towers: dict[Modality, ImageTower] = {}
        self._lock = RLock()

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        """ "semantic"; with a decoder also "structure" and "structure_grid"."""
        return self._spaces

    @cached_property
    def matcher(self) -> Matcher | None:
        """What judges maps against pictures: cell by cell where the bundle has a decoder, as wholes where it has a
        discriminator alone."""
        if self._structure:
            return self._structure.matcher
        fusion = self._weights.read(FUSION)
        return FusionMatcher(FusionScorer(fusion)) if fusion else None

    def neutral(self, modality: Modality) -> tuple[int, int, int]:
        """The mean of the branch's normalisation. Raises UnsupportedModality."""
        red, green, blue = (round(255 * share) for share in self._branch(modality).mean)
        return red, green, blue

    def prepare(self, pixels: Pixels, modality: Modality) -> Pixels:
        """Resize to the largest square that is looked at; maps keep their pixels where their colours are read.

        Raises UnsupportedModality.
        """
        branch = self._branch(modality)
        if self._structure and modality == "map":
            return self._structure.prepare_map(pixels)
        if self._structure and modality == "aerial":
            return self._structure.prepare_aerial(pixels)
        return resize(pixels, branch)

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, RowVectors]:
        """Vectors (n, d) by space. Raises UnsupportedModality, BadInput where the weights are damaged."""
        branch = self._branch(modality)
        if not len(items):
            known = SPACE if modality == "segment" else modality
            spaces = (space for space in self._spaces.values() if known in (space.name, *space.modalities))
            return {space.name: np.zeros((0, space.dim), space.number) for space in spaces}
        if modality == "text":
            return {SPACE: self._texts(cast(Sequence[str], items))}
        # By way of `prepare`, so that a query's raw picture gets the vector that an index has of it.
        pictures = [self.prepare(picture, modality) for picture in cast(Sequence[Pixels], items)]
        pixels = np.stack([resize(picture, branch) for picture in pictures])
        return {SPACE: self._pictures(pixels, modality)} | self._structures(pictures, modality)

    def _structures(self, pictures: Sequence[Pixels], modality: Modality) -> dict[str, RowVectors]:
        if self._structure is None or modality not in ("map", "aerial"):
            return {}
        return self._structure.maps(pictures) if modality == "map" else self._structure.aerials(pictures)

    def _branch(self, modality: Modality) -> Branch:
        branch = self._manifest.branches.get(modality)
        if branch is None and modality == "segment" and "aerial" in self._manifest.branches:
            # A part of an aerial picture is one itself; one view of it is enough, there are several parts.
            branch = self._manifest.branches["aerial"].model_copy(update={"views": 1})
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

        from models.slices import in_slices

        with self._lock:
            if modality not in self._towers:
                self._towers[modality] = self._open_tower(modality)
            tower = self._towers[modality]
        branch = self._branch(modality)
        vectors = in_slices(lambda part: seen(tower, normalise(part, branch), branch.views), torch.from_numpy(pixels))
        return cast(Vectors, vectors.numpy())

    def _open_tower(self, modality: Modality) -> ImageTower:
        import torch

        from models.towers import ImageTower, fold_batchnorm

        branch, arrays = self._branch(modality), self._weights.read(modality)
        if not arrays and modality == "segment":
            arrays = self._weights.read("aerial")
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


def resize(pixels: Pixels, branch: Branch) -> Pixels:
    """(h, w, 3) uint8 -> (size, size, 3) uint8, antialiased by Pillow; the same array where nothing changes."""
    if pixels.shape == (branch.size_px, branch.size_px, 3):
        return pixels
    shrink = Image.Resampling[branch.interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((branch.size_px, branch.size_px), shrink))


def seen(tower: ImageTower, x: Tensor, views: int) -> Tensor:
    """Unit vectors (n, d) of normalised pictures (n, 3, h, w): the mean over the first of four mirrored views."""
    if views == 1:
        return cast("Tensor", tower(x))
    import torch
    from torch.nn.functional import normalize

    axes: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
    return normalize(torch.stack([tower(x.flip(own)) for own in axes[:views]]).sum(dim=0), dim=-1)


def normalise(pixels: Tensor, branch: Branch) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float32 in channels-last order, less the mean, over the standard deviation."""
    import torch

    mean, std = torch.tensor(branch.mean), torch.tensor(branch.std)
    scaled = (pixels.to(torch.float32) - 255 * mean) / (255 * std)
    return scaled.permute(0, 3, 1, 2)
