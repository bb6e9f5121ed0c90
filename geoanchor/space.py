"""An embedding space and the fingerprint that keeps vectors of different spaces apart."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from geoanchor.errors import SpaceMismatch

Metric = Literal["cosine", "inner_product", "codes"]
Number = Literal["float32", "uint8"]
Modality = Literal["aerial", "map", "ground", "segment", "text"]


class EmbeddingSpace(BaseModel):
    """What makes two vectors comparable; anything that moves an embedding is part of it.

    Attributes:
        name: "semantic", "structure", ...; unique within a bundle.
        dim: length of a vector.
        metric: "cosine" (vectors are unit length), "inner_product", or "codes": entries of a codebook, which only the
            bundle's own matcher can compare.
        number: type of a vector's entries; "uint8" for codes, else "float32".
        modalities: what the bundle can put into this space.
        weights: SHA-256 of every weight that takes part.
        preprocessing: SHA-256 of sizes, crops, interpolation and normalisation.
        tokeniser: SHA-256 of tokeniser and prompt, "" where the space has no text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dim: int = Field(gt=0)
    metric: Metric = "cosine"
    number: Number = "float32"
    modalities: tuple[Modality, ...]
    weights: str
    preprocessing: str
    tokeniser: str = ""

    @property
    def searchable(self) -> bool:
        """Whether vectors can be searched by inner product."""
        return self.metric != "codes"

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 over all fields."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def require(self, other: EmbeddingSpace, *, where: str) -> None:
        """Raise SpaceMismatch unless `other` is this very space; `where` says who holds this one (an index folder)."""
        if self.fingerprint != other.fingerprint:
            raise SpaceMismatch(
                f"{where} holds vectors of space {self.name!r} {self.fingerprint}, but the model makes "
                f"{other.name!r} {other.fingerprint}: open it with the model it was built with, or build a new index"
            )
