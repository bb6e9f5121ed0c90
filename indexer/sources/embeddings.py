"""Ready-made embeddings: rows that bring their vectors, from GeoParquet or from .npy with a .csv beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import ValidationError

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Layer, TileImage
from geoanchor.protocols import TileRef, Vectors
from geoanchor.space import EmbeddingSpace
from indexer.sources.grid import in_box
from indexer.sources.identity import file_stamp, source_name
from indexer.sources.position import Position, read_positions
from indexer.sources.registry import SourceOptions

_BATCH_ROWS = 8192
_VECTOR_NAMES = ("embedding", "embeddings", "vector", "vectors", "feature", "features", "emb")
_ID_NAMES = ("id", "tile_id", "chip_id", "chips_id", "image_id", "unique_id", "name", "grid_cell")
_TIME_NAMES = ("acquired", "datetime", "timestamp", "time", "date")
_TEXT_NAMES = ("caption", "source", "attribution")
_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


def open_embeddings(uri: str, options: SourceOptions) -> EmbeddingRows:
    """Open `embeddings:FILE.parquet`, or `embeddings:FILE.npy` with FILE.csv (same rows, a header) beside it.

    The space of the vectors is described by FILE.space.json where there is one.
    Raises UsageError for a missing file, BadInput for one without vectors or ids, or that does not fit its description.
    """
    path = Path(uri.partition(":")[2])
    if not path.is_file():
        raise UsageError(f"{uri}: no such file")
    if path.suffix.lower() in (".parquet", ".geoparquet", ".pq"):
        table, vectors = _read_parquet(path)
    elif path.suffix.lower() == ".npy":
        table, vectors = _read_npy(path)
    else:
        raise UsageError(f"{uri}: ready-made embeddings must be .parquet, or .npy with a .csv beside it")
    return EmbeddingRows(uri, path, table, vectors, options)


class EmbeddingRows:
    """A TileSource of vectors without pixels; the vectors are held once.

    Attributes:
        spaces: by name, where a FILE.space.json tells what the vectors are, else None.
    """

    def __init__(self, uri: str, path: Path, table: pa.Table, vectors: Vectors, options: SourceOptions) -> None:
        self.uri, self.zoom, self.attribution = uri, None, ""
        self.layer: Layer = options.layer or "aerial"
        self.spaces = _read_spaces(path, vectors.shape[1])
        self._space = next(iter(self.spaces)) if self.spaces else "semantic"
        self._name, self._path, self._within = source_name(path), path, options.within
        beside = [path.with_suffix(".csv")] if path.suffix.lower() == ".npy" else []
        self._stamp = " ".join(file_stamp(file.stat()) for file in (path, *beside))
        self._vectors = vectors
        self._ids = _ids(path, table)
        self._positions = read_positions(table, str(path))
        self._times = _column(table, _TIME_NAMES)
        self._texts = {name: table[name].to_pylist() for name in _TEXT_NAMES if name in table.column_names}

    def plan(self) -> Iterator[TileRef]:
        """Rows in the order of the file; with a box, those whose position lies in it."""
        for row, name in enumerate(self._ids):
            where = self._positions.at(row)
            if self._within is None or (where.point is not None and in_box(where.point, self._within)):
                yield TileRef(f"{self.layer}/{self._name}/{name}", str(row), where.tile, self._stamp, where.point)

    def read(self, ref: TileRef) -> TileImage:
        """One row. Raises BadInput when its vector is all zeros, not finite, or of another length than the others."""
        row = int(ref.key)
        vector = np.array(self._vectors[row], np.float32)
        where = f"{self._path} row {row} ({self._ids[row]})"
        if not np.isfinite(vector).all():
            raise BadInput(where, "its vector is missing, of another length, or holds values that are not finite")
        if not vector.any():
            raise BadInput(where, "its vector is all zeros")
        position: Position = self._positions.at(row)
        return TileImage(
            id=ref.id,
            pixels=_NO_PIXELS,
            layer=self.layer,
            tile=position.tile,
            bounds=position.bounds,
            point=position.point,
            acquired=_time(self._times[row]) if self._times else None,
            source=self._text("source", row) or str(self._path),
            attribution=self._text("attribution", row),
            caption=self._text("caption", row),
            vectors={self._space: vector},
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _text(self, name: str, row: int) -> str:
        return str(self._texts[name][row] or "") if name in self._texts else ""


def _read_parquet(path: Path) -> tuple[pa.Table, Vectors]:
    """Every column but the vectors, and the vectors (n, d)."""
    try:
        file = pa.parquet.ParquetFile(path)
        name = _vector_column(path, file.schema_arrow)
        others = [field.name for field in file.schema_arrow if field.name != name]
        return file.read(columns=others), _stream_vectors(file, name)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(str(path), f"cannot be read as Parquet ({error})") from error


def _stream_vectors(file: pa.parquet.ParquetFile, name: str) -> Vectors:
    """Fill one array batch by batch, so that the vectors never lie in memory twice."""
    rows, filled, vectors = file.metadata.num_rows, 0, np.empty((0, 0), np.float32)
    for batch in file.iter_batches(_BATCH_ROWS, columns=[name]):
        column = batch.column(0)
        if not vectors.size:
            vectors = np.full((rows, _length(column)), np.nan, np.float32)
        _fill(vectors[filled : filled + len(column)], column)
        filled += len(column)
    return vectors


def _length(column: pa.Array) -> int:
    """Length of most of a batch's vectors."""
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    lengths = Counter(pa.compute.list_value_length(column).drop_null().to_pylist())
    return int(lengths.most_common(1)[0][0]) if lengths else 0


def _fill(target: Vectors, column: pa.Array) -> None:
    """Copy a batch; rows that are null or of another length stay NaN."""
    dim = target.shape[1]
    lengths = np.asarray(pa.compute.fill_null(pa.compute.list_value_length(column), -1))
    good = lengths == dim
    flat = column.filter(pa.array(good)).flatten().cast(pa.float32())
    target[good] = flat.to_numpy(zero_copy_only=False).reshape(-1, dim)


def _vector_column(path: Path, schema: pa.Schema) -> str:
    numeric = [field.name for field in schema if _is_vector(field)]
    named = [name for name in numeric if name.lower() in _VECTOR_NAMES]
    found = named or numeric
    if not found:
        raise BadInput(str(path), "has no column of vectors (a list of floats, usually named `embedding`)")
    if len(found) > 1:
        raise BadInput(str(path), f"has several columns of vectors ({', '.join(found)}); keep one")
    return str(found[0])


def _is_vector(field: pa.Field) -> bool:
    kind = field.type
    listed = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and pa.types.is_floating(kind.value_type) and field.name.lower() not in ("bbox", "bounds")


def _read_npy(path: Path) -> tuple[pa.Table, Vectors]:
    """The .csv beside the file, and the vectors (n, d), memory-mapped."""
    beside = path.with_suffix(".csv")
    if not beside.is_file():
        raise UsageError(f"{path}: needs {beside.name} beside it, with a line for each vector")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        table = pa.csv.read_csv(beside)
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(str(path), f"the vectors or their .csv cannot be read ({error})") from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not vectors.shape[1]:
        raise BadInput(str(path), f"must hold floats of shape (n, d), not {vectors.dtype} {vectors.shape}")
    if len(vectors) != table.num_rows:
        raise BadInput(str(path), f"{len(vectors)} vectors but {table.num_rows} lines in {beside.name}")
    return table, vectors


def _read_spaces(path: Path, dim: int) -> dict[str, EmbeddingSpace] | None:
    beside = path.with_suffix(".space.json")
    if not beside.is_file():
        return None
    try:
        space = EmbeddingSpace.model_validate(json.loads(beside.read_text("utf-8")))
    except (ValidationError, ValueError, OSError) as error:
        raise BadInput(str(beside), f"does not describe an embedding space ({type(error).__name__})") from error
    if space.dim != dim:
        raise BadInput(str(beside), f"speaks of {space.dim} dimensions, the vectors have {dim}")
    return {space.name: space}


def _ids(path: Path, table: pa.Table) -> NDArray[np.object_]:
    found = _column(table, _ID_NAMES)
    if not found:
        raise BadInput(str(path), f"has no column of ids ({', '.join(_ID_NAMES[:3])}, ...)")
    ids = np.array([str(value) for value in found], object)
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise BadInput(str(path), f"the id {twice!r} comes more than once; ids must be unique")
    return ids


def _column(table: pa.Table, names: tuple[str, ...]) -> list[Any]:
    """Values of the first of these columns that there is, empty where there is none."""
    lower = {name.lower(): name for name in reversed(table.column_names)}
    return next((table[lower[name]].to_pylist() for name in names if name in lower), [])


def _time(value: Any) -> datetime | None:
    """A time of a row in UTC, None where it is none."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
