"""GeoParquet in any CRS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import geopandas
import pyarrow as pa

from geoanchor.errors import BadInput
from geoanchor.feature import Feature
from indexer.tagging import plain_tags

_ID_COLUMNS = ("feature_id", "id", "osm_id", "fid")


def read_geoparquet(path: Path) -> Iterator[Feature]:
    """Features of a GeoParquet file in degrees; its columns are their tags, its index or an id column their ids.

    Raises BadInput when it is not GeoParquet or does not say its CRS in a way that can be used.
    """
    try:
        frame = geopandas.read_parquet(path)
        if frame.crs is not None:
            frame = frame.to_crs("OGC:CRS84")
    except (ValueError, RuntimeError, KeyError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(str(path), f"is no readable GeoParquet file ({reason})") from error
    column = next((name for name in _ID_COLUMNS if name in frame.columns), None)
    ids = frame[column] if column else frame.index
    table = frame.drop(columns=frame.geometry.name).to_dict("records")
    for id, geometry, row in zip(ids, frame.geometry, table, strict=True):
        yield Feature(str(id), geometry, plain_tags({str(key): value for key, value in row.items()}))
