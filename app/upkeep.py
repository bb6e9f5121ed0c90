"""Keeps an index in order: takes rows out, checks it, compacts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoanchor.count import counted
from geoanchor.errors import IndexCorrupt, NotAnIndex, UsageError
from geoanchor.manifest import read_manifest
from retrieval.snapshot import derive_serving

if TYPE_CHECKING:
    from indexer.doctor import Finding


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
    return [text for text in (zoom_advice(folder), _unread(folder)) if text]


def _unread(folder: str | Path) -> str:
    """Which rows the model has no vectors of, since it does not read their layer; "" where there are none."""
    manifest = read_manifest(Path(folder))
    read = {modality for space in manifest.spaces.values() for modality in space.modalities}
    unread = [f"{count} {layer}" for layer, count in manifest.layers.items() if count and layer not in read]
    if not unread:
        return ""
    return f"model {manifest.model!r} does not read {' and '.join(unread)} pictures: only places and times find them"


def zoom_advice(folder: str | Path) -> str:
    """What to do where an index holds maps, and imagery at a zoom that no map has; "" elsewhere."""
    from app.wiring import open as open_index

    zooms: dict[str, set[int]] = {"map": set(), "aerial": set()}
    for record in read_manifest(Path(folder)).sources:
        if record.zoom is not None and record.rows and record.layer in zooms:
            zooms[record.layer].add(record.zoom)
    maps, apart = zooms["map"], zooms["aerial"] - zooms["map"]
    extent = open_index(folder).mosaic.extent("aerial") if maps and apart else None
    if extent is None:
        return ""
    box = ",".join(f"{edge:.5f}" for edge in extent)
    # Imagery of the map's own zoom needs the rows that the map has now.
    kept = " --no-prune" if maps & zooms["aerial"] else ""
    return (
        f"the map is drawn at zoom {max(maps)} and the imagery lies at zoom {max(apart)}: to compare them, index the "
        f"map again with --zoom {max(apart)} --within={box}{kept}"
    )


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
