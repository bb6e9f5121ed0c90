"""Writes the serving snapshot of a store of record: rows in H3 order, vectors, texts, names; what `Serving` opens.

A snapshot is written beside the others and renamed into place, so that a kill at any moment leaves the one that the
manifest speaks of.
"""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import Manifest, read_manifest
from geoanchor.places import FILE_NAME as NAMES
from geoanchor.protocols import RowColumns, RowIds
from geoanchor.space import EmbeddingSpace
from retrieval.ground import ground_tags
from retrieval.index.lance import vector_column
from retrieval.segments import write_segments
from retrieval.serving import ROW_COLUMNS, serving_folder

FAISS_FROM = 50_000
"""Rows from which a FAISS file is worth its making."""
_HASHED_UP_TO = 16_000_000
"""Larger files are checked by size alone."""
_PARTIAL, _OLD = ".part", ".old"
"""Ends of the names of a snapshot that is being written, and of one that is being replaced."""


class TextStore(RowColumns, Protocol):
    """A store of record that also keeps texts."""

    def texts(self) -> pa.Table:
        """All texts: column `text` and one vector column per space, null where a space has no text."""


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


def _write_rows(folder: Path, store: TextStore) -> RowIds:
    """Write rows.arrow; the place (g,) in serving order of each of the store's rows."""
    table = store.columns([*ROW_COLUMNS, "nodata"])
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
