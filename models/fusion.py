"""Fusion of an aerial and a map vector: what a discriminator and a library of prototypes think of the pair (U-CSA).

Judging is numpy alone; `training.matching` learns the weights with torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Literal, cast

import numpy as np

from geoanchor.errors import BadInput
from geoanchor.protocols import Vectors
from models.text import linear, unit

PREFIX = "fusion"
"""Of the tensors' names in a bundle's weights."""
SLOPE = 0.2
"""Of the LeakyReLU below zero."""
HEAD_LAYERS = 3
Inputs = Literal["rich", "concat"]
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the two opinions become one score and a probability; everything is learned on held-out pairs.

    Attributes:
        discriminator_mean, discriminator_std, prototype_mean, prototype_std: of the two over those pairs.
        alpha: weight of the discriminator, 1 - alpha that of the prototypes.
        slope, intercept: of the logistic curve from score to probability (Platt 1999).
    """

    discriminator_mean: float = 0.0
    discriminator_std: float = 1.0
    prototype_mean: float = 0.0
    prototype_std: float = 1.0
    alpha: float = 0.7
    slope: float = 1.0
    intercept: float = 0.0

    def match_score(self, discriminator: Vectors, prototype: Vectors) -> Vectors:
        """(n,) the weighted sum of both in standard deviations; higher is more alike."""
        first = (discriminator - self.discriminator_mean) / self.discriminator_std
        second = (prototype - self.prototype_mean) / self.prototype_std
        return np.asarray(self.alpha * first + (1 - self.alpha) * second, np.float32)

    def match_probability(self, discriminator: Vectors, prototype: Vectors) -> Vectors:
        """(n,) in 0..1 that map and ground agree; one less it is the mismatch score."""
        logit = self.slope * self.match_score(discriminator, prototype) + self.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -80, 80))), np.float32)


class FusionScorer:
    """The trained fusion network over vectors of frozen towers.

    Args:
        arrays: "mlp.inner.weight", "mlp.inner.bias", "mlp.outer.*", "head.0.*" to "head.2.*", "prototypes" (k, width),
            "skip" (1,), what the discriminator adds for each unit of the plain cosine, and, where it was calibrated,
            "calibration" (7,); as `arrays` gives them.

    Raises BadInput when one is missing or the shapes do not fit.
    """

    def __init__(self, arrays: Mapping[str, Vectors]) -> None:
        self._arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        missing = [name for name in _names() if name not in self._arrays]
        if missing:
            raise BadInput("fusion weights", f"{missing[0]} is missing")
        self._prototypes = unit(self._arrays["prototypes"])
        stored = self._arrays.get("calibration")
        self.calibration = Calibration() if stored is None else Calibration(*map(float, stored))

    def arrays(self) -> dict[str, Vectors]:
        """What the scorer was made of, calibration included, by name without the bundle's prefix."""
        return self._arrays | {"calibration": np.array(astuple(self.calibration), np.float32)}

    def scores(self, aerial: Vectors, maps: Vectors) -> tuple[Vectors, Vectors]:
        """Both opinions of n pairs, row by row.

        Args:
            aerial, maps: (n, d) float32, rows of unit length in the bundle's space.
        Returns:
            discriminator (n,) float32, above 0 for a match; prototype (n,) float32, the cosine to the nearest one.
        """
        if len(aerial) > _CHUNK:
            cuts = range(0, len(aerial), _CHUNK)
            parts = [self.scores(aerial[cut : cut + _CHUNK], maps[cut : cut + _CHUNK]) for cut in cuts]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        fused = self._fused(aerial, maps)
        nearest = (unit(fused) @ self._prototypes.T).max(axis=1)
        x = fused
        for layer in range(HEAD_LAYERS - 1):
            x = leaky(self._linear(x, f"head.{layer}"))
        beside = self._arrays["skip"] * np.einsum("nd,nd->n", aerial, maps)
        return self._linear(x, f"head.{HEAD_LAYERS - 1}")[:, 0] + beside, nearest

    def probability(self, aerial: Vectors, maps: Vectors) -> Vectors:
        """(n,) float32 in 0..1 that each pair matches."""
        return self.calibration.match_probability(*self.scores(aerial, maps))

    def _fused(self, aerial: Vectors, maps: Vectors) -> Vectors:
        width = self._arrays["mlp.inner.weight"].shape[1]
        inputs: Inputs = "rich" if width == 4 * aerial.shape[1] else "concat"
        x = joined(aerial, maps, inputs)
        if x.shape[1] != width:
            raise BadInput("fusion weights", f"are for {width} inputs, which vectors of {aerial.shape[1]} do not make")
        return self._linear(leaky(self._linear(x, "mlp.inner")), "mlp.outer")

    def _linear(self, x: Vectors, name: str) -> Vectors:
        return linear(x, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"])


def joined(aerial: Vectors, maps: Vectors, inputs: Inputs) -> Vectors:
    """Input of the network: [a; m] or [a; m; |a - m|; a * m], scaled so that entries are of the order of 1.

    Args:
        aerial, maps: (n, d) rows of unit length.
    Returns:
        (n, 2 d) or (n, 4 d).
    """
    root = aerial.shape[1] ** 0.5
    a, m = aerial * root, maps * root
    if inputs == "concat":
        return _beside(a, m)
    return _beside(a, m, abs(a - m), a * m)


def leaky(x: Vectors) -> Vectors:
    """x, or `SLOPE` times x below zero."""
    return cast(Vectors, np.maximum(x, np.float32(SLOPE) * x))


def _beside(*parts: Vectors) -> Vectors:
    return np.concatenate(parts, axis=1)


def _names() -> list[str]:
    layers = ["mlp.inner", "mlp.outer", *(f"head.{layer}" for layer in range(HEAD_LAYERS))]
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")] + ["prototypes", "skip"]
