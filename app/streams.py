"""Rows and hits as GeoJSON, CSV or GeoParquet, written piece by piece: no more than a batch is ever in memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app import render
from geoanchor.query import Hit, RowFacts

Format = Literal["geojson", "csv", "parquet"]
Batches = Iterator[Sequence[RowFacts]]

_ROW_COLUMNS = (
    "id", "layer", "tile", "west", "south", "east", "north", "lng", "lat", "cell", "source", "caption", "tags", "gsd_m",
    "acquired", "attribution",
)  # fmt: skip
_HIT_COLUMNS = ("rank", "score", *_ROW_COLUMNS, "why")
_NUMBERS = ("score", "west", "south", "east", "north", "lng", "lat", "gsd_m")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Kind:
    """A file format: its media type, and what writes batches of hits (or, if not `ranked`, of rows) as bytes."""

    media_type: str
    write: Callable[[Batches, bool], Iterator[bytes]]


def to_geojson(batches: Batches, ranked: bool) -> Iterator[bytes]:  # noqa: ARG001 (features carry what they have)
    """A FeatureCollection (RFC 7946, lng lat) with the outline of each; one feature a line."""
    opening = b'{"type":"FeatureCollection","features":[\n'
    for batch in batches:
        features = [
            {"type": "Feature", "id": row.id, "geometry": render.geometry(row), "properties": render.properties(row)}
            for row in batch
        ]
        if features:
            yield opening + ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features).encode()
            opening = b",\n"
    yield (opening if opening != b",\n" else b"") + b"\n]}\n"


def to_csv(batches: Batches, ranked: bool) -> Iterator[bytes]:
    """A line each (UTF-8, RFC 4180); tags parted by semicolons, `why` as JSON.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    columns = _HIT_COLUMNS if ranked else _ROW_COLUMNS
    yield _lines([columns])
    for batch in batches:
        yield _lines([[cell(facts[name]) for name in columns] for facts in map(_flat, batch)])


def to_parquet(batches: Batches, ranked: bool) -> Iterator[bytes]:
    """GeoParquet 1.1 (WKB, OGC:CRS84), one row group a batch; `why` as JSON."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = _HIT_COLUMNS if ranked else _ROW_COLUMNS
    schema = pa.schema(
        [*((name, _arrow_type(name)) for name in columns), ("geometry", pa.binary())], {b"geo": _GEO.encode()}
    )
    sink = _Pieces()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            facts = [_flat(row) | {"geometry": _wkb(row)} for row in batch]
            writer.write_table(pa.Table.from_pylist(facts, schema))
            yield sink.take()
    yield sink.take()


KINDS: dict[Format, Kind] = {
    "geojson": Kind("application/geo+json", to_geojson),
    "csv": Kind("text/csv; charset=utf-8", to_csv),
    "parquet": Kind("application/vnd.apache.parquet", to_parquet),
}

_GEO = json.dumps({
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
})  # fmt: skip


class _Pieces(io.RawIOBase):
    """A file that is handed on as it grows."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._kept.append(bytes(data))
        self._length += len(self._kept[-1])
        return len(self._kept[-1])

    def tell(self) -> int:
        return self._length

    def take(self) -> bytes:
        piece, self._kept = b"".join(self._kept), []
        return piece


def _flat(row: RowFacts) -> dict[str, Any]:
    """Facts by column."""
    facts = row.model_dump(exclude={"bounds", "why"})
    facts["tile"] = "/".join(map(str, row.tile)) if row.tile else None
    facts |= dict(zip(("west", "south", "east", "north"), row.bounds or [None] * 4, strict=True))
    if isinstance(row, Hit):
        facts["why"] = json.dumps(row.why, default=str, ensure_ascii=False)
    return facts


def cell(value: Any) -> Any:
    """A value as a CSV file holds it; no text in it is a formula."""
    if isinstance(value, tuple | list):
        value = ";".join(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value.isoformat() if hasattr(value, "isoformat") else value


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _arrow_type(column: str) -> Any:
    import pyarrow as pa

    if column == "rank":
        return pa.int64()
    if column == "tags":
        return pa.list_(pa.string())
    if column == "acquired":
        return pa.timestamp("us", "UTC")
    return pa.float64() if column in _NUMBERS else pa.string()


def _wkb(row: RowFacts) -> bytes | None:
    from shapely import to_wkb
    from shapely.geometry import shape

    outline = render.geometry(row)
    return None if outline is None else to_wkb(shape(outline))
