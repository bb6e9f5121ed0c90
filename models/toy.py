"""A deterministic encoder whose vectors can be computed by hand: the test double."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from geoanchor.errors import UnsupportedModality
from geoanchor.image import Pixels
from geoanchor.protocols import Matcher, Role, Vectors
from geoanchor.settings import Settings
from geoanchor.space import EmbeddingSpace, Modality

_WORDS: dict[str, tuple[float, float, float]] = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "white": (1, 1, 1),
    "roof": (1, 0.3, 0.2),
    "park": (0.2, 0.8, 0.2),
    "river": (0.1, 0.2, 0.9),
}


class ToyEncoder:
    """Colour as meaning: a picture is its mean red, green, blue and a constant, a text the sum of its colour words.

    Args:
        salt: changes the fingerprint and nothing else, to stand for another model of the same dimension.
        dim: length of the vectors, at least 4; the rest is zero.
    """

    matcher: Matcher | None = None

    def __init__(self, salt: str = "", dim: int = 4) -> None:
        self.name = f"toy:{salt}" if salt else "toy"
        self._dim = dim
        self._space = EmbeddingSpace(
            name="semantic",
            dim=dim,
            modalities=("aerial", "map", "ground", "text"),
            weights=hashlib.sha256(f"toy{salt}".encode()).hexdigest(),
            preprocessing=hashlib.sha256(b"mean colour").hexdigest(),
            tokeniser=hashlib.sha256(b"colour words").hexdigest(),
        )

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        """One space, "semantic"."""
        return {"semantic": self._space}

    def neutral(self, modality: Modality) -> tuple[int, int, int]:
        """Middle grey. Raises UnsupportedModality for segments."""
        self._check(modality)
        return (128, 128, 128)

    def prepare(self, pixels: Pixels, modality: Modality) -> Pixels:
        """The pixels as they are."""
        return pixels

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, Vectors]:
        """Unit vectors (n, dim) float32. Raises UnsupportedModality for segments."""
        self._check(modality)
        rows = [self._text(item) if isinstance(item, str) else self._picture(item) for item in items]
        vectors = np.zeros((len(rows), self._dim), np.float32)
        vectors[:, :4] = np.asarray(rows, np.float32).reshape(-1, 4)
        return {"semantic": vectors / np.linalg.norm(vectors, axis=1, keepdims=True)}

    def _check(self, modality: Modality) -> None:
        if modality not in self._space.modalities:
            raise UnsupportedModality(f"model 'toy' knows no {modality}; it knows {', '.join(self._space.modalities)}")

    @staticmethod
    def _picture(pixels: Pixels) -> list[float]:
        return [*(pixels.reshape(-1, 3).mean(axis=0) / 255).tolist(), 0.1]

    @staticmethod
    def _text(text: str) -> list[float]:
        colours = [_WORDS[word] for word in text.lower().split() if word in _WORDS]
        return [*np.sum(colours or [(0, 0, 0)], axis=0).tolist(), 0.1]


def open_toy(name: str, _settings: Settings) -> ToyEncoder:
    """`toy`, or `toy:SALT` for a space of its own."""
    return ToyEncoder(salt=name.partition(":")[2])
