"""What is kept of an adaptation beside its bundle: enough to undo it, and to check it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from geoanchor.errors import IndexCorrupt
from geoanchor.protocols import RowVectors
from geoanchor.space import EmbeddingSpace

FILE_NAME = "adaptation.json"
FORMER_NAME = "former.arrow"
_VECTOR = "vector_"


class Adaptation(BaseModel):
    """One adaptation of an index to its own ground.

    Attributes:
        kept: whether it was better by more than the gain's standard error, so that the index has it now.
        former_model, former_spaces: of the index before. pairs: learned from. folds, steps, seed: how.
        resolution: of the H3 cells that were kept together; fold: by such a cell, in hexadecimal.
        before, after: AUROC of right maps against each kind of wrong ones, each tile seen by a decoder that never
            learned from its block. error: standard error of the mean's gain. seconds: all in all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: bool
    former_model: str
    former_spaces: dict[str, EmbeddingSpace]
    pairs: int
    folds: int
    steps: int
    seed: int
    resolution: int
    fold: dict[str, int]
    before: dict[str, float]
    after: dict[str, float]
    error: float = 0.0
    seconds: float

    @property
    def gain(self) -> float:
        """How much the mean AUROC over all kinds of wrong maps rose."""
        return gain_of(self.before, self.after)

    def write(self, bundle: Path) -> None:
        """Put it beside the bundle's weights."""
        (bundle / FILE_NAME).write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def gain_of(before: dict[str, float], after: dict[str, float]) -> float:
    """How much the mean over all kinds rose."""
    return float(np.mean(list(after.values())) - np.mean(list(before.values())))


def read_adaptation(bundle: Path) -> Adaptation:
    """The adaptation that made a bundle. Raises IndexCorrupt when its record is missing or damaged."""
    try:
        return Adaptation.model_validate_json((bundle / FILE_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise IndexCorrupt(f"{bundle / FILE_NAME}: missing or damaged, so this adaptation cannot be undone") from error


def write_former(bundle: Path, table: pa.Table) -> None:
    """Keep rows' id, content_hash and former vectors."""
    with pa.OSFile(str(bundle / FORMER_NAME), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_former(bundle: Path) -> tuple[dict[tuple[str, str], int], dict[str, RowVectors]]:
    """Rows by id and content hash, and their former vectors (n, d) by space. Raises IndexCorrupt."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(bundle / FORMER_NAME))).read_all()
        keys = zip(table["id"].to_pylist(), table["content_hash"].to_pylist(), strict=True)
        vectors = {name.removeprefix(_VECTOR): _matrix(table[name]) for name in table.column_names[2:]}
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise IndexCorrupt(
            f"{bundle / FORMER_NAME}: missing or damaged, so this adaptation cannot be undone"
        ) from error
    return {key: row for row, key in enumerate(keys)}, vectors


def _matrix(column: pa.ChunkedArray) -> RowVectors:
    """A column of vectors without nulls as a matrix (n, d)."""
    vectors: RowVectors = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(len(column), -1)
