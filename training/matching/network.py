"""The fusion network in training; `models.fusion` judges with the same weights in numpy."""

from __future__ import annotations

from dataclasses import astuple
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from geoanchor.protocols import Vectors
from models.fusion import HEAD_LAYERS, SLOPE, Calibration, FusionScorer, Inputs
from training.recipe import Matching


class FusionMLP(nn.Module):
    """Two vectors to one: Linear, LeakyReLU, Linear over `joined` inputs; U-CSA's "generator" (section 3.3)."""

    def __init__(self, dim: int, width: int, inputs: Inputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.inner = nn.Linear(dim * (4 if inputs == "rich" else 2), width)
        self.outer = nn.Linear(width, width)

    def forward(self, aerial: Tensor, maps: Tensor) -> Tensor:
        """(n, dim) twice, rows of unit length -> (n, width)."""
        return cast(Tensor, self.outer(leaky_relu(self.inner(joined(aerial, maps, self.inputs)), SLOPE)))


class MatchHead(nn.Sequential):
    """Three linear layers, LeakyReLU between: (n, width) -> (n, 1), above 0 for a match."""

    def __init__(self, width: int) -> None:
        widths = [width, max(1, width // 2), max(1, width // 4), 1]
        super().__init__(*(nn.Linear(widths[i], widths[i + 1]) for i in range(HEAD_LAYERS)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, 1)."""
        *inner, last = self
        for layer in inner:
            x = leaky_relu(layer(x), SLOPE)
        return cast(Tensor, last(x))


class FusionNet(nn.Module):
    """FusionMLP, MatchHead and the library of prototypes over vectors of `dim` numbers."""

    def __init__(self, dim: int, shape: Matching) -> None:
        super().__init__()
        self.mlp = FusionMLP(dim, shape.width, shape.inputs)
        self.head = MatchHead(shape.width)
        self.skip = nn.Parameter(torch.full((1,), shape.skip), requires_grad=shape.skip > 0)
        self.prototypes = nn.Parameter(normalize(torch.randn(shape.prototypes, shape.width), dim=-1))

    def forward(self, aerial: Tensor, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, dim) twice -> fused (n, width), discriminator (n,), cosines to the prototypes (n, k)."""
        fused = self.mlp(aerial, maps)
        cosines = normalize(fused, dim=-1) @ normalize(self.prototypes, dim=-1).T
        return fused, self.head(fused)[:, 0] + self.skip * (aerial * maps).sum(dim=1), cosines

    def scorer(self, calibration: Calibration) -> FusionScorer:
        """The same in numpy."""
        arrays: dict[str, Vectors] = {name: tensor.detach().numpy() for name, tensor in self.state_dict().items()}
        arrays["calibration"] = torch.tensor(astuple(calibration)).numpy()
        return FusionScorer(arrays)


def joined(aerial: Tensor, maps: Tensor, inputs: Inputs) -> Tensor:
    """As `models.fusion.joined`."""
    root = aerial.shape[1] ** 0.5
    a, m = aerial * root, maps * root
    return torch.cat([a, m] if inputs == "concat" else [a, m, (a - m).abs(), a * m], dim=1)
