"""One LanceDB table: read at a fixed version or at the newest, written in one commit at a time.

Writing goes through LanceDB. Reading goes through Lance, the format below it: it loads three times faster, and a search
that only needs a thumbnail should not wait for more.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from geoanchor.errors import IndexCorrupt, UsageError

ROWS_PER_CHUNK = 4096
"""Rows in memory at once while a table is rewritten."""


class Table:
    """One LanceDB table, read at a fixed version or at the newest one that this object knows of."""

    def __init__(self, folder: Path, name: str, version: int | None = None) -> None:
        self._folder = folder
        self._name = name
        self._path = folder / f"{name}.lance"
        self._at = version
        self._dataset: Any = None
        self._handle: Any = None
        self._cached: dict[str, pa.ChunkedArray] = {}

    @classmethod
    def create(cls, folder: Path, name: str, schema: pa.Schema) -> Table:
        """A new, empty table of an index folder; one that a killed build left is overwritten."""
        import lancedb  # 2 s to load, and only a build needs it

        # Only a build that was killed between the two tables leaves one of them.
        mode = "overwrite" if (folder / f"{name}.lance").exists() else "create"
        lancedb.connect(folder).create_table(name, schema=schema, mode=mode)
        return cls(folder, name)

    @property
    def dataset(self) -> Any:
        """What Lance reads it by. Raises IndexCorrupt."""
        if self._dataset is None:
            import lance

            with self._reading():
                self._dataset = lance.dataset(self._path, version=self._at)
        return self._dataset

    @property
    def version(self) -> int:
        """The version that is read."""
        return int(self.dataset.version)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.dataset.schema

    def refresh(self) -> bool:
        """Turn to the newest version, from whatever version is read; whether that is another one."""
        former = self.version
        self._dataset = self._at = None
        self._cached.clear()
        return self.version > former

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Whole columns, in table order. Raises UsageError on a column that does not exist, IndexCorrupt."""
        unknown = set(names) - set(self.schema.names)
        if unknown:
            raise UsageError(
                f"{self._path}: no column {', '.join(sorted(unknown))}; it has {', '.join(self.schema.names)}"
            )
        with self._reading():
            return self.dataset.to_table(list(names))

    def column(self, name: str) -> pa.ChunkedArray:
        """One whole column, kept until the next write."""
        if name not in self._cached:
            self._cached[name] = self.columns([name])[name]
        return self._cached[name]

    def take(self, positions: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Columns of the rows at some positions, in that order. Raises IndexCorrupt."""
        if not positions:
            return pa.schema([self.schema.field(name) for name in columns]).empty_table()
        with self._reading():
            return self.dataset.take(list(positions), list(columns))

    def chunks(self, order: Any) -> Iterator[pa.RecordBatch]:
        """Whole rows in the order of an array of positions (n,), a few thousand at a time."""
        for start in range(0, len(order), ROWS_PER_CHUNK):
            yield from self.dataset.take(order[start : start + ROWS_PER_CHUNK].tolist()).to_batches()

    def add(self, rows: pa.Table) -> None:
        """Add rows at the end."""
        with self._writing() as table:
            # One after the other, so that rows keep their order.
            table.add(rows, write_parallelism=1)

    def upsert(self, rows: pa.Table, key: str) -> None:
        """Add rows; one whose key exists replaces the one that is there."""
        with self._writing() as table:
            table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def delete(self, predicate: str) -> None:
        """Remove the rows that a SQL condition is true of."""
        with self._writing() as table:
            table.delete(predicate)

    def replace(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Put these rows in the place of all others, in one commit: a reader sees the old rows or the new ones."""
        import lance

        with self._writing():
            reader = pa.RecordBatchReader.from_batches(self.schema, batches)
            lance.write_dataset(reader, self._path, mode="overwrite")

    def restore(self, version: int) -> None:
        """Make an earlier version the newest."""
        with self._writing() as table:
            table.restore(version)

    def drop_old_versions(self) -> None:
        """Delete the files that only older versions use, and those that a killed writer left."""
        with self._writing():
            self.dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as error:
            at = "" if self._at is None else f" version {self._at}"
            reason = f"{self._path}: cannot read the table{at}; run `geoanchor doctor {self._folder}`"
            raise IndexCorrupt(reason) from error

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        if self._handle is None:
            import lancedb

            self._handle = lancedb.connect(self._folder).open_table(self._name)
        self._handle.checkout_latest()
        try:
            yield self._handle
        except RuntimeError as error:  # Lance's word for whatever the file system refused
            code = errno.ENOSPC if "No space left" in str(error) else errno.EIO
            raise OSError(code, str(error).splitlines()[0], str(self._path)) from error
        finally:
            self._dataset = self._at = None
            self._cached.clear()
