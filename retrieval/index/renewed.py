"""Other values in some columns of some rows, while a table is rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from geoanchor.protocols import RowIds


def with_columns(
    batches: Iterator[pa.RecordBatch], columns: Mapping[str, pa.Array], place: RowIds
) -> Iterator[pa.RecordBatch]:
    """A table's batches with other values.

    Args:
        columns: by name, (n,) values each. place: (g,) which of the values each row of the table gets, -1 for its own.
    """
    start = 0
    for batch in batches:
        at = place[start : start + len(batch)]
        held = dict(zip(batch.schema.names, batch.columns, strict=True))
        held |= {name: _renewed(held[name], values, at) for name, values in columns.items()}
        start += len(batch)
        yield pa.record_batch(list(held.values()), schema=batch.schema)


def _renewed(column: pa.Array, values: pa.Array, at: RowIds) -> pa.Array:
    own = np.arange(len(column))
    new = at >= 0
    own[new] = len(column) + np.arange(int(new.sum()))
    return pa.concat_arrays([column, values.take(pa.array(at[new]))]).take(pa.array(own))
