"""Names and stamps of local files: ids that stay the same from run to run, and a mark that changes with the content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def source_name(path: Path) -> str:
    """A readable name that no other file or folder on this machine shares, e.g. "orthos-3f2a9c".

    The last part of the path without a file's suffix, and six hex digits of the SHA-256 of the absolute path: the same
    from whichever working directory the source is named, different for `2019/orthos` and `2023/orthos`.
    """
    absolute = path.resolve()
    digest = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:6]
    name = absolute.name if absolute.is_dir() else absolute.stem.removesuffix(".osm")
    return f"{plain_name(name) or 'root'}-{digest}"


def plain_name(name: str) -> str:
    """The same name where it is proper text; bytes of it that are no UTF-8 are written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def file_stamp(stat: os.stat_result) -> str:
    """Size and modification time of one file, as text."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def joint_stamp(parts: Iterable[str]) -> str:
    """One short stamp for several: changes when any of them changes."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
