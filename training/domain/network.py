"""Image and text towers into one space: small ones from scratch, or any open_clip model."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from geoanchor.errors import ModelNotFound
from geoanchor.settings import Settings
from models.precision import matrix_units
from models.text import MINILM_DIM, SentenceEncoder
from models.towers import Head, ImageTower
from training.domain.recipe import NetworkSpec
from training.hub import fetching
from training.losses import MAX_LOG_SCALE, Scale

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
"""What the small tower takes off its pixels; the same as `models.bundle.Branch`."""


class TwoTowers(nn.Module, ABC):
    """What training needs of a text-image network.

    Attributes:
        size_px: side of the square pictures; dim: length of the vectors.
    """

    size_px: int
    dim: int
    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def pictures(self, pixels: Tensor) -> Tensor:
        """(n, 3, size, size) in 0..1 -> (n, dim) of unit length."""
        return self._pictures(
            ((pixels.to(self.device) - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        )

    @property
    def device(self) -> torch.device:
        """Where it computes; what comes in is brought there."""
        return self.mean.device

    def arithmetic(self) -> AbstractContextManager[object]:
        """Within it the network runs in bfloat16 where there is hardware for that."""
        if self.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return matrix_units()

    @abstractmethod
    def _pictures(self, pixels: Tensor) -> Tensor: ...

    @abstractmethod
    def read(self, texts: Sequence[str]) -> Tensor:
        """Texts as `words` takes them, one row each: whatever of them is not learned."""

    @abstractmethod
    def words(self, read: Tensor) -> Tensor:
        """(n, dim) of unit length."""

    @abstractmethod
    def scale(self) -> Tensor:
        """The factor on cosines, a scalar."""

    @abstractmethod
    def clamp(self) -> None:
        """Keep the factor in range; call after each step."""


class _MiniWords(TwoTowers):
    """What small towers and their heads alone have in common: a head on frozen sentence vectors."""

    aerial: nn.Module
    text: nn.ModuleDict
    text_scale: Scale

    def _pictures(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.aerial(pixels))

    def read(self, texts: Sequence[str]) -> Tensor:
        """(n, 384) sentence vectors."""
        return torch.from_numpy(SentenceEncoder().encode(texts))

    def words(self, read: Tensor) -> Tensor:
        """(n, dim) of unit length."""
        return cast(Tensor, self.text["head"](read))

    def scale(self) -> Tensor:
        """The factor on cosines, a scalar."""
        return cast(Tensor, self.text_scale())

    def clamp(self) -> None:
        """Keep the factor in range."""
        self.text_scale.clamp()


class SmallTowers(_MiniWords):
    """A small image tower from scratch, and a head on frozen sentence vectors."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(MEAN, STD)
        self.size_px, self.dim = spec.size_px, spec.dim
        self.aerial: ImageTower = ImageTower(spec.architecture, spec.size_px, spec.dim, spec.hidden, 0)
        self.text = nn.ModuleDict({"head": Head(MINILM_DIM, spec.hidden, spec.dim)})
        self.text_scale = Scale()
        self.to(memory_format=torch.channels_last)

    def features(self, pixels: Tensor) -> Tensor:
        """(n, 3, size, size) in 0..1 -> (n, f): what the image head makes its vectors of."""
        _, deep = self.aerial.backbone((pixels - self.mean) / self.std)
        return cast(Tensor, deep.mean(dim=(2, 3)))


class Heads(_MiniWords):
    """The heads of small towers alone, copied; their pictures are the towers' `features`."""

    def __init__(self, towers: SmallTowers) -> None:
        super().__init__(MEAN, STD)
        self.size_px, self.dim = towers.size_px, towers.dim
        self.aerial = copy.deepcopy(towers.aerial.head)
        self.text, self.text_scale = copy.deepcopy(towers.text), copy.deepcopy(towers.text_scale)

    def pictures(self, pixels: Tensor) -> Tensor:
        """(n, f) features -> (n, dim) of unit length."""
        return self._pictures(pixels)

    def put_into(self, towers: SmallTowers) -> None:
        """Give the heads back to the towers they are of, or to a copy."""
        towers.aerial.head.load_state_dict(self.aerial.state_dict())
        towers.text.load_state_dict(self.text.state_dict())
        towers.text_scale.load_state_dict(self.text_scale.state_dict())


class ClipTowers(TwoTowers):
    """An open_clip model; all of it is learned, text tower and factor included."""

    def __init__(self, spec: NetworkSpec, settings: Settings | None = None) -> None:
        import open_clip

        if spec.architecture not in open_clip.list_models():
            raise ModelNotFound(f"open_clip has no architecture {spec.architecture!r}")
        tag = open_clip.get_pretrained_cfg(spec.architecture, spec.weights)
        if spec.weights and not tag and not Path(spec.weights).is_file():
            raise ModelNotFound(f"{spec.weights!r} is neither a file nor a tag of {spec.architecture}")
        with fetching(spec.weights, settings) if tag else nullcontext():
            model = open_clip.create_model(spec.architecture, pretrained=spec.weights or None, weights_only=True)
        shown = open_clip.get_model_preprocess_cfg(model)
        super().__init__(shown["mean"], shown["std"])
        side = shown["size"]
        self.size_px = side if isinstance(side, int) else int(side[0])
        self.dim = int(open_clip.get_model_config(spec.architecture)["embed_dim"])
        self.clip = cast(Any, model)
        self._tokenise = open_clip.get_tokenizer(spec.architecture)

    def _pictures(self, pixels: Tensor) -> Tensor:
        return normalize(self.clip.encode_image(pixels), dim=-1)

    def read(self, texts: Sequence[str]) -> Tensor:
        """(n, 77) tokens."""
        return cast(Tensor, self._tokenise(list(texts)))

    def words(self, read: Tensor) -> Tensor:
        """(n, dim) of unit length."""
        return normalize(self.clip.encode_text(read.to(self.device)), dim=-1)

    def scale(self) -> Tensor:
        """The factor on cosines, a scalar."""
        return cast(Tensor, self.clip.logit_scale.exp())

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep the factor in range."""
        self.clip.logit_scale.clamp_(max=MAX_LOG_SCALE)


def build_network(spec: NetworkSpec, settings: Settings | None = None) -> TwoTowers:
    """The network of a recipe with its first weights, which torch's seed decides where they are random.

    One of open_clip goes to the GPU where there is one; small towers stay on the processor.

    Raises ModelNotFound where open_clip does not know the architecture or the weights, OfflineError where they are not
    at hand.
    """
    if spec.kind == "mini":
        return SmallTowers(spec)
    return ClipTowers(spec, settings).to("cuda" if torch.cuda.is_available() else "cpu")
