"""The inner loop of a build: what the readers do to each picture, and the encoder to each batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geoanchor.errors import BadInput, GeoAnchorError, SpaceMismatch
from geoanchor.gaps import gap_share, rim_share
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.protocols import Encoder, Row, RowVectors, SegmentEncoder, TileSource
from geoanchor.segment import Cut, Segment
from geoanchor.tiling import cell_at
from indexer.plan import Task
from indexer.polygons import masks_of
from indexer.report import Quarantined, Tally
from indexer.screen import content_hash, copy_key, reason_to_skip, thumbnail
from indexer.trouble import FULL


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that was read: a row but for its missing vectors, and the pixels to make them from (None: no need).

    `cuts` are the parts to be encoded beside it, None where it gets no segments.
    """

    row: Row
    key: str
    prepared: Pixels | None
    cuts: tuple[Cut, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What became of one task: a picture, or why there is none (`skipped` or `quarantined`)."""

    task: Task
    picture: Picture | None = None
    skipped: str = ""
    quarantined: Quarantined | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one batch in the order of its tasks, counts per source, and (source, id) of rows not worth keeping."""

    rows: list[Row]
    tallies: dict[int, Tally]
    outdated: list[tuple[int, str]]


class Pipeline:
    """Reads, screens and prepares pictures (in reader threads), then encodes them (in one).

    Args:
        hashes: `content_hash` of the rows that stay as they are; a copy of one of them gets no row.
        max_nodata: largest share without data that is worth a row. resolution: of the H3 cells.
        segments: makes those of aerial pictures, None for an index without.
    """

    def __init__(
        self,
        sources: Sequence[TileSource],
        encoder: Encoder,
        hashes: Iterable[str],
        *,
        max_nodata: float,
        resolution: int,
        segments: SegmentEncoder | None = None,
    ) -> None:
        self._sources = sources
        self._encoder = encoder
        self._max_nodata = max_nodata
        self._resolution = resolution
        self._segments = segments
        self._seen = {hashed.partition("-")[2] for hashed in hashes}

    def read(self, task: Task) -> Read:
        """One picture, ready to be encoded. Thread-safe.

        What cannot be read is quarantined; only what no picture could survive is raised: wrong use, no memory, a full
        disk.
        """
        try:
            image = self._sources[task.source].read(task.ref)
            reason = reason_to_skip(image, self._max_nodata)
            return Read(task, skipped=reason) if reason else Read(task, self._picture(task, image))
        except BadInput as error:
            return _quarantine(task, error.where, error.reason)
        except (GeoAnchorError, MemoryError):
            raise
        except OSError as error:
            if error.errno in FULL:
                raise
            return _quarantine(task, error.filename or task.ref.key, error.strerror or str(error))
        except Exception as error:  # one picture must not end a build of a million, whatever its reader trips over
            return _quarantine(task, task.ref.key, f"{type(error).__name__}: {error}")

    def _picture(self, task: Task, image: TileImage) -> Picture:
        ready = {name: self._ready_made(image, name) for name in image.vectors}
        made_from_pixels = image.pixels.size and set(self._spaces_of(image.layer)) - set(ready)
        hashed = content_hash(image)
        key = copy_key(image, hashed)
        row = Row(
            image=_without_pixels(replace(image, nodata=_nodata(image))),
            cell=0 if image.point is None else cell_at(*image.point, self._resolution),
            stamp=task.ref.stamp,
            content_hash=f"{hashed}-{key}",
            thumbnail=thumbnail(image),
            vectors=ready,
            origin=self._sources[task.source].uri,
        )
        if not made_from_pixels:
            return Picture(row, key, None)
        return Picture(row, key, self._encoder.prepare(image.pixels, image.layer), self._cuts(task, image))

    def _cuts(self, task: Task, image: TileImage) -> tuple[Cut, ...] | None:
        if self._segments is None or image.layer != "aerial":
            return None
        known = masks_of(self._sources[task.source], image) if self._segments.method == "polygons" else None
        return self._segments.cut(image.pixels, known)

    def _spaces_of(self, layer: Layer) -> list[str]:
        return [name for name, space in self._encoder.spaces.items() if layer in space.modalities]

    def _ready_made(self, image: TileImage, name: str) -> RowVectors:
        """A vector that the source brought, at unit length where its space asks for that."""
        space = self._encoder.spaces.get(name)
        vector = np.asarray(image.vectors[name], space.number if space else np.float32)
        if space is None or vector.shape != (space.dim,):
            known = ", ".join(f"{s.name!r} of {s.dim} dimensions" for s in self._encoder.spaces.values())
            raise SpaceMismatch(
                f"{image.source}: brings vectors of {len(vector)} dimensions for space {name!r}, but the index holds "
                f"{known}; name the model that made them"
            )
        if not space.searchable:
            return vector
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or (space.metric == "cosine" and length == 0):
            raise BadInput(image.id, "its vector is zero or holds values that are not finite")
        return vector / np.float32(length) if space.metric == "cosine" else vector

    def encode(self, reads: Sequence[Read]) -> Batch:
        """Rows of a batch: copies of known pictures left out, vectors filled in."""
        batch = Batch([], {}, [])
        pictures: list[tuple[Task, Picture]] = []
        for read in reads:
            picture = read.picture
            if picture is not None and picture.key not in self._seen:
                self._seen.add(picture.key)
                pictures.append((read.task, picture))
            else:
                batch.tallies.setdefault(read.task.source, Tally()).add(_missed(read))
                # What cannot be read today may be readable tomorrow: only then does the former row stay.
                if read.task.replaces and read.quarantined is None:
                    batch.outdated.append((read.task.source, read.task.ref.id))
        vectors = self._vectors([picture for _, picture in pictures])
        segments = self._parts([picture for _, picture in pictures], vectors)
        for (task, picture), made, parts in zip(pictures, vectors, segments, strict=True):
            tally = batch.tallies.setdefault(task.source, Tally())
            if all(np.isfinite(vector).all() for vector in (*made.values(), *(part.vector for part in parts))):
                tally.add(Tally(updated=1) if task.replaces else Tally(added=1))
                batch.rows.append(replace(picture.row, vectors={**made, **picture.row.vectors}, segments=parts))
            else:
                tally.add(_missed(_quarantine(task, task.ref.key, "the model gives values that are not finite")))
        return batch

    def _vectors(self, pictures: Sequence[Picture]) -> list[dict[str, RowVectors]]:
        """Vectors by space of each picture, one call of the encoder per layer."""
        made: list[dict[str, RowVectors]] = [{} for _ in pictures]
        by_layer: dict[Layer, list[tuple[int, Pixels]]] = {}
        for row, picture in enumerate(pictures):
            if picture.prepared is not None:
                by_layer.setdefault(picture.row.image.layer, []).append((row, picture.prepared))
        for layer, prepared in by_layer.items():
            encoded = self._encoder.encode([pixels for _, pixels in prepared], layer, "gallery")
            for number, (row, _) in enumerate(prepared):
                made[row] = {name: vectors[number] for name, vectors in encoded.items()}
        return made

    def _parts(self, pictures: Sequence[Picture], made: Sequence[dict[str, RowVectors]]) -> list[tuple[Segment, ...]]:
        """Segments of each picture, () where it gets none; fused into its own vector where the index wants that."""
        found: list[tuple[Segment, ...]] = [() for _ in pictures]
        rows = [row for row, picture in enumerate(pictures) if picture.cuts is not None]
        if self._segments is None or not rows:
            return found
        space, cuts = self._segments.space, [pictures[row].cuts or () for row in rows]
        encoded = self._segments.encode(cuts, np.stack([made[row][space] for row in rows]))
        for row, parts in zip(rows, encoded, strict=True):
            found[row] = parts
            if self._segments.fuse:
                made[row][space] = self._segments.fused(made[row][space], parts)
        return found


def _missed(read: Read) -> Tally:
    if read.quarantined is not None:
        return Tally(quarantined=[read.quarantined])
    return Tally(skipped={read.skipped or "duplicate": 1})


def _quarantine(task: Task, where: str, reason: str) -> Read:
    return Read(task, quarantined=Quarantined(id=task.ref.id, where=where, reason=reason))


def _nodata(image: TileImage) -> float:
    """What the source declares, or what is seen to be without data. A map's streets may well be white at its edge."""
    return max(image.nodata, rim_share(image.pixels) if image.layer == "map" else gap_share(image.pixels))


def _without_pixels(image: TileImage) -> TileImage:
    # The row still wants width and height: a view of one byte has the shape and takes no memory while it waits.
    shape_only = np.broadcast_to(np.zeros((), np.uint8), image.pixels.shape)
    return replace(image, pixels=shape_only, encoded=None, vectors={})
