"""relevance.json of a bundle: what makes scores of its embedding space probabilities."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import BadInput
from geoanchor.protocols import Vectors

FILE_NAME = "relevance.json"
"""In a bundle's folder."""
Scores = NDArray[np.float64]
Features = NDArray[np.float64]
Kind = Literal["named", "words", "pictures", "plain"]
"""Rows that bear tags or a caption, asked for by a name whose tags are known, or by other words; rows that bear none;
scores of which nothing but their background is known."""

_SEEN = ("height", "lead", "apart", "top", "shelf", "passed", "crowd")
HEIGHTS = _SEEN[:5]
"""Those in standard deviations of a text's scores over the reference pictures."""
_WORDS = ("said", "all_said", "alike")
FEATURES: Mapping[Kind, tuple[str, ...]] = {
    "named": (*_SEEN, *_WORDS, "named"), "words": (*_SEEN, *_WORDS), "pictures": _SEEN, "plain": ("tail",),
}  # fmt: skip
"""What each kind of row is judged by; see `retrieval.relevance.Relevance.evidence`."""
_WHOLE = ("few", "all", "height", "shelf")
ANSWER_FEATURES: Mapping[Kind, tuple[str, ...]] = {
    "named": (*_WHOLE, "known", "alike_any", "any_named"), "words": (*_WHOLE, "known", "alike_any"),
    "pictures": _WHOLE, "plain": ("few", "all"),
}  # fmt: skip
"""What a whole answer is judged by; see `retrieval.relevance.together`."""


class Model(BaseModel):
    """A logistic model: probability = 1 / (1 + exp(-(bias + weights . features)))."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, float]
    bias: float

    def log_odds(self, features: Features, names: tuple[str, ...]) -> Scores:
        """(n,) of features (n, f) in the order of names, within -12..12."""
        weights = np.array([self.weights.get(name, 0.0) for name in names])
        return np.asarray(np.clip(self.bias + features @ weights, -12, 12))

    def probability(self, features: Features, names: tuple[str, ...], unsure: float = 0.0) -> Scores:
        """The same as probabilities.

        Args:
            unsure: standard deviation of an error that all of `HEIGHTS` share (MacKay 1992, moderated outputs).
        """
        swing = unsure * sum(self.weights.get(name, 0.0) for name in HEIGHTS)
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features, names) / np.sqrt(1 + np.pi / 8 * swing**2))))


class Judge(BaseModel):
    """How one kind of row is judged.

    Attributes:
        hit, answer: of a hit, and of the best hits together.
        found: the least probability of the latter at which a question counts as answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hit: Model
    answer: Model
    found: float


class Domain(BaseModel):
    """One kind of imagery: pictures of it whose scores say what is usual there, and judges fitted among such.

    Attributes:
        reference_vectors: of the pictures, float16, base64.
        judges: of the kinds of row that there was truth for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reference_vectors: str = ""
    judges: dict[Kind, Judge]

    def reference(self, dim: int) -> Vectors:
        """The pictures' vectors (r, dim) float32."""
        return unpacked(self.reference_vectors, dim)


class Calibration(BaseModel):
    """The file.

    Attributes:
        space: fingerprint of the embedding space that it was fitted in.
        bank: texts that compete with a query for a picture; bank_vectors: theirs, float16, base64.
        called: what a plain name means in map tags: "arena" -> ("leisure=stadium",); "a=b&c=d" needs both.
        domains: at least one; see `Relevance` for which counts.
        quality: what it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[2] = 2
    space: str = ""
    bank: tuple[str, ...] = ()
    bank_vectors: str = ""
    called: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    domains: tuple[Domain, ...] = Field(min_length=1)
    quality: dict[str, Any] = Field(default_factory=dict)

    @cached_property
    def vectors(self) -> Vectors:
        """Of the bank, (b, d) float32."""
        dim = len(base64.b64decode(self.bank_vectors)) // (2 * max(len(self.bank), 1))
        return unpacked(self.bank_vectors, dim)

    def judge(self, domain: Domain, kind: Kind) -> Judge:
        """The domain's own, else the first that there is for the kind of row."""
        return next(some.judges[kind] for some in (domain, *self.domains) if kind in some.judges)


UNFITTED = Calibration(
    domains=(
        Domain(
            name="any",
            judges={
                "plain": Judge(
                    hit=Model(weights={"tail": 1.5}, bias=-1.0), answer=Model(weights={"few": 1.0}, bias=0.0), found=0.1
                )
            },
        ),
    )
)
"""For spaces that nothing was fitted in: only how far a hit stands out of its query's background."""


def packed(vectors: Vectors) -> str:
    """Vectors (n, d) as text: float16, base64."""
    return base64.b64encode(vectors.astype(np.float16).tobytes()).decode()


def unpacked(text: str, dim: int) -> Vectors:
    """Vectors (n, dim) float32 of `packed`."""
    return np.frombuffer(base64.b64decode(text), np.float16).reshape(-1, max(dim, 1)).astype(np.float32)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the file."""
    path.write_text(calibration.model_dump_json(indent=1) + "\n", "utf-8")


def read_calibration(path: Path) -> Calibration | None:
    """A bundle's calibration, None where it has none. Raises BadInput."""
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(str(path), "is no calibration of relevance; run `python -m scripts.relevance` again") from error
