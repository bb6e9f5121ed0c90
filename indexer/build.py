"""Builds or extends an index: plan, read ahead, encode, write; taken up where a kill left it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geoanchor.errors import IndexCorrupt, SpaceMismatch, UsageError
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import Manifest, SegmentRecord, SourceRecord, read_manifest, write_manifest
from geoanchor.protocols import Encoder, SegmentEncoder, TileSource
from geoanchor.space import EmbeddingSpace
from geoanchor.tiling import TILE_SIZE_PX, Bounds
from indexer.engines import local
from indexer.halfway import Halfway
from indexer.journal import Intent, Journal
from indexer.lock import require_own, writing
from indexer.names import refresh_names
from indexer.pipeline import Pipeline
from indexer.plan import Origin, Plan, StoredRow, make_plan
from indexer.polygons import require_features
from indexer.report import BuildReport, Progress, Tally, merged
from indexer.seal import origin_of, recounted
from indexer.store import IndexStore, Stores
from indexer.textgallery import refresh_texts
from indexer.trouble import said_plainly
from indexer.writer import Writer

Finish = Callable[[Path, IndexStore, Manifest], Manifest]
"""Derives the serving files of an index and gives the manifest back with their checksums."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    Attributes:
        batch_size: pictures encoded at once. threads: readers; 0 takes the number of cores.
        max_nodata: a picture with a larger share without data gets no row.
        prune: remove rows that their source no longer lists; within: in this box alone, which is all they list.
        commit_rows, commit_s: write when so many rows wait or so many seconds have passed; a kill loses no more.
        own_zoom: the sources chose their zooms, and rows on one that they chose before are no longer listed.
        h3_resolution: of the `cell` column. tile_size_px: side of the tiles, for the manifest.
    """

    batch_size: int = 64
    threads: int = 0
    max_nodata: float = 0.5
    prune: bool = True
    within: Bounds | None = None
    own_zoom: bool = False
    commit_rows: int = 4096
    commit_s: float = 10.0
    h3_resolution: int = 10
    tile_size_px: int = TILE_SIZE_PX


def build(
    folder: Path,
    sources: Sequence[TileSource],
    encoder: Encoder,
    stores: Stores,
    finish: Finish,
    options: BuildOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    segments: SegmentEncoder | None = None,
) -> BuildReport:
    """Bring an index in line with its sources: embed what is new or changed, remove what is gone, keep the rest.

    Run again after an interruption, it goes on where it stopped and encodes the same batches, so that the vectors are
    the same bit for bit. The manifest is written last. With `segments` each aerial row also keeps its parts.

    Raises SpaceMismatch when the index holds vectors of another model, IndexLocked when another process writes to it,
    UsageError for impossible sources or other segments than the index has, GeoAnchorError when the disk or the memory
    is full.
    """
    if not sources:
        raise UsageError(f"{folder}: name at least one source to index")
    if segments is not None and segments.method == "polygons":
        require_features(sources)
    if not (folder / MANIFEST_NAME).exists():
        require_own(folder)
    with said_plainly(folder), writing(folder):
        job = _Job(folder, sources, encoder, stores, options or BuildOptions(), segments)
        return job.run(finish, progress or (lambda _: None))


class _Job:
    def __init__(
        self,
        folder: Path,
        sources: Sequence[TileSource],
        encoder: Encoder,
        stores: Stores,
        options: BuildOptions,
        segments: SegmentEncoder | None,
    ) -> None:
        self.folder = folder
        self.sources = sources
        self.encoder = encoder
        self.stores = stores
        self.options = options
        self.segments = segments
        self.record = _record_of(segments)
        self.journal = Journal(folder)
        self.manifest = read_manifest(folder) if (folder / MANIFEST_NAME).exists() else None
        self.origins = tuple(self._origin(source) for source in sources)
        if self.manifest is not None:
            Halfway(folder).take_back(stores.open(folder), self.manifest)

    def run(self, finish: Finish, progress: Callable[[Progress], None]) -> BuildReport:
        start = time.perf_counter()
        intent = self._intent()
        resumed = self.journal.exists()
        plan, intent = self._plan(intent)
        store = self._store()
        writer = Writer(store, self.journal, len(self.origins), self.options.commit_rows, self.options.commit_s)
        done = writer.resume() if resumed else 0
        self._embed(plan, intent, store, writer, done, progress)
        for number, ids in enumerate(plan.vanished):
            writer.remove(number, ids)
        refresh_texts(store, self.encoder)
        refresh_names(self.folder, self.sources, keep=not self.options.prune or self.options.within is not None)
        manifest = finish(self.folder, store, recounted(self._manifest(writer.tallies), store))
        seconds = time.perf_counter() - start
        report = _report(manifest, writer.tallies, plan, resumed, seconds, len(plan.tasks) - done * intent.batch_size)
        report.write(self.folder)
        write_manifest(self.folder, manifest)
        self.journal.finish()
        return report

    def _origin(self, source: TileSource) -> Origin:
        former = self.manifest.sources if self.manifest and self.options.own_zoom and self.options.prune else ()
        zooms = tuple(
            record.zoom
            for record in former
            if (record.uri, record.layer) == (source.uri, source.layer) and record.own_zoom and record.zoom is not None
        )
        return Origin(source.uri, source.layer, source.zoom, zooms)

    def _intent(self) -> Intent:
        """What is to be done; refused where it does not fit what the folder holds."""
        spaces = dict(self.encoder.spaces)
        if self.manifest is not None:
            require_spaces(self.manifest.spaces, spaces, self.folder)
            self._require_segments(self.manifest.segments)
        elif not self.journal.exists() and (self.folder / "tiles.lance").exists():
            raise IndexCorrupt(f"{self.folder}: holds tables but no manifest; delete it and build the index again")
        if not self.journal.exists():
            return Intent(
                model=self.encoder.name, spaces=spaces, segments=self.record, sources=self.origins,
                batch_size=self.options.batch_size,
                start_version=self._store().version if self.manifest is not None else 0,
            )  # fmt: skip
        intent = self.journal.intent()
        require_spaces(intent.spaces, spaces, self.folder)
        self._require_segments(intent.segments)
        if intent.sources != self.origins:
            raise UsageError(
                f"{self.folder}: a build of {', '.join(origin.uri for origin in intent.sources)} was interrupted here; "
                "run it again with just these sources to finish it, then add others"
            )
        return intent

    def _require_segments(self, held: SegmentRecord | None) -> None:
        if held != self.record:
            raise UsageError(
                f"{self.folder}: its segments are {_spoken(held)}, not {_spoken(self.record)}; build a new index to "
                "change that"
            )

    def _plan(self, intent: Intent) -> tuple[Plan, Intent]:
        """The plan as it was when the build began, or a new one where the sources have changed since."""
        plan = self._plan_at(intent.start_version)
        if plan.digest == intent.digest:
            return plan, intent
        if intent.digest and (self.folder / "tiles.lance").exists():
            intent = intent.model_copy(update={"start_version": self._store().version})
            plan = self._plan_at(intent.start_version)
        intent = intent.model_copy(update={"digest": plan.digest})
        self.journal.start(intent)
        return plan, intent

    def _plan_at(self, version: int) -> Plan:
        stored: dict[str, StoredRow] = {}
        if version:
            names = ["id", "stamp", "origin", "layer", "z", "lng", "lat"]
            rows = self.stores.open(self.folder, version).columns(names)
            for id_, stamp, uri, layer, zoom, *point in zip(*(rows[name].to_pylist() for name in names), strict=True):
                stored[id_] = StoredRow(stamp, uri, layer, zoom, None if None in point else (point[0], point[1]))
        refs, options = [source.plan() for source in self.sources], self.options
        return make_plan(
            self.origins, refs, stored, resolution=options.h3_resolution, prune=options.prune, within=options.within
        )

    def _store(self) -> IndexStore:
        if (self.folder / "tiles.lance").exists():
            return self.stores.open(self.folder)
        return self.stores.create(self.folder, self.encoder.spaces)

    def _embed(
        self,
        plan: Plan,
        intent: Intent,
        store: IndexStore,
        writer: Writer,
        done: int,
        progress: Callable[[Progress], None],
    ) -> None:
        options = self.options
        hashes = _lasting_hashes(store, plan, done * intent.batch_size)
        pipeline = Pipeline(
            self.sources, self.encoder, hashes, max_nodata=options.max_nodata, resolution=options.h3_resolution,
            segments=self.segments,
        )  # fmt: skip
        start, first, total = time.perf_counter(), done * intent.batch_size, len(plan.tasks)
        batches = plan.batches(intent.batch_size, done)
        with writer:
            for batch in local.run(batches, pipeline.read, pipeline.encode, options.threads or os.cpu_count() or 1):
                writer.write(batch)
                handled = min(total, writer.batches * intent.batch_size)
                progress(_progress(handled, first, total, time.perf_counter() - start))

    def _manifest(self, tallies: Sequence[Tally]) -> Manifest:
        """The manifest with these sources in it, before anything is counted."""
        former = self.manifest or Manifest(
            model=self.encoder.name, spaces=dict(self.encoder.spaces), segments=self.record
        )
        records = {origin_of(record): record for record in former.sources}
        for origin, source, tally in zip(self.origins, self.sources, tallies, strict=True):
            for zoom in origin.formerly:
                records.pop(Origin(origin.uri, origin.layer, zoom), None)
            records[origin] = SourceRecord(
                uri=origin.uri, layer=origin.layer, zoom=origin.zoom, own_zoom=self.options.own_zoom,
                attribution=source.attribution,
                skipped=tally.skipped, quarantined=len(tally.quarantined),
            )  # fmt: skip
        settings = {
            "h3_resolution": self.options.h3_resolution,
            "tile_size_px": self.options.tile_size_px,
            "sources": tuple(records.values()),
        }
        return former.model_copy(update=settings)


def require_spaces(held: Mapping[str, EmbeddingSpace], made: Mapping[str, EmbeddingSpace], folder: Path) -> None:
    """Raise SpaceMismatch unless a model makes the very spaces that an index holds."""
    if set(held) != set(made):
        raise SpaceMismatch(
            f"{folder} holds vectors of {', '.join(sorted(held))}, but the model makes {', '.join(sorted(made))}: "
            "use the model it was built with, or build a new index"
        )
    for name, space in held.items():
        space.require(made[name], where=str(folder))


def _record_of(segments: SegmentEncoder | None) -> SegmentRecord | None:
    if segments is None:
        return None
    return SegmentRecord(method=segments.method, space=segments.space, fuse=segments.fuse)


def _spoken(record: SegmentRecord | None) -> str:
    if record is None:
        return "none"
    return f"{record.method}, fused by {record.fuse:g}" if record.fuse else record.method


def _lasting_hashes(store: IndexStore, plan: Plan, first: int) -> list[str]:
    """Content hashes of the rows that neither vanish nor are among the tasks from `first` on."""
    rows = store.columns(["id", "content_hash"])
    going = {id_ for ids in plan.vanished for id_ in ids} | {task.ref.id for task in plan.tasks[first:]}
    pairs = zip(rows["id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True)
    return [hashed for id_, hashed in pairs if id_ not in going]


def _progress(done: int, first: int, total: int, elapsed_s: float) -> Progress:
    handled = done - first
    return Progress(done, total, elapsed_s, elapsed_s / handled * (total - done) if handled else 0.0)


def _report(
    manifest: Manifest, tallies: Sequence[Tally], plan: Plan, resumed: bool, seconds: float, handled: int
) -> BuildReport:
    return BuildReport(
        rows=manifest.rows, added=sum(t.added for t in tallies), updated=sum(t.updated for t in tallies),
        unchanged=sum(plan.unchanged), removed=sum(t.removed for t in tallies),
        skipped=merged(t.skipped for t in tallies), quarantined=tuple(q for t in tallies for q in t.quarantined),
        sources=manifest.sources, texts=manifest.texts, resumed=resumed, seconds=seconds,
        tiles_per_s=max(handled, 0) / seconds if seconds else 0.0,
    )  # fmt: skip
