"""Says in one sentence what the machine ran out of while an index was written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoanchor.errors import GeoAnchorError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def said_plainly(folder: Path) -> Iterator[None]:
    """Turn a full disk, a lack of memory and other failures to write `folder` into a GeoAnchorError."""
    try:
        yield
    except MemoryError as error:
        reason = (
            "not enough memory; use a smaller batch size and run the same command again, it goes on where it stopped"
        )
        raise GeoAnchorError(f"{folder}: {reason}") from error
    except OSError as error:
        if error.errno in FULL:
            reason = "the disk is full; free some space and run the same command again, it goes on where it stopped"
        else:
            reason = f"cannot be written ({error.strerror or error}); check the folder and run the same command again"
        raise GeoAnchorError(f"{folder}: {reason}") from error
