"""Which segments a build makes: those asked for, else those that the index has."""

from __future__ import annotations

from pathlib import Path

from geoanchor.errors import UsageError
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import read_manifest
from geoanchor.protocols import Encoder, SegmentEncoder
from geoanchor.settings import Settings

NONE = "none"


def segments_for(
    folder: Path, method: str | None, fuse: float | None, encoder: Encoder, settings: Settings
) -> SegmentEncoder | None:
    """What makes the segments of an index, None for an index without.

    Args:
        method: "none", "regions", "polygons" or "sam:NAME-OR-FILE"; None takes the index's own, none for a new one.
        fuse: share of the segments in a row's own vector; None takes the index's own, 0 for a new one.

    Raises UsageError, and what `models.segments.open_segments` raises.
    """
    held = read_manifest(folder).segments if (folder / MANIFEST_NAME).is_file() else None
    if method is None:
        method = held.method if held is not None else NONE
    if method == NONE:
        if fuse:
            raise UsageError("--fuse mixes segments into the rows' vectors: say which with --segments")
        return None
    from models.segments import open_segments

    if fuse is None:
        fuse = held.fuse if held is not None else 0.0
    return open_segments(method, encoder, settings, fuse)
