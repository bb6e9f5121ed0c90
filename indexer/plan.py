"""What is still to be embedded: decided before any pixel is read, from what sources list and what the index holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from geoanchor.errors import UsageError
from geoanchor.image import Layer
from geoanchor.protocols import TileRef
from geoanchor.tiling import Bounds, cell_at


@dataclass(frozen=True, slots=True)
class Origin:
    """Which rows belong to a source: those that came through its uri, on its layer and zoom (None: on any); also those
    on no zoom, whole pictures beside a mosaic, and those on zooms that the source chose itself `formerly`."""

    uri: str
    layer: Layer
    zoom: int | None
    formerly: tuple[int, ...] = field(default=(), compare=False)

    def owns(self, row: StoredRow) -> bool:
        """Whether a row of the index came from here."""
        on_zoom = row.zoom is None or self.zoom in (None, row.zoom) or row.zoom in self.formerly
        return row.uri == self.uri and row.layer == self.layer and on_zoom


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What the plan must know of a row that the index holds."""

    stamp: str
    uri: str
    layer: str
    zoom: int | None
    point: tuple[float, float] | None = None
    """Its middle, lng and lat in degrees."""


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to embed.

    Attributes:
        source: position of its source. cell: H3 cell it is expected in, 0 where that is not known before reading.
        replaces: the index holds an older version.
    """

    source: int
    ref: TileRef
    cell: int
    replaces: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks in the order (cell, layer, id), and what needs no reading.

    Attributes:
        unchanged: rows to be left alone, per source. vanished: ids that a source no longer lists, per source.
    """

    tasks: tuple[Task, ...]
    unchanged: tuple[int, ...]
    vanished: tuple[tuple[str, ...], ...]

    @property
    def digest(self) -> str:
        """Equal when the tasks are: an interrupted build may be resumed by position."""
        digest = hashlib.blake2b(digest_size=16)
        for task in self.tasks:
            digest.update(f"{task.source}\0{task.ref.id}\0{task.ref.stamp}\n".encode())
        return digest.hexdigest()

    def batches(self, size: int, done: int = 0) -> Iterator[tuple[Task, ...]]:
        """Tasks in batches cut at fixed positions, without the first `done` batches."""
        for start in range(done * size, len(self.tasks), size):
            yield self.tasks[start : start + size]


def make_plan(
    origins: Sequence[Origin],
    refs: Sequence[Iterable[TileRef]],
    stored: Mapping[str, StoredRow],
    *,
    resolution: int,
    prune: bool,
    within: Bounds | None = None,
) -> Plan:
    """Compare what sources list with what the index holds.

    Args:
        refs: what each source lists. stored: id -> row. resolution: of the H3 cells.
        prune: count rows that their source no longer lists as vanished. within: the box of which the sources list what
            has its middle there, degrees; beyond it nothing vanishes.

    Raises UsageError when a source lists nothing, or when an id comes twice or from another source than the row it
    would replace.
    """
    lister: dict[str, int] = {}
    tasks: list[Task] = []
    unchanged = [0] * len(origins)
    for number, (origin, listed) in enumerate(zip(origins, refs, strict=True)):
        before = len(lister)
        for ref in listed:
            if ref.id in lister:
                raise UsageError(_twice(ref.id, origins[lister[ref.id]], origin))
            lister[ref.id] = number
            row = stored.get(ref.id)
            if row is not None and row.stamp == ref.stamp:
                unchanged[number] += 1
                continue
            if row is not None and not origin.owns(row):
                raise UsageError(
                    f"{origin.uri}: {ref.id} is in the index already, from {row.uri}; delete that source first, or "
                    "build a second index"
                )
            tasks.append(Task(number, ref, _expected_cell(ref, resolution), row is not None))
        if len(lister) == before:
            raise UsageError(
                f"{origin.uri}: lists no picture to index; check the path, the zoom and the area asked for"
            )
    tasks.sort(key=lambda task: (task.cell, origins[task.source].layer, task.ref.id))
    asked = {id_: row for id_, row in stored.items() if prune and (within is None or _lies_in(row, within))}
    vanished = tuple(
        tuple(sorted(id_ for id_, row in asked.items() if id_ not in lister and origin.owns(row))) for origin in origins
    )
    return Plan(tuple(tasks), tuple(unchanged), vanished)


def _lies_in(row: StoredRow, box: Bounds) -> bool:
    return row.point is not None and box.holds(*row.point)


def _expected_cell(ref: TileRef, resolution: int) -> int:
    if ref.tile is not None:
        return ref.tile.cell(resolution)
    return 0 if ref.point is None else cell_at(*ref.point, resolution)


def _twice(id_: str, first: Origin, second: Origin) -> str:
    if first == second:
        return f"{first.uri}: {id_} comes twice; name each source once, and each picture in it"
    return f"{second.uri}: {id_} comes from {first.uri} as well; rename one of the two, or build two indexes"
