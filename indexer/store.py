"""What a build needs of the store of record beyond rows: texts, compaction, and how to make or open one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from geoanchor.protocols import RowStore, RowVectors, Vectors
from geoanchor.space import EmbeddingSpace

if TYPE_CHECKING:
    import pyarrow as pa


class IndexStore(RowStore, Protocol):
    """A row store that also keeps the gallery of texts."""

    @property
    def texts_version(self) -> int:
        """Version of the texts, grows with every commit."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that rows have vectors in."""

    def texts(self, columns: Sequence[str] | None = None) -> pa.Table:
        """text, kind ("caption" | "tag"), count, and a `vector_SPACE` column (null where there is none) per space."""

    def replace_texts(
        self, texts: Sequence[str], kinds: Sequence[str], counts: Sequence[int], vectors: Mapping[str, Vectors]
    ) -> None:
        """Put n texts in the place of all others in one commit; vectors (n, d) by space."""

    def replace_vectors(self, ids: Sequence[str], vectors: Mapping[str, RowVectors]) -> None:
        """Put other vectors (n, d) by space in the place of those of n rows by id, in one commit; ids must exist."""

    def replace_words(
        self, ids: Sequence[str], captions: Sequence[str], tags: Sequence[Sequence[str]] | None = None
    ) -> None:
        """Put other captions, and tags unless None, in the place of those of n rows by id, in one commit; ids exist."""

    def restore(self, version: int) -> None:
        """Make the rows those of an earlier version again, in a commit of its own."""

    def compact(self) -> None:
        """Rewrite the rows in the order (cell, layer, id) and drop what only older versions use."""


class Stores(Protocol):
    """Makes and opens stores; the store's own class, usually."""

    def create(self, folder: Path, spaces: Mapping[str, EmbeddingSpace]) -> IndexStore:
        """An empty store with one vector column per space."""

    def open(self, folder: Path, version: int | None = None) -> IndexStore:
        """The store in a folder, at a version or at the newest. Raises NotAnIndex, IndexCorrupt."""
