"""Puts batches on disk, in order and logged, while the next ones are encoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

from geoanchor.protocols import Row
from indexer.journal import Commit, Journal
from indexer.pipeline import Batch
from indexer.report import Tally
from indexer.store import IndexStore

_DELETE_AT_ONCE = 1000


class Writer:
    """Commits batches in a thread of its own; leaving the context commits what is left.

    Args:
        sources: how many there are. commit_rows, commit_s: commit when so many rows wait or so many seconds passed.
    """

    def __init__(self, store: IndexStore, journal: Journal, sources: int, commit_rows: int, commit_s: float) -> None:
        self.tallies = [Tally() for _ in range(sources)]
        """What has been committed, per source."""
        self.batches = 0
        """How many batches have been taken in."""
        self._committed = 0
        self._store = store
        self._journal = journal
        self._commit_rows = commit_rows
        self._commit_s = commit_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._running: Future[None] | None = None
        self._gather()

    def resume(self) -> int:
        """Count what the interrupted build has committed; how many batches that were."""
        for commit in self._journal.commits(self._store.version):
            self.batches = self._committed = commit.batches
            self._count(commit.tallies)
        return self.batches

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
                self._settle()
        finally:
            self._pool.shutdown()

    def write(self, batch: Batch) -> None:
        """Take in one batch; batches must come in order. Raises what an earlier commit raised."""
        self._rows += batch.rows
        self.batches += 1
        for source, tally in batch.tallies.items():
            self._pending[source].add(tally)
        for source, id_ in batch.outdated:
            self._outdated.setdefault(source, []).append(id_)
        if len(self._rows) >= self._commit_rows or time.monotonic() - self._since >= self._commit_s:
            self._flush()

    def remove(self, source: int, ids: Sequence[str]) -> None:
        """Delete rows of one source, those that are still there; after all batches."""
        for start in range(0, len(ids), _DELETE_AT_ONCE):
            there = self._store.fetch(ids[start : start + _DELETE_AT_ONCE], ["id"])["id"].to_pylist()
            if there:
                tallies = [Tally() for _ in self.tallies]
                tallies[source].removed = len(there)
                self._commit(partial(self._store.delete, there), 1, tallies, self._committed)

    def _gather(self) -> None:
        self._rows: list[Row] = []
        self._outdated: dict[int, list[str]] = {}
        self._pending = [Tally() for _ in self.tallies]
        self._since = time.monotonic()

    def _flush(self) -> None:
        self._settle()
        self._running = self._pool.submit(self._save, self._rows, self._outdated, self._pending, self.batches)
        self._gather()

    def _save(self, rows: list[Row], outdated: dict[int, list[str]], tallies: list[Tally], batches: int) -> None:
        # Removing first leaves the batches undone for a resumed build, which then finds nothing left to remove.
        for source, ids in outdated.items():
            self.remove(source, ids)
        self._commit(partial(self._store.append, rows), int(bool(rows)), tallies, batches)

    def _commit(self, change: Callable[[], object], versions: int, tallies: list[Tally], batches: int) -> None:
        self._journal.note(Commit(version=self._store.version + versions, batches=batches, tallies=tallies))
        change()
        self._committed = batches
        self._count(tallies)

    def _count(self, tallies: Sequence[Tally]) -> None:
        for total, part in zip(self.tallies, tallies, strict=True):
            total.add(part)

    def _settle(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None
