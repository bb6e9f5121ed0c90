"""Stage one on frozen backbones: only the heads of both towers learn, in seconds, from features kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.bundle import WEIGHTS_NAME, Branch, read_bundle
from models.tower_encoder import normalise, resize
from models.towers import Head, ImageTower
from training.batches import AnchorTargets
from training.losses import Scale, info_nce
from training.matching.examples import Encode, Examples
from training.recipe import Towers, Weights

Sides = tuple[Callable[[Vectors], Vectors], Callable[[Vectors], Vectors]]
"""Features of the aerial and of the map backbone to unit vectors."""


@dataclass(frozen=True, slots=True)
class HeadSchedule:
    """How heads learn: Adam for so many epochs of the plain pairs."""

    epochs: int = 40
    batch: int = 64
    learning_rate: float = 1e-3
    seed: int = 0


def frozen_towers(bundle: Path) -> tuple[tuple[Encode, Encode], Sides]:
    """The aerial and the map backbone of a bundle: pictures to features, and the bundle's own heads on those."""
    weights = load_file(bundle / WEIGHTS_NAME)
    towers = [_tower(weights, modality, read_bundle(bundle).branches[modality]) for modality in ("aerial", "map")]
    return (towers[0][0], towers[1][0]), (towers[0][1], towers[1][1])


def headed(features: Examples, sides: Sides) -> Examples:
    """Unit vectors from the features of both backbones."""
    aerial, maps = sides
    return replace(features, aerial=aerial(features.aerial), maps=maps(features.maps), changed=maps(features.changed))


def fit_heads(
    features: Examples, anchors: AnchorTargets | None, shape: Towers, weights: Weights, schedule: HeadSchedule
) -> Sides:
    """Learn both heads from the plain pairs; without `anchors` only map and picture are contrasted.

    Args:
        features: the first rows are the plain pairs, in the order of `anchors`. shape: hidden and dim of the heads.
    """
    torch.manual_seed(schedule.seed)
    plain = np.flatnonzero(features.plain)
    batch = min(schedule.batch, len(plain))
    heads = nn.ModuleList(_Standard(side, plain, shape) for side in (features.aerial, features.maps))
    scales = [Scale(), Scale()]
    optimiser = torch.optim.Adam([*heads.parameters(), *(scale.log for scale in scales)], lr=schedule.learning_rate)
    for epoch in range(schedule.epochs):
        rng = np.random.default_rng([schedule.seed, epoch])
        order = rng.permutation(len(plain))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            views, rows = rng.integers(len(features.aerial), size=len(chosen)), plain[chosen]
            aerial = heads[0](torch.from_numpy(features.aerial[views, rows]))
            maps = heads[1](torch.from_numpy(features.maps[views, rows]))
            loss = weights.aerial_map * info_nce(aerial, maps, scales[0]())
            if anchors:
                loss = loss + _anchored(aerial, maps, anchors, chosen, scales[1](), weights)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            for scale in scales:
                scale.clamp()
    return _numpy(heads[0]), _numpy(heads[1])


class _Standard(nn.Module):
    """A head on features in standard deviations of the training pairs."""

    def __init__(self, features: Vectors, rows: np.ndarray, shape: Towers) -> None:
        super().__init__()
        known = torch.from_numpy(features[:, rows].reshape(-1, features.shape[-1]))
        self.mean = nn.Buffer(known.mean(dim=0))
        self.std = nn.Buffer(known.std(dim=0).clamp(min=1e-6))
        self.head = Head(features.shape[-1], shape.hidden, shape.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) -> (n, dim), rows of unit length."""
        return cast(Tensor, self.head((x - self.mean) / self.std))


def _anchored(
    aerial: Tensor, maps: Tensor, anchors: AnchorTargets, rows: np.ndarray, scale: Tensor, weights: Weights
) -> Tensor:
    own, targets = anchors.anchors, torch.from_numpy(anchors.targets(rows))
    told = [torch.from_numpy(anchors.vectors[side[rows]]) for side in (own.aerial, own.map)]
    first = weights.aerial_anchor * info_nce(aerial, told[0], scale, targets)
    return first + weights.map_anchor * info_nce(maps, told[1], scale, targets)


def _tower(weights: dict[str, Tensor], modality: str, branch: Branch) -> tuple[Encode, Callable[[Vectors], Vectors]]:
    own = {
        k.removeprefix(f"{modality}."): v.float() if v.is_floating_point() else v
        for k, v in weights.items()
        if k.startswith(f"{modality}.")
    }
    hidden, dim = len(own["head.inner.bias"]), len(own["head.outer.bias"])
    tower = ImageTower(branch.architecture, branch.size_px, dim, hidden, branch.layout_channels).eval()
    tower.load_state_dict(own)
    head = tower.head
    tower.set_submodule("head", nn.Identity())
    tower = tower.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode(pixels: Pixels) -> Vectors:
        small = np.stack([resize(picture, branch) for picture in pixels])
        return cast(Vectors, tower(normalise(torch.from_numpy(small), branch)).numpy())

    return encode, _numpy(head)


def _numpy(head: nn.Module) -> Callable[[Vectors], Vectors]:
    @torch.inference_mode()
    def run(features: Vectors) -> Vectors:
        flat = torch.from_numpy(features.reshape(-1, features.shape[-1]))
        parts = [head(part) for part in torch.split(flat, 4096)]
        return torch.cat(parts).numpy().reshape(*features.shape[:-1], -1)

    return run
