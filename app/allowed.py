"""Which sources a request may have indexed: towns, named tile services, and what lies in allowed folders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from app.handlers import Forbidden
from indexer.sources.registry import is_source

_CITY = re.compile(r"city:\d{1,9}(/[A-Za-z]{1,8})?(@\d{1,3})?")
_MOST_OFFERED = 200
_SERVICE = re.compile(r"service:[A-Za-z0-9_.\- ]{1,100}")


def offered(folders: Sequence[Path]) -> list[str]:
    """What lies in the allowed folders and may be a source, by name; what lies deeper has to be named."""
    found = (path for folder in folders for path in _listed(folder) if is_source(path))
    return [str(path) for path in found if _within(path.resolve(), folders)][:_MOST_OFFERED]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def allowed_source(source: str, folders: Sequence[Path]) -> str:
    """The source as it may be opened: a path with every link in it followed.

    Raises Forbidden unless it is `city:...`, `service:...`, or a file or folder below one of `folders`.
    """
    if _CITY.fullmatch(source) or _SERVICE.fullmatch(source):
        return source
    try:
        path = Path(source).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        path = None
    # What may not be read and what is not there get the same answer: it tells nothing of this machine's files.
    if path is None or not _within(path, folders) or _leads_out(path, folders):
        where = ", ".join(map(str, folders)) or "none; name some with --allow-source"
        raise Forbidden(
            "this source may not be indexed from here: name city:SEED, service:NAME, or a path (of a folder: one "
            f"without links that lead out) in {where}"
        )
    return str(path)


def _within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


def _leads_out(source: Path, folders: Sequence[Path]) -> bool:
    """Whether some link below a folder, followed as often as it takes, leads to what lies in none of the folders."""
    waiting, seen = [source], {source}
    while waiting:
        for root, below, files in os.walk(waiting.pop()):
            links = (path for name in (*below, *files) if (path := Path(root, name)).is_symlink())
            linked = {path.resolve() for path in links}
            if not all(_within(path, folders) for path in linked):
                return True
            waiting += [path for path in linked - seen if path.is_dir()]
            seen |= linked
    return False
