"""The store of record: the LanceDB tables `tiles` and `texts` of one index folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geoanchor.errors import IndexCorrupt, NotAnIndex, UsageError
from geoanchor.manifest import Manifest
from geoanchor.protocols import Row, RowVectors, Vectors
from geoanchor.space import EmbeddingSpace
from retrieval.index.renewed import with_columns
from retrieval.index.segment_columns import SEGMENT_COLUMNS, segment_arrays
from retrieval.index.table import Table

_FACTS: tuple[tuple[str, pa.DataType, Callable[[Row], Any]], ...] = (
    ("id", pa.string(), lambda row: row.image.id),
    ("layer", pa.string(), lambda row: row.image.layer),
    ("z", pa.int32(), lambda row: row.image.tile and row.image.tile.z),
    ("x", pa.int32(), lambda row: row.image.tile and row.image.tile.x),
    ("y", pa.int32(), lambda row: row.image.tile and row.image.tile.y),
    ("west", pa.float64(), lambda row: row.image.bounds and row.image.bounds.west),
    ("south", pa.float64(), lambda row: row.image.bounds and row.image.bounds.south),
    ("east", pa.float64(), lambda row: row.image.bounds and row.image.bounds.east),
    ("north", pa.float64(), lambda row: row.image.bounds and row.image.bounds.north),
    ("lng", pa.float64(), lambda row: row.image.point and row.image.point[0]),
    ("lat", pa.float64(), lambda row: row.image.point and row.image.point[1]),
    ("cell", pa.uint64(), lambda row: row.cell),
    ("gsd_m", pa.float64(), lambda row: row.image.gsd_m),
    ("acquired", pa.timestamp("us", tz="UTC"), lambda row: row.image.acquired),
    ("source", pa.string(), lambda row: row.image.source),
    ("origin", pa.string(), lambda row: row.origin),
    ("crs", pa.string(), lambda row: row.image.crs),
    ("attribution", pa.string(), lambda row: row.image.attribution),
    ("tags", pa.list_(pa.string()), lambda row: list(row.image.tags)),
    ("caption", pa.string(), lambda row: row.image.caption),
    ("nodata", pa.float64(), lambda row: row.image.nodata),
    ("width", pa.int32(), lambda row: row.image.pixels.shape[1]),
    ("height", pa.int32(), lambda row: row.image.pixels.shape[0]),
    ("stamp", pa.string(), lambda row: row.stamp),
    ("content_hash", pa.string(), lambda row: row.content_hash),
    ("thumbnail", pa.binary(), lambda row: row.thumbnail),
)
"""Column of `tiles`, its type, and where a row keeps it."""

_NUMBERS = {"float32": pa.float32(), "uint8": pa.uint8()}
_TEXT_FACTS = (("text", pa.string()), ("kind", pa.string()), ("count", pa.int64()))


def vector_column(space: str) -> str:
    """Name of the column that holds the vectors of a space."""
    return f"vector_{space}"


class LanceStore:
    """`tiles` and `texts` of one index folder; implements `geoanchor.protocols.RowStore`.

    Rows keep the order in which they were appended until `compact` sorts them by (cell, layer, id).
    """

    def __init__(self, folder: Path, tiles: Table, texts: Table) -> None:
        self.folder = folder
        self._tiles = tiles
        self._texts = texts
        self._known: set[str] | None = None

    @classmethod
    def create(cls, folder: Path, spaces: Mapping[str, EmbeddingSpace]) -> LanceStore:
        """Make empty tables with one vector column per space. Raises UsageError when there are some already."""
        if (folder / "tiles.lance").exists():
            raise UsageError(f"{folder}: there is an index already; open it, or take another folder")
        folder.mkdir(parents=True, exist_ok=True)
        vectors = [(vector_column(name), pa.list_(_NUMBERS[space.number], space.dim)) for name, space in spaces.items()]
        # `tiles` last: its presence means that both are there.
        texts = Table.create(folder, "texts", pa.schema([*_TEXT_FACTS, *vectors]))
        tiles = Table.create(
            folder, "tiles", pa.schema([*((name, kind) for name, kind, _ in _FACTS), *SEGMENT_COLUMNS, *vectors])
        )
        return cls(folder, tiles, texts)

    @classmethod
    def open(cls, folder: Path, version: int | None = None) -> LanceStore:
        """Open the tables, `tiles` at a version (None: the newest).

        Raises NotAnIndex when the folder holds none, IndexCorrupt when they cannot be read or the version is gone.
        """
        if not (folder / "tiles.lance").exists():
            raise NotAnIndex(f"{folder}: there is no index; make one with `geoanchor index SOURCE --into {folder}`")
        store = cls(folder, Table(folder, "tiles", version), Table(folder, "texts"))
        _ = store._tiles.dataset, store._texts.dataset
        return store

    @classmethod
    def open_sealed(cls, folder: Path, manifest: Manifest) -> LanceStore:
        """Open the tables as a manifest speaks of them, without what an unfinished build has added since; the newest
        where a compaction has dropped that version. Raises as `open` does."""
        try:
            return cls.open(folder, manifest.table_version)
        except IndexCorrupt:
            return cls.open(folder)

    @property
    def version(self) -> int:
        """Version of `tiles`; every commit adds one."""
        return self._tiles.version

    @property
    def texts_version(self) -> int:
        """Version of `texts`."""
        return self._texts.version

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that have a vector column."""
        prefix = vector_column("")
        return tuple(name.removeprefix(prefix) for name in self._tiles.schema.names if name.startswith(prefix))

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows in one commit; a row whose id exists replaces it, and of two with one id the last one stays."""
        if not rows:
            return
        rows = list({row.image.id: row for row in rows}.values())
        ids = {row.image.id for row in rows}
        if self._known is None:
            self._known = set(self._tiles.column("id").to_pylist())
        table = self._to_arrow(rows)
        # A merge reads the whole id column; most builds never meet an id twice.
        if self._known.isdisjoint(ids):
            self._tiles.add(table)
        else:
            self._tiles.upsert(table, "id")
        self._known |= ids

    def delete(self, ids: Sequence[str]) -> int:
        """Remove rows by id in one commit; how many there were."""
        before = self.count()
        if not ids or not len(self._positions(ids)):
            return 0
        self._tiles.delete(f"id IN ({', '.join(map(_quoted, ids))})")
        self._known = None
        return before - self.count()

    def count(self) -> int:
        """Rows."""
        return int(self._tiles.dataset.count_rows())

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Whole columns, in table order. Raises UsageError on a column that does not exist."""
        return self._tiles.columns(names)

    def fetch(self, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Columns of some rows by id, in the order of `ids`; ids that do not exist are left out."""
        try:
            return self._tiles.take(self._positions(ids), columns)
        except IndexCorrupt:
            # A compaction may have dropped the files under a reader that has been open since before it.
            if not self._tiles.refresh():
                raise
            return self._tiles.take(self._positions(ids), columns)

    def texts(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Captions and tag phrases: text, kind ("caption" | "tag"), count of rows that bear it, vectors per space."""
        return self._texts.columns(columns or self._texts.schema.names)

    def replace_texts(
        self, texts: Sequence[str], kinds: Sequence[str], counts: Sequence[int], vectors: Mapping[str, Vectors]
    ) -> None:
        """Put n texts in the place of all others in one commit; vectors (n, d) by space, a space may be absent."""
        known: dict[str, Any] = {"text": texts, "kind": kinds, "count": counts}
        for name in self.spaces:
            known[vector_column(name)] = _vector_array(
                list(vectors[name]) if name in vectors else [None] * len(texts), self._vector_type(name)
            )
        table = pa.table(known, schema=self._texts.schema)
        self._texts.replace(iter(table.to_batches()))
        self._texts.drop_old_versions()

    def replace_vectors(self, ids: Sequence[str], vectors: Mapping[str, RowVectors]) -> None:
        """Put other vectors (n, d) by space in the place of those of n rows by id, in one commit; ids must exist."""
        known = {name: _vector_array(list(rows), self._vector_type(name)) for name, rows in vectors.items()}
        self._replace_columns(ids, {vector_column(name): array for name, array in known.items()})

    def replace_words(
        self, ids: Sequence[str], captions: Sequence[str], tags: Sequence[Sequence[str]] | None = None
    ) -> None:
        """Put other captions, and tags unless None, in the place of those of n rows by id, in one commit."""
        columns = {"caption": pa.array(captions, pa.string())}
        if tags is not None:
            columns["tags"] = pa.array(tags, pa.list_(pa.string()))
        self._replace_columns(ids, columns)

    def _replace_columns(self, ids: Sequence[str], columns: Mapping[str, pa.Array]) -> None:
        place = np.full(self.count(), -1, np.int64)
        place[self._positions(ids)] = np.arange(len(ids))
        self._tiles.replace(with_columns(self._tiles.chunks(np.arange(len(place))), columns, place))

    def restore(self, version: int) -> None:
        """Make the rows those of an earlier version again, in a commit of its own."""
        self._tiles.restore(version)
        self._known = None

    def compact(self) -> None:
        """Rewrite the rows in the order (cell, layer, id) and drop older versions and their files."""
        keys = self._tiles.columns(["cell", "layer", "id"])
        order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in ("cell", "layer", "id")]).to_numpy()
        if len(order):
            self._tiles.replace(self._tiles.chunks(order))
        self._tiles.drop_old_versions()
        self._texts.drop_old_versions()

    def _positions(self, ids: Sequence[str]) -> list[int]:
        """Table positions of ids, in their order; those that do not exist are left out."""
        found = pc.index_in(self._tiles.column("id"), value_set=pa.array(ids, pa.string())).to_numpy()
        rows = np.flatnonzero(~np.isnan(found))
        position = dict(zip(found[rows].astype(int).tolist(), rows.tolist(), strict=True))
        first = {id_: number for number, id_ in reversed(list(enumerate(ids)))}
        return [position[first[id_]] for id_ in ids if first[id_] in position]

    def _vector_type(self, space: str) -> pa.FixedSizeListType:
        return self._tiles.schema.field(vector_column(space)).type

    def _to_arrow(self, rows: Sequence[Row]) -> pa.Table:
        arrays = [pa.array([value(row) for row in rows], kind) for _, kind, value in _FACTS]
        names = [name for name, _, _ in _FACTS]
        # Indexes of before there were segments lack their columns.
        if SEGMENT_COLUMNS[0][0] in self._tiles.schema.names:
            arrays += segment_arrays([row.segments for row in rows])
            names += [name for name, _ in SEGMENT_COLUMNS]
        for space in self.spaces:
            arrays.append(_vector_array([row.vectors.get(space) for row in rows], self._vector_type(space)))
            names.append(vector_column(space))
        return pa.table(arrays, schema=pa.schema([self._tiles.schema.field(name) for name in names]))


def _vector_array(vectors: Sequence[RowVectors | None], kind: pa.FixedSizeListType) -> pa.Array:
    """Vectors as an array of fixed-size lists; None where a row has none in this space."""
    absent, dim = np.array([vector is None for vector in vectors], bool), kind.list_size
    dense = np.zeros((len(vectors), dim), kind.value_type.to_pandas_dtype())
    for row, vector in enumerate(vectors):
        if vector is not None:
            dense[row] = vector
    mask = pa.array(absent) if absent.any() else None
    return pa.FixedSizeListArray.from_arrays(pa.array(dense.reshape(-1)), dim, mask=mask)


def _quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
