"""Looks an index over and says what is wrong with it, and what to do: one sentence each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from geoanchor.errors import BadInput
from geoanchor.manifest import Manifest
from geoanchor.picture import read_rgb
from geoanchor.space import EmbeddingSpace
from indexer.journal import Journal
from indexer.plan import Origin, StoredRow
from indexer.seal import origin_of, recounted
from indexer.store import IndexStore

if TYPE_CHECKING:
    import pyarrow as pa

Level = Literal["error", "note"]
_UNIT_TOLERANCE = 1e-3
_HALF_TOLERANCE = 5e-3
"""For vectors that are kept in half precision."""
_SERVING_KEPT = 2
"""The snapshot in use, and the one before it that a reader may still have open."""
_AT_ONCE = 512
"""Pictures in memory."""
_RESEAL = "`geoanchor doctor --repair` writes it anew"
_REBUILD = "build the index again, from its sources"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor saw: an error needs doing something, a note is good to know."""

    level: Level
    text: str


def diagnose(folder: Path, store: IndexStore, manifest: Manifest) -> list[Finding]:
    """Errors first, then notes; a sound index has no errors."""
    checks = (
        _unfinished(folder),
        _counts(store, manifest),
        _ids(store),
        *(_vectors(store, space) for space in manifest.spaces.values()),
        _segments(store, manifest),
        _positions(store),
        _pictures(store),
        _texts(store),
        _files(folder, manifest),
        _leftovers(folder, manifest),
        _coverage(store),
        _left_out(manifest),
    )
    findings = [finding for check in checks for finding in check]
    return sorted(findings, key=lambda finding: finding.level)


def _error(text: str) -> Finding:
    return Finding("error", text)


def _unfinished(folder: Path) -> Iterator[Finding]:
    if Journal(folder).exists():
        yield _error(f"{folder}: a build was interrupted; run the same `geoanchor index` command again to finish it")


def _counts(store: IndexStore, manifest: Manifest) -> Iterator[Finding]:
    """What the manifest says against what the tables hold."""
    now = recounted(manifest, store)
    names = ("rows", "layers", "texts", "table_version", "texts_version")
    for name in names:
        said, held = getattr(manifest, name), getattr(now, name)
        if said != held:
            yield _error(f"manifest.json says {name} {said}, the tables have {held}; {_RESEAL}")
    for record, counted in zip(manifest.sources, now.sources, strict=True):
        if record.rows != counted.rows:
            yield _error(f"manifest.json says {record.rows} rows of {record.uri}, there are {counted.rows}; {_RESEAL}")
    known = {origin_of(record) for record in manifest.sources}
    if stray := _stray_rows(store, known):
        yield _error(f"{stray} rows come from no source that manifest.json names; {_REBUILD}")


def _stray_rows(store: IndexStore, known: set[Origin]) -> int:
    table = store.columns(["origin", "layer", "z"])
    rows = Counter(zip(*(table[name].to_pylist() for name in ("origin", "layer", "z")), strict=True))
    return sum(
        count
        for (uri, layer, zoom), count in rows.items()
        if not any(origin.owns(StoredRow("", uri, layer, zoom)) for origin in known)
    )


def _ids(store: IndexStore) -> Iterator[Finding]:
    counted = Counter(store.columns(["id"])["id"].to_pylist())
    twice = sorted(id_ for id_, count in counted.items() if count > 1)
    if twice:
        yield _error(f"{len(twice)} ids are there more than once, {_some(twice)}; {_REBUILD}")


def _vectors(store: IndexStore, space: EmbeddingSpace) -> Iterator[Finding]:
    """Vectors that are absent, not finite, or not of unit length."""
    if space.name not in store.spaces:
        yield _error(f"the rows have no vectors of space {space.name!r}, which manifest.json names; {_REBUILD}")
        return
    table = store.columns(["id", "layer", f"vector_{space.name}"])
    column = table[f"vector_{space.name}"]
    if column.type.list_size != space.dim:
        yield _error(f"vectors of {space.name!r} have {column.type.list_size} values, not {space.dim}; {_REBUILD}")
        return
    absent, infinite, crooked = _bad_vectors(column, space)
    absent &= np.isin(np.asarray(table["layer"].to_pylist(), dtype=str), space.modalities)
    for bad, what in ((absent, "no vector"), (infinite, "a vector with values that are not finite"),
                      (crooked, "a vector that is not of unit length")):  # fmt: skip
        if bad.any():
            ids = table["id"].filter(bad).to_pylist()
            yield _error(
                f"{len(ids)} rows have {what} in space {space.name!r}, {_some(ids)}; delete them and index again"
            )


def _bad_vectors(column: pa.ChunkedArray, space: EmbeddingSpace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) each: absent, not finite, not of unit length."""
    absent = column.is_null().to_numpy()
    infinite, crooked = np.zeros(len(absent), bool), np.zeros(len(absent), bool)
    start = 0
    for chunk in column.chunks:
        there = start + np.flatnonzero(~absent[start : start + len(chunk)])
        vectors = chunk.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, space.dim)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        infinite[there] = ~np.isfinite(lengths)
        crooked[there] = np.isfinite(lengths) & (abs(lengths - 1) > _UNIT_TOLERANCE) & (space.metric == "cosine")
        start += len(chunk)
    return absent, infinite, crooked


def _segments(store: IndexStore, manifest: Manifest) -> Iterator[Finding]:
    """Segments that are absent, not finite, not of unit length, or whose weights do not sum to 1."""
    if manifest.segments is None:
        return
    table, dim = (
        store.columns(["id", "layer", "segments", "segment_vectors"]),
        manifest.spaces[manifest.segments.space].dim,
    )
    counts = table["segments"].combine_chunks().value_lengths().fill_null(0).to_numpy()
    numbers = table["segment_vectors"].combine_chunks().value_lengths().fill_null(0).to_numpy()
    parts = table["segments"].combine_chunks().flatten()
    vectors = table["segment_vectors"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    whose = np.repeat(np.arange(len(counts)), counts)
    bad = numbers != counts * dim
    if not bad.any():
        lengths = np.linalg.norm(vectors.reshape(-1, dim).astype(np.float64), axis=1)
        crooked = ~(abs(lengths - 1) <= _HALF_TOLERANCE)
        bad[whose[crooked]] = True
    sums = np.bincount(whose, parts.field("weight").to_numpy(zero_copy_only=False), len(counts))
    bad |= (counts > 0) & ~(abs(sums - 1) <= _UNIT_TOLERANCE)
    if bad.any():
        ids = table["id"].filter(bad).to_pylist()
        yield _error(f"{len(ids)} rows have segments that are damaged, {_some(ids)}; delete them and index again")


def _positions(store: IndexStore) -> Iterator[Finding]:
    table = store.columns(["id", "lng", "lat", "cell"])
    lng, lat = (np.asarray(table[name].to_pylist(), dtype=float) for name in ("lng", "lat"))
    without = np.isnan(lng) | np.isnan(lat)
    wrong = ~without & ((abs(lng) > 180) | (abs(lat) > 90))
    wrong |= without != (np.asarray(table["cell"].to_pylist(), dtype=np.uint64) == 0)
    if wrong.any():
        ids = table["id"].filter(wrong).to_pylist()
        yield _error(f"{len(ids)} rows have an impossible position, {_some(ids)}; delete them and index again")
    if without.any():
        yield Finding("note", f"{int(without.sum())} of {len(without)} rows have no position: no region will find them")


def _pictures(store: IndexStore) -> Iterator[Finding]:
    """Kept pictures that cannot be decoded."""
    ids = store.columns(["id"])["id"].to_pylist()
    damaged: list[str] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(ids), _AT_ONCE):
            table = store.fetch(ids[start : start + _AT_ONCE], ["id", "thumbnail"])
            names, kept = table["id"].to_pylist(), table["thumbnail"].to_pylist()
            damaged += [name for name, sound in zip(names, pool.map(_is_sound, kept), strict=True) if not sound]
    if damaged:
        yield _error(
            f"{len(damaged)} rows have a picture that is damaged, {_some(damaged)}; take them out with `geoanchor "
            "index --remove ID` and index their source again"
        )


def _is_sound(picture: bytes | None) -> bool:
    """Whether a kept picture can be shown, or there is none."""
    try:
        return not picture or read_rgb(picture, "").size > 0
    except BadInput:
        return False


def _texts(store: IndexStore) -> Iterator[Finding]:
    table = store.texts(["kind", "text"])
    twice = table.num_rows - len(set(zip(table["kind"].to_pylist(), table["text"].to_pylist(), strict=True)))
    if twice:
        yield _error(f"{twice} texts are there more than once; {_REBUILD}")


def _files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    for name, mark in manifest.checksums.items():
        path = folder / name
        if not path.is_file():
            yield _error(f"{name}: missing; {_RESEAL}")
        elif mark != _mark_of(path, mark):
            yield _error(f"{name}: damaged, its checksum differs from manifest.json; {_RESEAL}")


def _mark_of(path: Path, like: str) -> str:
    if like.startswith("bytes:"):
        return f"bytes:{path.stat().st_size}"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leftovers(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    serving = folder / "serving"
    used = {Path(name).parts[1] for name in manifest.checksums if name.startswith("serving/")}
    there = {path.name for path in serving.iterdir()} if serving.is_dir() else set()
    if len(there - used) >= _SERVING_KEPT:
        yield _error(
            f"serving/ holds {_some(sorted(there - used))} that nothing uses; `geoanchor compact` removes them"
        )


def _coverage(store: IndexStore) -> Iterator[Finding]:
    """Holes in the rectangle of tiles that each layer spans."""
    table = store.columns(["layer", "z", "x", "y"])
    tiles = set(zip(*(table[name].to_pylist() for name in ("layer", "z", "x", "y")), strict=True))
    for layer, zoom in sorted({(layer, z) for layer, z, _, _ in tiles if z is not None}):
        xs, ys = zip(*((x, y) for tile_layer, z, x, y in tiles if (tile_layer, z) == (layer, zoom)), strict=True)
        span = (max(xs) - min(xs) + 1) * (max(ys) - min(ys) + 1)
        if len(xs) < span:
            share = 100 * len(xs) / span
            yield Finding(
                "note", f"{layer} tiles at zoom {zoom} cover {share:.0f} % of their bounding box ({len(xs)} of {span})"
            )


def _left_out(manifest: Manifest) -> Iterator[Finding]:
    for record in manifest.sources:
        left_out = {**record.skipped, "unreadable": record.quarantined}
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()) if count)
        if reasons:
            # A copy inside a source has its twin there; it is the copies of a source that is gone that leave holes.
            alone = record.skipped.get("duplicate") and [r.layer for r in manifest.sources].count(record.layer) == 1
            again = "; if another source that held the duplicates was removed, index this one again" if alone else ""
            told = f"{record.uri} ({record.layer}): no rows for {reasons} pictures; report.json lists the unreadable"
            yield Finding("note", told + again)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
