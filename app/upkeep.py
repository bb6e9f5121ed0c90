"""Keeps an index in order: takes rows out, checks it, compacts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.layeradvice import layer_advice
from geoanchor.count import counted
from geoanchor.errors import IndexCorrupt, NotAnIndex, UsageError
from geoanchor.manifest import read_manifest
from geoanchor.tiling import Bounds, around
from retrieval.snapshot import derive_serving

if TYPE_CHECKING:
    from geoanchor.protocols import RowIds
    from indexer.doctor import Finding
    from retrieval.serving import Serving


@dataclass(frozen=True, slots=True)
class Removal:
    """How many rows went, and where a source went: sources that stay -> how many pictures they left out as copies."""

    rows: int
    copies: Mapping[str, int]


def remove(folder: str | Path, names: Sequence[str]) -> Removal:
    """Take rows out of an index: all that came from a source, or single rows by id.

    Raises UsageError when a name is neither.
    """
    from indexer.upkeep import delete_rows, delete_source
    from retrieval.index.lance import LanceStore

    folder = Path(folder)
    sources = {record.uri for record in read_manifest(folder).sources}
    ids = [name for name in names if name not in sources]
    if ids:
        known = set(LanceStore.open(folder).columns(["id"])["id"].to_pylist())
        if unknown := [name for name in ids if name not in known]:
            named = ", ".join(sorted(sources))
            raise UsageError(f"{folder}: {unknown[0]} is neither a source nor a row of it; its sources: {named}")
    gone = [name for name in names if name in sources]
    rows = delete_rows(folder, ids, LanceStore, derive_serving) if ids else 0
    rows += sum(delete_source(folder, name, LanceStore, derive_serving) for name in gone)
    return Removal(rows, _copies(folder) if gone else {})


def _copies(folder: Path) -> dict[str, int]:
    """Which was the other of a copy is not recorded, so that all sources count that left out some."""
    left_out: Counter[str] = Counter()
    for record in read_manifest(folder).sources:
        left_out[record.uri] += record.skipped.get("duplicate", 0)
    return {uri: count for uri, count in left_out.items() if count}


def doctor(folder: str | Path, *, repair: bool = False) -> list[Finding]:
    """What is wrong with an index, and what is good to know of it.

    Args:
        repair: where something is wrong, first derive anew what can be derived from the tables.
    """
    from indexer.doctor import Finding, diagnose
    from indexer.upkeep import reseal
    from retrieval.index.lance import LanceStore

    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        findings = diagnose(folder, LanceStore.open(folder), manifest)
        if repair and any(finding.level == "error" for finding in findings):
            reseal(folder, LanceStore, derive_serving)
            findings = diagnose(folder, LanceStore.open(folder), read_manifest(folder))
    except (NotAnIndex, IndexCorrupt) as error:
        # All else is derived from the tables; they are from the sources.
        what = (
            str(error).partition("; ")[0] if isinstance(error, IndexCorrupt) else f"{folder / 'tiles.lance'}: missing"
        )
        return [Finding("error", f"{what}; delete {folder} and build the index again, from its sources")]
    broken = any(finding.level == "error" for finding in findings)
    advice = [] if broken else [Finding("note", text) for text in advices(folder)]
    return findings + advice + _review_findings(folder)


def advices(folder: str | Path) -> list[str]:
    """What to know or do about an index that is sound."""
    return [text for text in (zoom_advice(folder), _unread(folder), *layer_advice(folder)) if text]


def _unread(folder: str | Path) -> str:
    """Which rows the model has no vectors of, since it does not read their layer; "" where there are none."""
    manifest = read_manifest(Path(folder))
    read = {modality for space in manifest.spaces.values() for modality in space.modalities}
    unread = [f"{count} {layer}" for layer, count in manifest.layers.items() if count and layer not in read]
    if not unread:
        return ""
    return f"model {manifest.model!r} does not read {' and '.join(unread)} pictures: only places and times find them"


def zoom_advice(folder: str | Path) -> str:
    """What to do about ground that has imagery of one zoom and a map of another alone; "" where there is none."""
    from retrieval.pairs import find_pairs
    from retrieval.serving import Serving

    folder = Path(folder)
    serving = Serving.open(folder, read_manifest(folder))
    zooms, maps, aerials = serving.numbers("z"), serving.layers["map"], serving.layers["aerial"]
    apart = find_pairs(serving, maps, aerials, unmapped=False).apart
    found, counts = np.unique(zooms[apart[~np.isnan(zooms[apart])]], return_counts=True)
    if not len(found):
        return ""
    lies = found[counts.argmax()]
    box = around(map(Bounds._make, zip(*serving.edges(apart[zooms[apart] == lies]), strict=True)))
    drawn = zooms[_meeting(serving, maps[~np.isnan(zooms[maps])], box)]
    if not len(drawn):  # A map that lies on no grid has no zoom to be drawn at.
        return ""
    within = ",".join(f"{edge:.5f}" for edge in box)
    return (
        f"the map is drawn at zoom {drawn.max():.0f} and the imagery lies at zoom {lies:.0f}: to compare them, index "
        f"the map again with --zoom {lies:.0f} --within={within}"
    )


def _meeting(serving: Serving, rows: RowIds, box: Bounds) -> RowIds:
    """Those of some rows on the grid whose tiles have ground in a box."""
    west, south, east, north = serving.edges(rows)
    beside = [(west < part.east) & (east > part.west) for part in box.parts()]
    there: RowIds = rows[np.logical_or.reduce(beside) & (south < box.north) & (north > box.south)]
    return there


def _review_findings(folder: Path) -> list[Finding]:
    from indexer.doctor import Finding
    from retrieval.reviews import Reviews

    reviews = Reviews(folder)
    said = []
    if count := len(reviews.latest()):
        kept = f"{counted(count, 'change was', 'changes were')} reviewed; {reviews.path.name} keeps the decisions"
        said.append(Finding("note", kept))
    if damaged := reviews.damaged():
        unread = counted(damaged, "line that cannot be read is", "lines that cannot be read are")
        said.append(Finding("note", f"{reviews.path.name}: {unread} passed over"))
    return said


def compact(folder: str | Path) -> tuple[int, int]:
    """Rewrite an index in its best order; bytes on disk before and after."""
    from indexer import upkeep
    from retrieval.index.lance import LanceStore

    folder = Path(folder)
    before = _bytes_below(folder)
    upkeep.compact(folder, LanceStore, derive_serving)
    return before, _bytes_below(folder)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
