"""What became of a build: counts, reasons, and the inputs that could not be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from geoanchor.manifest import SourceRecord

FILE_NAME = "report.json"


class Quarantined(BaseModel):
    """One input that could not be used: the id it would have had, where it lies, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    where: str
    reason: str


class Tally(BaseModel):
    """Counts of some tasks of one source; skipped: reason -> count."""

    model_config = ConfigDict(extra="forbid")

    added: int = 0
    updated: int = 0
    removed: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    quarantined: list[Quarantined] = Field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what another tally counted, too."""
        self.added += other.added
        self.updated += other.updated
        self.removed += other.removed
        self.skipped = merged([self.skipped, other.skipped])
        self.quarantined += other.quarantined


class BuildReport(BaseModel):
    """What a build did.

    Attributes:
        rows: in the index now; added, updated, unchanged, removed: against what it held before.
        skipped: reason -> count. quarantined: every input that could not be used; printing may cut the list.
        texts: captions and tag phrases in the index. resumed: an interrupted build was taken up.
        seconds, tiles_per_s: wall time, and pictures handled in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    added: int
    updated: int
    unchanged: int
    removed: int
    skipped: dict[str, int]
    quarantined: tuple[Quarantined, ...]
    sources: tuple[SourceRecord, ...]
    texts: int
    resumed: bool
    seconds: float
    tiles_per_s: float

    def write(self, folder: Path) -> None:
        """Keep it as report.json beside the index, whole or not at all."""
        partial = folder / f"{FILE_NAME}.part"
        partial.write_text(self.model_dump_json(indent=1), "utf-8")
        partial.replace(folder / FILE_NAME)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: pictures handled, of how many, in how many seconds, how many seconds are left."""

    done: int
    total: int
    elapsed_s: float
    eta_s: float


def merged(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sum of several counts by reason."""
    total: dict[str, int] = {}
    for part in counts:
        for reason, count in part.items():
            total[reason] = total.get(reason, 0) + count
    return total
