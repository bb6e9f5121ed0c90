"""What a search needs, derived from the store of record and memory-mapped: rows in H3 order, vectors, texts.

serving/<table version>-<texts version>/
  rows.arrow              facts of each row, sorted by (cell, layer, id); rows without position come first
  vectors.<space>.npy     (g, d) in the space's number type, the same order; zero where a row has no vector of it
  missing.<space>.npy     positions of those rows, where there are any
  faiss.<space>.index     for large galleries
  segments.*              parts of the rows, where the index has them; see `retrieval.segments`
  texts.arrow, texts.<space>.npy   captions and phrases with their vectors
  names.arrow             names of places, where the sources know any
"""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from geoanchor.errors import IndexCorrupt
from geoanchor.image import LAYERS, Layer
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import Manifest, read_manifest
from geoanchor.places import FILE_NAME as NAMES
from geoanchor.protocols import RowColumns, RowIds, VectorIndex, Vectors
from geoanchor.space import EmbeddingSpace
from retrieval.ground import ground_tags
from retrieval.index.flat import FlatIndex
from retrieval.index.lance import vector_column
from retrieval.neighbours import spill, tile_neighbours
from retrieval.region import Places
from retrieval.segments import SegmentGallery, write_segments

FAISS_FROM = 50_000
"""Rows from which a FAISS file is worth its making."""
ROW_COLUMNS = (
    "id", "layer", "z", "x", "y", "west", "south", "east", "north", "lng", "lat", "cell", "gsd_m", "acquired",
    "source", "attribution", "tags", "caption",
)  # fmt: skip
_HASHED_UP_TO = 16_000_000
"""Larger files are checked by size alone."""

_PARTIAL, _OLD = ".part", ".old"
"""Ends of the names of a snapshot that is being written, and of one that is being replaced."""


class TextStore(RowColumns, Protocol):
    """A store of record that also keeps texts."""

    def texts(self) -> pa.Table:
        """All texts: column `text` and one vector column per space, null where a space has no text."""


def serving_folder(folder: Path, manifest: Manifest) -> Path:
    """Where the snapshot that a manifest speaks of lies."""
    return folder / "serving" / f"{manifest.table_version}-{manifest.texts_version}"


def derive_serving(folder: Path, store: TextStore, manifest: Manifest) -> Manifest:
    """Write the serving snapshot of a store, drop all but the one before it, and give the manifest its checksums."""
    target = serving_folder(folder, manifest)
    _restore_old(target.parent)
    partial = target.with_name(target.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    places = _write_rows(partial, store)
    for space in manifest.spaces.values():
        column = store.columns([vector_column(space.name)]).column(0)
        _write_vectors(partial, space, column, places)
    if manifest.segments is not None:
        write_segments(partial, store, manifest.spaces[manifest.segments.space].dim, places)
    _write_texts(partial, store, manifest)
    if (folder / NAMES).is_file():
        shutil.copyfile(folder / NAMES, partial / NAMES)
    _put_in_place(partial, target)
    _drop_old(folder, target)
    kept = {name: mark for name, mark in manifest.checksums.items() if not name.startswith("serving/")}
    sums = {path.relative_to(folder).as_posix(): _mark(path) for path in sorted(target.iterdir())}
    return manifest.model_copy(update={"checksums": kept | sums})


class Serving:
    """An opened snapshot; everything in it is memory-mapped and read on first use.

    Attributes:
        folder: of the index; manifest: what it holds; rows: facts in serving order.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._path = serving_folder(folder, manifest)
        self.rows = _read_batch(self._path / "rows.arrow")
        self._found_rows: dict[str, int] = {}
        self._exact: dict[str, FlatIndex] = {}
        self._codes: dict[str, NDArray[np.uint8]] = {}
        self._approximate: dict[str, VectorIndex] = {}
        self._present: dict[str, RowIds | None] = {}
        self._texts: dict[str, tuple[Sequence[str], FlatIndex]] = {}
        if self.rows.num_rows != manifest.rows:
            raise IndexCorrupt(
                f"{self._path}: {self.rows.num_rows} rows where the manifest says {manifest.rows}; "
                "`geoanchor doctor --repair` rebuilds the serving files"
            )

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> Serving:
        """Open the snapshot of an index. Raises IndexCorrupt when it is missing, stale or damaged: derive it anew."""
        damaged = _damaged(folder, manifest)
        if damaged or not serving_folder(folder, manifest).is_dir():
            what = damaged or f"serving/{serving_folder(folder, manifest).name}"
            raise IndexCorrupt(
                f"{folder / what}: missing or damaged; `geoanchor doctor --repair` rebuilds the serving files"
            )
        return cls(folder, manifest)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def load(self) -> None:
        """Open every file now, so that the snapshot can be read to its end even when its folder is gone."""
        _ = self.places, self.layers, self.acquired_us, self.spill, self.names, self.segments
        for name, space in self.manifest.spaces.items():
            self.present(name)
            if not space.searchable:
                self.codes(name)
                continue
            self.exact(name), self.index(name)
            if "text" in space.modalities:
                self.texts(name)

    @cached_property
    def places(self) -> Places:
        """Positions of the rows."""
        cells = self.rows.column("cell").fill_null(0).to_numpy(zero_copy_only=False)
        return Places(cells, self.numbers("lng"), self.numbers("lat"))

    @cached_property
    def layers(self) -> Mapping[Layer, RowIds]:
        """Sorted positions of each layer's rows."""
        column = self.rows.column("layer")
        return {layer: np.flatnonzero(pc.equal(column, layer).to_numpy(zero_copy_only=False)) for layer in LAYERS}

    @cached_property
    def spill(self) -> csr_array:
        """What each row is given of the scores of the adjacent tiles of its layer; see `retrieval.neighbours.spill`."""
        z, x, y = (self.numbers(name) for name in ("z", "x", "y"))
        return spill(np.max([tile_neighbours(z, x, y, rows) for rows in self.layers.values()], axis=0))

    @cached_property
    def acquired_us(self) -> NDArray[np.int64]:
        """Acquisition times (g,) in microseconds since 1970 UTC, the smallest int64 where unknown."""
        times = self.rows.column("acquired").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return np.asarray(times.fill_null(np.iinfo(np.int64).min).to_numpy(zero_copy_only=False))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as (g,) float64, NaN where unknown."""
        return np.asarray(self.rows.column(column).to_numpy(zero_copy_only=False), np.float64)

    def row_of(self, row_id: str) -> int | None:
        """Position of a row by id."""
        if row_id not in self._found_rows:
            position = pc.index(self.rows.column("id"), row_id).as_py()
            if position < 0:
                return None
            self._found_rows[row_id] = int(position)
        return self._found_rows[row_id]

    def facts(self, rows: RowIds, columns: Sequence[str] = ROW_COLUMNS) -> list[dict[str, Any]]:
        """Columns of some rows, in their order."""
        taken: list[dict[str, Any]] = self.rows.select(list(columns)).take(pa.array(rows)).to_pylist()
        return taken

    def by_layer(self, rows: RowIds) -> Iterator[tuple[Layer, NDArray[np.intp]]]:
        """The layers that some rows are of, and which of the rows, as places in `rows`."""
        for layer, of_layer in self.layers.items():
            at = np.minimum(np.searchsorted(of_layer, rows), len(of_layer) - 1)
            if len(of_layer) and len(places := np.flatnonzero(of_layer[at] == rows)):
                yield layer, places

    def exact(self, space: str) -> FlatIndex:
        """Every vector of a space."""
        if space not in self._exact:
            self._exact[space] = FlatIndex(self._matrix(f"vectors.{space}.npy"))
        return self._exact[space]

    def index(self, space: str) -> VectorIndex:
        """The quickest index of a space: FAISS where the snapshot has its file, else exact."""
        path = self._path / f"faiss.{space}.index"
        if not path.is_file():
            return self.exact(space)
        if space not in self._approximate:
            from retrieval.index.faiss import open_faiss

            self._approximate[space] = open_faiss(path, self.exact(space).vectors)
        return self._approximate[space]

    def vector(self, space: str, row: int) -> Vectors:
        """A row's own vector (d,)."""
        return np.asarray(self.exact(space).vectors[row])

    def codes(self, space: str) -> NDArray[np.uint8]:
        """Codes (g, d) of every row, memory-mapped."""
        if space not in self._codes:
            self._codes[space] = self._matrix(f"vectors.{space}.npy")
        return self._codes[space]

    def present(self, space: str) -> RowIds | None:
        """Sorted positions of the rows that have a vector of a space, None for all."""
        if space not in self._present:
            path, everything = self._path / f"missing.{space}.npy", np.arange(len(self))
            missing = np.load(path, allow_pickle=False) if path.is_file() else None
            self._present[space] = None if missing is None else np.setdiff1d(everything, missing, assume_unique=True)
        return self._present[space]

    @cached_property
    def segments(self) -> SegmentGallery | None:
        """Parts of the rows, None in an index without."""
        return SegmentGallery.open(self._path) if self.manifest.segments is not None else None

    def texts(self, space: str) -> tuple[Sequence[str], FlatIndex]:
        """Texts of the image-to-text gallery and the index over their vectors, row for row."""
        if space not in self._texts:
            texts = _read_batch(self._path / "texts.arrow").column("text")
            self._texts[space] = texts, FlatIndex(self._matrix(f"texts.{space}.npy"))
        return self._texts[space]

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """Each tag of the rows and how many bear it, the most frequent first, then by name."""
        counted = pc.value_counts(pc.list_flatten(self.rows.column("tags")))
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    @cached_property
    def names(self) -> pa.RecordBatch | None:
        """Names of places in order of their keys, None where the index was built without any."""
        path = self._path / NAMES
        return _read_batch(path) if path.is_file() else None

    def _matrix(self, name: str) -> Any:
        try:
            return np.asarray(np.load(self._path / name, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise IndexCorrupt(
                f"{self._path / name}: cannot be read ({error}); `geoanchor doctor --repair` rebuilds it"
            ) from error


def _write_rows(folder: Path, store: TextStore) -> RowIds:
    """Write rows.arrow; the place (g,) in serving order of each of the store's rows."""
    table = store.columns(list(ROW_COLUMNS))
    cells = pc.fill_null(table.column("cell"), pa.scalar(0, pa.uint64()))
    table = table.set_column(table.schema.get_field_index("cell"), "cell", cells)
    table = table.set_column(table.schema.get_field_index("tags"), "tags", ground_tags(table))
    keys = [("cell", "ascending"), ("layer", "ascending"), ("id", "ascending")]
    order = pc.sort_indices(table, sort_keys=keys)
    _write_table(folder / "rows.arrow", table.take(order))
    places = np.empty(len(order), np.int64)
    places[order.to_numpy()] = np.arange(len(order))
    return places


def _write_vectors(folder: Path, space: EmbeddingSpace, column: pa.ChunkedArray, places: RowIds) -> None:
    path = folder / f"vectors.{space.name}.npy"
    missing = _scatter(path, column, places, space)
    if len(missing):
        np.save(folder / f"missing.{space.name}.npy", np.sort(missing))
    if len(places) >= FAISS_FROM and space.searchable:
        from retrieval.index.faiss import build_faiss

        build_faiss(np.load(path, mmap_mode="r"), folder / f"faiss.{space.name}.index")


def _scatter(path: Path, column: pa.ChunkedArray, places: RowIds, space: EmbeddingSpace) -> RowIds:
    """Write a vector column as a matrix with each row at its place; places of the rows that have none."""
    shape = (len(places), space.dim)
    if not len(places):
        np.save(path, np.empty(shape, space.number))
        return places
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(space.number), shape=shape)
    missing, start = [], 0
    for chunk in column.chunks:
        there = chunk.is_valid().to_numpy(zero_copy_only=False)
        part = places[start : start + len(chunk)]
        matrix[part[there]] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, space.dim)
        missing.append(part[~there])
        start += len(chunk)
    matrix.flush()
    return np.concatenate(missing)


def _write_texts(folder: Path, store: TextStore, manifest: Manifest) -> None:
    table = store.texts()
    _write_table(folder / "texts.arrow", table.select(["text"]))
    for space in manifest.spaces.values():
        if "text" in space.modalities:
            column = table.column(vector_column(space.name))
            _scatter(folder / f"texts.{space.name}.npy", column, np.arange(table.num_rows), space)


def _write_table(path: Path, table: pa.Table) -> None:
    """One batch, so that a row is found without looking for its chunk."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        for batch in table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]:
            writer.write_batch(batch)


def _read_batch(path: Path) -> pa.RecordBatch:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexCorrupt(f"{path}: cannot be read ({error}); `geoanchor doctor --repair` rebuilds it") from error


def _put_in_place(partial: Path, target: Path) -> None:
    """Make a finished snapshot the one that is read; one of the same content is left as it is."""
    if _same(partial, target):
        shutil.rmtree(partial)
        return
    old = target.with_name(target.name + _OLD)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _restore_old(serving: Path) -> None:
    """Undo replacements that a killed process began, so that the manifest's snapshot is there again."""
    for old in serving.glob(f"*{_OLD}"):
        target = old.with_suffix("")
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def _same(folder: Path, other: Path) -> bool:
    """Whether both hold the same files; marks would not do, since those of large files tell only their size."""
    names = {path.name for path in folder.iterdir()}
    if not other.is_dir() or names != {path.name for path in other.iterdir()}:
        return False
    return all(filecmp.cmp(folder / name, other / name, shallow=False) for name in names)


def _drop_old(folder: Path, target: Path) -> None:
    """Delete all snapshots but a new one and the one that the manifest speaks of: until the manifest is replaced it is
    the index, and after that readers may still have it open."""
    kept = {target}
    if (folder / MANIFEST_NAME).is_file():
        kept.add(serving_folder(folder, read_manifest(folder)))
    for path in target.parent.iterdir():
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _mark(path: Path) -> str:
    """The checksum a manifest keeps of a file."""
    size = path.stat().st_size
    if size > _HASHED_UP_TO:
        return f"bytes:{size}"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, manifest: Manifest) -> str:
    """Name of a serving file of the manifest that is missing or of another size, or ""."""
    for name, mark in manifest.checksums.items():
        if name.startswith("serving/"):
            path = folder / name
            if not path.is_file() or (mark.startswith("bytes:") and path.stat().st_size != int(mark[6:])):
                return name
    return ""
