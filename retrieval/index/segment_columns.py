"""Segments of rows as two columns of the table of rows, so that a row and its segments are one commit.

`segments` lists what is known of each, `segment_vectors` their vectors one after another, in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from geoanchor.segment import Segment

FACTS = pa.struct(
    [("outline", pa.list_(pa.uint16())), ("area", pa.float32()), ("score", pa.float32()), ("weight", pa.float32())]
)
"""An outline is x, y, x, y, ...: see `geoanchor.segment.Outline`."""
SEGMENT_COLUMNS = (("segments", pa.list_(FACTS)), ("segment_vectors", pa.list_(pa.float16())))


def segment_arrays(rows: Sequence[Sequence[Segment]]) -> list[pa.Array]:
    """Both columns for n rows."""
    parts = [part for own in rows for part in own]
    ends = np.cumsum([0, *(len(own) for own in rows)], dtype=np.int32)
    dim = len(parts[0].vector) if parts else 0
    vectors = np.stack([part.vector for part in parts]).astype(np.float16).reshape(-1) if parts else np.zeros(0, "f2")
    outlines = [part.outline.reshape(-1) for part in parts]
    facts = pa.StructArray.from_arrays(
        [
            pa.array(outlines, pa.list_(pa.uint16())),
            *(pa.array([getattr(part, name) for part in parts], pa.float32()) for name in ("area", "score", "weight")),
        ],
        fields=list(FACTS),
    )
    return [pa.ListArray.from_arrays(ends, facts), pa.ListArray.from_arrays(ends * dim, pa.array(vectors))]
