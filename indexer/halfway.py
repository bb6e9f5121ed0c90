"""The mark of a revision that is not finished: which version of the rows the manifest still speaks of."""

from __future__ import annotations

import os
from pathlib import Path

from geoanchor.manifest import Manifest
from indexer.store import IndexStore

FILE_NAME = "revising"


class Halfway:
    """The mark in an index folder; present from before the rows get other vectors until the manifest says so."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def exists(self) -> bool:
        """Whether a revision was started and not finished."""
        return self._path.is_file()

    def start(self, version: int) -> None:
        """Write down, in one step, the version of the rows that is about to be replaced."""
        partial = self._path.with_suffix(".part")
        with open(partial, "w", encoding="utf-8") as file:
            file.write(str(version))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    def take_back(self, store: IndexStore, manifest: Manifest) -> bool:
        """Give the rows their former vectors again, unless the manifest speaks of the new ones; whether it was needed.

        The rows have a new version then, which the manifest must be told of.
        """
        if not self.exists():
            return False
        version = int(self._path.read_text("utf-8"))
        undone = manifest.table_version <= version < store.version
        if undone:
            store.restore(version)
        self.finish()
        return undone

    def finish(self) -> None:
        """Rows and manifest agree."""
        self._path.unlink(missing_ok=True)
