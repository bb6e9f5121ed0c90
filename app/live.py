"""The index as it is on disk now: a new version is taken up between two requests, none is dropped for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.index import Index
from geoanchor.errors import GeoAnchorError
from geoanchor.manifest import FILE_NAME, read_manifest

INTERVAL_S = 1.0
"""How often the manifest is looked at."""

logger = logging.getLogger(__name__)


class LiveIndex:
    """Gives the newest version of an index that could be opened.

    Whoever asks keeps what `current` gave until the answer is out; the former version goes when nobody holds it any
    more. A version that cannot be opened (yet) is passed over, and tried again when the manifest changes or next time.
    """

    def __init__(self, index: Index) -> None:
        self.current = index
        # The folder may hold a newer version than the one that was opened a moment ago.
        mark = _mark(index.folder)
        self._seen = mark if mark and read_manifest(index.folder) == index.manifest else None
        self._said = ""
        self._lock = threading.Lock()
        self.on_swap: Callable[[], None] = lambda: None

    def refresh(self) -> bool:
        """Take up a new version if there is one; whether there was."""
        with self._lock:
            mark = _mark(self.current.folder)
            if mark == self._seen or mark is None:
                return False
            try:
                renewed = self.current.renewed()
                renewed.warm()
            except (GeoAnchorError, OSError) as error:
                # Tried again each time: what it lacks may come without a new manifest. But said once.
                if str(error) != self._said:
                    logger.warning("a new version of the index cannot be opened, the former one stays: %s", error)
                self._said = str(error)
                return False
            self.current, self._seen, self._said = renewed, mark, ""
        self.on_swap()
        return True

    @contextmanager
    def watching(self, interval_s: float = INTERVAL_S) -> Iterator[None]:
        """Look for new versions, in a thread of its own, until the end."""
        over = threading.Event()

        def watch() -> None:
            _quietly(self.current.warm)
            while not over.wait(interval_s):
                _quietly(self.refresh)

        thread = threading.Thread(target=watch, name="live index", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=10)


def _quietly(work: Callable[[], object]) -> None:
    """Whatever goes wrong, the watch goes on."""
    try:
        work()
    except Exception:
        logger.exception("looking after the index failed")


def _mark(folder: Path) -> tuple[int, int, int] | None:
    """What changes whenever the manifest is replaced, None while there is none."""
    try:
        stat = (folder / FILE_NAME).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
