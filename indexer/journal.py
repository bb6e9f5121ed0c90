"""The log of a build that is not finished: what it set out to do, and every commit it was about to make.

A line is written before its commit and names the version that the commit makes. After a kill, lines beyond the
store's version tell of commits that never happened and are dropped; so the log and the store always agree.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import UsageError
from geoanchor.manifest import SegmentRecord
from geoanchor.space import EmbeddingSpace
from indexer.plan import Origin
from indexer.report import Tally

FILE_NAME = "building.jsonl"


class Intent(BaseModel):
    """What a build set out to do.

    Attributes:
        model, spaces: the encoder. segments: how they are made. sources: (uri, layer, zoom) each.
        batch_size: pictures encoded at once. start_version: of the store when the build began, 0 for a new one.
        digest: of the plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    spaces: dict[str, EmbeddingSpace]
    segments: SegmentRecord | None = None
    sources: tuple[Origin, ...]
    batch_size: int
    start_version: int = 0
    digest: str = ""


class Commit(BaseModel):
    """One commit: the version it makes, how many batches are done after it, and what it counts, per source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    batches: int
    tallies: list[Tally] = Field(default_factory=list)


class Journal:
    """The log in an index folder; present exactly while a build is unfinished."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def exists(self) -> bool:
        """Whether there is an unfinished build."""
        return self._path.is_file()

    def start(self, intent: Intent) -> None:
        """Begin a new log in one step."""
        partial = self._path.with_suffix(".part")
        partial.unlink(missing_ok=True)
        _append(partial, intent)
        partial.replace(self._path)

    def note(self, commit: Commit) -> None:
        """Log a commit that is about to be made."""
        _append(self._path, commit)

    def intent(self) -> Intent:
        """What the unfinished build set out to do. Raises UsageError when the log cannot be understood."""
        try:
            with open(self._path, encoding="utf-8") as file:
                return Intent.model_validate_json(file.readline())
        except ValidationError as error:
            raise UsageError(
                f"{self._path}: the log of the unfinished build is damaged; delete that file, then run the build again"
            ) from error

    def commits(self, version: int) -> Sequence[Commit]:
        """Commits that were made, given the store's version; those that were not are taken out of the log."""
        made: list[Commit] = []
        # A name may hold what Unicode calls the end of a line, too.
        lines = re.split(r"(?<=\n)", self._path.read_text("utf-8"))
        for line in lines[1:]:
            if not line.endswith("\n"):  # cut off by the kill
                break
            try:
                commit = Commit.model_validate(json.loads(line))
            except ValueError:
                break
            if commit.version > version:
                break
            made.append(commit)
        kept = "".join(lines[: 1 + len(made)])
        os.truncate(self._path, len(kept.encode()))
        return made

    def finish(self) -> None:
        """The build is complete."""
        self._path.unlink(missing_ok=True)


def _append(path: Path, record: BaseModel) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(record.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
