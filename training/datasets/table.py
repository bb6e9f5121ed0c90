"""Captions in a table, a row each: SkyScript, UrbanCross and whatever else names a picture and a text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from geoanchor.errors import UsageError, first_fault
from training.datasets.captioned import Captioned
from training.sheet import rows_of

_COLUMNS: Mapping[str, Sequence[str]] = {
    "image": ("filepath", "image_name", "image", "filename", "file_name", "image_path", "path"),
    "captions": ("title", "description", "caption", "text", "sentence"),
    "split": ("split",),
    "scene": ("scene", "class"),
    "lng": ("lng", "lon", "longitude"),
    "lat": ("lat", "latitude"),
}
"""Field -> names that its column goes by, the first that is there wins."""
_SPLITS = ("train", "val", "test")


def read_table(data: bytes, path: Path) -> list[Captioned] | None:
    """A row for each caption; None where the header names no picture or no caption.

    Splits come from a column or else from train_list.txt, val_list.txt and test_list.txt beside the table, where
    they are. Raises UsageError that names the bad line.
    """
    try:
        rows = rows_of(data)
        columns = _columns(next(rows, (0, []))[1])
        if not {"image", "captions"} <= columns.keys():
            return None
        listed = {} if "split" in columns else _listed(path)
        return [item for line, row in rows if (item := _item(row, columns, listed, f"{path}: line {line}"))]
    except UnicodeDecodeError:
        return None
    except csv.Error as error:
        raise UsageError(f"{path}: cannot be read as a table ({error})") from error


def _columns(header: Sequence[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    found = {}
    for field, known in _COLUMNS.items():
        if column := next((name for name in known if name in names), None):
            found[field] = names.index(column)
    return found


def _item(row: Sequence[str], columns: Mapping[str, int], listed: Mapping[str, str], where: str) -> Captioned | None:
    """The row's item, None for a picture without words."""
    if len(row) <= max(columns.values()):
        raise UsageError(f"{where}: has {len(row)} fields, fewer than the header")
    fields = {name: row[column].strip() or None for name, column in columns.items()}
    if not fields["captions"]:
        return None
    try:
        image = fields["image"] or ""
        return Captioned.model_validate(
            {"split": listed.get(image)} | fields | {"image": image, "captions": (fields["captions"],)}
        )
    except ValidationError as error:
        raise UsageError(f"{where}: {first_fault(error)}") from error


def _listed(path: Path) -> dict[str, str]:
    """Picture -> split by the lists beside the table. Raises UsageError when a picture is in two of them."""
    found: dict[str, str] = {}
    for split in _SPLITS:
        file = path.with_name(f"{split}_list.txt")
        names = file.read_text("utf-8").split("\n") if file.is_file() else []
        for name in filter(None, map(str.strip, names)):
            if found.setdefault(name, split) != split:
                raise UsageError(f"{file}: {name} is in {found[name]}_list.txt as well; take it out of one")
    return found
