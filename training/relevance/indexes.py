"""Indexes of a part of a gallery, as the serving files of a real one, made in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from geoanchor.manifest import Manifest
from geoanchor.protocols import Encoder, Vectors
from geoanchor.words import tag_phrase
from retrieval.index.lance import vector_column
from retrieval.serving import Serving
from retrieval.snapshot import derive_serving
from training.relevance.cases import Mask
from training.relevance.galleries import Gallery

_SPACE = "semantic"


class Indexes:
    """Makes indexes of a gallery without some of its pictures; one of each kind.

    Args:
        folder: where their files go.
    """

    def __init__(self, gallery: Gallery, encoder: Encoder, folder: Path) -> None:
        self._gallery = gallery
        self._folder = folder
        self._space = encoder.spaces[_SPACE]
        self._model = encoder.name
        texts = sorted({text for row in range(len(gallery)) for text in _texts_of(gallery, row)})
        vectors = encoder.encode(texts, "text", "gallery")[_SPACE] if texts else np.zeros((0, self._space.dim))
        self._texts: dict[str, Vectors] = dict(zip(texts, np.asarray(vectors, np.float32), strict=True))
        self._made: dict[bytes, Serving] = {}

    def without(self, keep: Mask) -> Serving:
        """The index of the pictures to keep."""
        if keep.tobytes() not in self._made:
            folder = self._folder / str(len(self._made))
            store = _Store(self._gallery, np.flatnonzero(keep).tolist(), self._texts, self._space.dim)
            manifest = Manifest(model=self._model, spaces={_SPACE: self._space}, rows=int(keep.sum()))
            self._made[keep.tobytes()] = Serving(folder, derive_serving(folder, store, manifest))
        return self._made[keep.tobytes()]


class _Store:
    """Rows of a gallery as the store of record hands them out."""

    version = 1

    def __init__(self, gallery: Gallery, rows: Sequence[int], texts: Mapping[str, Vectors], dim: int) -> None:
        self._gallery = gallery
        self._rows = rows
        self._known = texts
        self._type = pa.list_(pa.float32(), dim)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Whole columns; unknown facts are null."""
        gallery, rows = self._gallery, self._rows
        known: dict[str, pa.Array] = {
            "id": pa.array([gallery.ids[row] for row in rows]),
            "layer": pa.array(["aerial"] * len(rows)),
            "tags": pa.array([list(gallery.tags[row]) for row in rows], pa.list_(pa.string())),
            "caption": pa.array([gallery.captions[row] for row in rows]),
            vector_column(_SPACE): pa.array(list(gallery.vectors[list(rows)]), self._type),
        }
        return pa.table({name: known[name] if name in known else self._unknown(name) for name in names})

    def _unknown(self, name: str) -> pa.Array:
        kinds = {"z": pa.int32(), "x": pa.int32(), "y": pa.int32(), "cell": pa.uint64(),
                 "acquired": pa.timestamp("us", "UTC"), "source": pa.string(), "attribution": pa.string()}  # fmt: skip
        return pa.nulls(len(self._rows), kinds.get(name, pa.float64()))

    def texts(self) -> pa.Table:
        """What the kept rows say of themselves, each once."""
        texts = sorted({text for row in self._rows for text in _texts_of(self._gallery, row)})
        vectors = pa.array([self._known[text] for text in texts], self._type)
        return pa.table({"text": pa.array(texts, pa.string()), vector_column(_SPACE): vectors})


def _texts_of(gallery: Gallery, row: int) -> list[str]:
    caption = gallery.captions[row]
    return ([caption] if caption else []) + [tag_phrase(tag) for tag in gallery.tags[row]]
