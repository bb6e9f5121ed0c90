"""Anchors as a JSONL file: one a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from geoanchor.errors import UsageError, first_fault, reason_of
from training.anchors.schema import Anchor


def read_anchors(path: Path) -> list[Anchor]:
    """Every anchor of a file. Raises UsageError naming the line that is none."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = list(file)  # not splitlines, which splits inside of strings too
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot read anchors ({reason_of(error)})") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Anchor.model_validate_json(line))
        except ValidationError as error:
            raise UsageError(f"{path}, line {number}: no anchor ({first_fault(error)})") from error
    return found


def write_anchors(anchors: Sequence[Anchor], path: Path) -> None:
    """Write anchors, whole or not at all. Raises UsageError where the file cannot be written."""
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text("".join(f"{anchor.model_dump_json()}\n" for anchor in anchors), "utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
