"""What is known of a tile's ground: imagery bears the tags that a map of the same tile was drawn from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.neighbours import tile_keys


def ground_tags(table: pa.Table) -> pa.Array:
    """Tags of each row (list of string): its own; where it has none, those of the first row of the same tile that has.

    Args:
        table: columns z, x, y (null where a row is no tile) and tags.
    """
    tags = table.column("tags").combine_chunks()
    told = pc.greater(pc.fill_null(pc.list_value_length(tags), 0), 0).to_numpy(zero_copy_only=False)
    tiled = table.column("z").is_valid().to_numpy()
    bare, bearing = np.flatnonzero(~told & tiled), np.flatnonzero(told & tiled)
    if not len(bare) or not len(bearing):
        return tags
    z, x, y = (table.column(name).fill_null(0).to_numpy().astype(np.int64) for name in ("z", "x", "y"))
    keys = tile_keys(z, x, y)
    known, first = np.unique(keys[bearing], return_index=True)
    place = np.minimum(np.searchsorted(known, keys[bare]), len(known) - 1)
    source, shared = np.arange(len(tags)), known[place] == keys[bare]
    source[bare[shared]] = bearing[first[place[shared]]]
    return tags.take(pa.array(source))
