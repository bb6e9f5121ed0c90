"""One writer at a time: a lock on the index folder that dies with the process that holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from geoanchor.errors import IndexLocked, UsageError

LOCK_NAME = "write.lock"
OWNER_NAME = "writer.json"
"""Who holds the lock; a file of its own, since whoever tries to take a lock empties the lock file."""


def require_own(folder: Path) -> None:
    """Raise UsageError for a folder of other things, among which an index would be strewn: one that no build has ever
    locked, and that is not empty."""
    if folder.is_dir() and not (folder / LOCK_NAME).exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: holds other files and is no index; name a folder of its own, which need not exist")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder's only right to write. Raises IndexLocked at once when another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_NAME, timeout=0)
    owner = folder / OWNER_NAME
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexLocked(
            f"another process ({_holder(owner)}) is writing to {folder}; wait until it is done, or stop it"
        ) from error
    try:
        owner.write_text(json.dumps({"pid": os.getpid(), "since": datetime.now().strftime("%H:%M")}), "utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _holder(owner: Path) -> str:
    try:
        facts = json.loads(owner.read_text("utf-8"))
        return f"pid {facts['pid']}, since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return "pid unknown"
