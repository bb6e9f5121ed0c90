"""manifest.json: what an index holds. Written last and whole, so its presence means that the index is complete."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import IndexCorrupt, NotAnIndex, UsageError
from geoanchor.image import Layer
from geoanchor.space import EmbeddingSpace

FORMAT_VERSION = 1
FILE_NAME = "manifest.json"
OWN_MODEL = "./model"
"""In the place of a model's name: the bundle that lies in the index folder itself."""


class SourceRecord(BaseModel):
    """What became of one source.

    Attributes:
        uri: as named on the command line; layer, zoom: as asked for or found.
        own_zoom: whether the source chose the zoom itself; on a later build it may choose another instead.
        rows: rows in the index; skipped: reason -> count (blank, duplicate, outside, ...).
        quarantined: inputs that could not be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    layer: Layer
    zoom: int | None = None
    own_zoom: bool = False
    rows: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    quarantined: int = 0
    attribution: str = ""


class SegmentRecord(BaseModel):
    """How the rows' segments were made.

    Attributes:
        method: as named on the command line. space: that their vectors are of.
        fuse: share of the segments in a row's own vector of that space, 0..1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    space: str
    fuse: float = Field(default=0.0, ge=0, le=1)


class Manifest(BaseModel):
    """The sealed contract of an index folder.

    Attributes:
        format_version: of the folder's layout; an older one is migrated on read, a newer one refused.
        model: bundle name or folder that made the vectors, so that a query can be put into the same spaces; `OWN_MODEL`
            where the index has its own.
        spaces: by name; one vector column each.
        segments: how the rows' segments were made, None where they have none.
        h3_resolution: of the `cell` column; tile_size_px: side of the stored tiles.
        rows, layers: counts; table_version, texts_version: LanceDB versions that this manifest speaks of.
        checksums: file below the folder -> SHA-256, for small files; -> "bytes:N" for the large serving files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = Field(default_factory=lambda: datetime.now(UTC))
    model: str
    spaces: dict[str, EmbeddingSpace]
    segments: SegmentRecord | None = None
    h3_resolution: int = 10
    tile_size_px: int = 256
    sources: tuple[SourceRecord, ...] = ()
    rows: int = 0
    layers: dict[Layer, int] = Field(default_factory=dict)
    texts: int = 0
    table_version: int = 0
    texts_version: int = 0
    checksums: dict[str, str] = Field(default_factory=dict)


_MIGRATIONS: dict[int, Any] = {}
"""format version -> function that turns that version's JSON into the next one's."""


def read_manifest(folder: Path) -> Manifest:
    """Read, migrate and check an index's manifest.

    Raises NotAnIndex when there is none, IndexCorrupt when it cannot be understood, UsageError when it was written by a
    newer GeoAnchor.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        state = "an unfinished build; run the same `geoanchor index` command again to finish it"
        if not (folder / "tiles.lance").exists():
            state = "no index; make one with `geoanchor index SOURCE --into " + str(folder) + "`"
        raise NotAnIndex(f"{folder}: there is {state}")
    try:
        data = json.loads(path.read_text("utf-8"))
        version = int(data["format_version"])
        if version > FORMAT_VERSION:
            raise UsageError(
                f"{folder}: the index has format {version}, newer than the {FORMAT_VERSION} that this GeoAnchor reads; "
                "update GeoAnchor"
            )
        while version < FORMAT_VERSION:
            data = _MIGRATIONS[version](data)
            version = data["format_version"]
        return Manifest.model_validate(data)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        reason = f"{path}: not a manifest ({type(error).__name__}); rebuild the index or restore it"
        raise IndexCorrupt(reason) from error


def model_of(folder: Path, manifest: Manifest) -> str:
    """Name or folder of the bundle that made an index's vectors, as it can be opened from anywhere."""
    return str(folder / OWN_MODEL) if manifest.model == OWN_MODEL else manifest.model


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in one step: a reader sees the old one or the new one, never half of it."""
    path = folder / FILE_NAME
    partial = path.with_suffix(".json.part")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(manifest.model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
