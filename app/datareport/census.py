"""What is known of each picture of an index or of a captioned folder, without its pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

from PIL import Image

from geoanchor.errors import BadInput, UsageError
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import read_manifest

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One picture.

    Attributes:
        tags: "key=value" of vectors, or "noun" of what its captions name where no picture of the set has tags.
        box: west, south, east, north in degrees; a point where its size is not known; None where it lies nowhere.
        gsd_m: metres a pixel. acquired: when it was taken.
    """

    id: str
    layer: str = ""
    tags: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    box: Box | None = None
    gsd_m: float | None = None
    acquired: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """All pictures of a data set.

    Attributes:
        name: of the index or folder. told_by: what the tags come from, in words; "" where there are none.
        picture: a picture's bytes by id, None where there is none.
    """

    name: str
    records: Sequence[Record]
    told_by: str
    picture: Callable[[str], bytes | None]


def read_census(path: Path, captions: Path | None) -> Census:
    """The census of an index, or of a folder or tar of pictures with their captions file.

    Raises UsageError for a folder that is no index where no captions are named, and as reading either does.
    """
    if captions is None and (path / MANIFEST_NAME).is_file():
        return _of_index(path)
    if captions is None:
        raise UsageError(f"{path}: is no index; name the captions of its pictures with --captions FILE.json")
    return _of_folder(path, captions)


def _of_index(folder: Path) -> Census:
    from retrieval.index.lance import LanceStore

    manifest = read_manifest(folder)
    store = LanceStore.open_sealed(folder, manifest)
    sides = ("west", "south", "east", "north")
    rows = store.columns(["id", "layer", "tags", "caption", *sides, "lng", "lat", "gsd_m", "acquired"]).to_pylist()

    def box(row: dict[str, float | None]) -> Box | None:
        at = [row[side] for side in sides] if row["west"] is not None else [row["lng"], row["lat"]] * 2
        west, south, east, north = at
        if west is None or south is None or east is None or north is None:
            return None
        return west, south, east, north

    def picture(id_: str) -> bytes | None:
        found: list[bytes] = store.fetch([id_], ["thumbnail"])["thumbnail"].to_pylist()
        return found[0] or None if found else None

    records = [
        Record(
            row["id"], row["layer"], tuple(row["tags"] or ()), (row["caption"],) if row["caption"] else (), box(row),
            row["gsd_m"], row["acquired"],
        )
        for row in rows
    ]  # fmt: skip
    told_by = "vectors of the same ground" if any(record.tags for record in records) else ""
    return Census(folder.name, _with_nouns(records), told_by or _NOUNS, picture)


_NOUNS = "the nouns of the captions"


def _of_folder(path: Path, captions: Path) -> Census:
    from training.datasets import Pictures, read_captions

    pictures, tags = Pictures(path), _tags_of(captions)
    records = [
        Record(
            item.image, "", tags.get(item.image, ()), item.captions,
            (item.lng, item.lat, item.lng, item.lat) if item.lng is not None and item.lat is not None else None,
        )
        for item in read_captions(captions)
    ]  # fmt: skip

    def picture(name: str) -> bytes | None:
        buffer = BytesIO()
        try:
            Image.fromarray(pictures.read(name)).save(buffer, "JPEG", quality=85)
        except BadInput:
            return None
        return buffer.getvalue()

    return Census(path.name, _with_nouns(records), "vectors of the same ground" if tags else _NOUNS, picture)


def _tags_of(captions: Path) -> dict[str, tuple[str, ...]]:
    """Tags that `geoanchor captions` wrote beside the captions; other formats have none."""
    try:
        items = json.loads(captions.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(items, list):
        return {}
    named = [item for item in items if isinstance(item, dict) and isinstance(item.get("tags"), list)]
    return {str(item.get("image")): tuple(map(str, item["tags"])) for item in named if item["tags"]}


def _with_nouns(records: list[Record]) -> list[Record]:
    """Records with what their captions name in place of tags, where none has any."""
    from training.captions.quality import concepts_named

    if any(record.tags for record in records):
        return records
    return [replace(record, tags=concepts_named(" ".join(record.captions))) for record in records]
