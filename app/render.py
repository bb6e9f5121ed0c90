"""Hits as text: a table, the contract's JSON, GeoJSON, GeoParquet. Pure: returns strings and bytes, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from geoanchor.query import Answer, Hit
from geoanchor.tiling import Bounds

if TYPE_CHECKING:
    from rich.table import Table

JSON_FIELDS = ("id", "rank", "score", "layer", "tile", "bounds", "lng", "lat", "cell", "source", "why")
"""Fields of a hit in `--format json`, in this order; the contract that others script against."""


def to_json(answer: Answer) -> str:
    """`{"hits": [...], "total": n}`; bounds as [west, south, east, north], tile as [z, x, y]."""
    hits = [hit.model_dump(mode="json", include=set(JSON_FIELDS)) for hit in answer.hits]
    ordered = [{name: hit[name] for name in JSON_FIELDS} for hit in hits]
    return json.dumps({"hits": ordered, "total": answer.total}, ensure_ascii=False, indent=1)


def to_geojson(answer: Answer) -> str:
    """A FeatureCollection (RFC 7946, lng lat): the outline of each hit, its point, or null where it has no position."""
    features = [{"type": "Feature", "id": hit.id, "geometry": geometry(hit), "properties": properties(hit)}
                for hit in answer.hits]  # fmt: skip
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, indent=1)


def to_geoparquet(answer: Answer) -> bytes:
    """The same as a GeoParquet file (EPSG:4326); `why` is JSON text, `tile` "z/x/y"."""
    import geopandas
    import pandas as pd
    from shapely.geometry import shape

    rows = [properties(hit) | {"why": json.dumps(hit.why, default=str)} for hit in answer.hits]
    frame = pd.DataFrame(rows, columns=_columns())
    frame["acquired"] = pd.to_datetime(frame["acquired"], utc=True, format="ISO8601")
    shapes = [shape(outline) if (outline := geometry(hit)) else None for hit in answer.hits]
    buffer = BytesIO()
    geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326").to_parquet(buffer, index=False)
    return buffer.getvalue()


def to_table(answer: Answer) -> Table:
    """A rich table: rank, score, id, position, what it is, why it was found."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name, justify in (("#", "right"), ("score", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("id", overflow="fold")
    table.add_column("lat, lng", no_wrap=True)
    table.add_column("what", max_width=44)
    table.add_column("why", max_width=44, style="dim")
    for hit in answer.hits:
        cells = (str(hit.rank), f"{hit.score:.4f}", hit.id, position(hit), hit.caption or ", ".join(hit.tags[:4]))
        table.add_row(*(Text(cell) for cell in cells), Text(reason(hit.why)))
    return table


def geometry(hit: Hit) -> dict[str, Any] | None:
    """GeoJSON of a hit's outline, split where it crosses the antimeridian; its point where it has no outline."""
    if hit.bounds is not None:
        boxes = _boxes(hit.bounds)
        if len(boxes) == 1:
            return {"type": "Polygon", "coordinates": [boxes[0]]}
        return {"type": "MultiPolygon", "coordinates": [[box] for box in boxes]}
    if hit.lng is not None and hit.lat is not None:
        return {"type": "Point", "coordinates": [hit.lng, hit.lat]}
    return None


def properties(hit: Hit) -> dict[str, Any]:
    """Everything known of a hit but its outline, as JSON values."""
    facts = hit.model_dump(mode="json", exclude={"bounds"})
    return facts | {"tile": "/".join(map(str, hit.tile)) if hit.tile else None}


def position(hit: Hit) -> str:
    """ "48.10000, 10.20000" (lat, lng), or "" """
    return "" if hit.lat is None or hit.lng is None else f"{hit.lat:.5f}, {hit.lng:.5f}"


def reason(why: Mapping[str, Any]) -> str:
    """`why` in one line for people: "semantic 0.31, relation: stadium 0.42, river 0.38, 120 m"."""
    return ", ".join(f"{name}{_spoken(value)}" for name, value in why.items() if value not in (None, "", {}, []))


def _spoken(value: Any) -> str:
    if isinstance(value, Mapping):
        return f": {reason(value)}"
    if isinstance(value, float):
        return f" {value:.3g}" if abs(value) < 100 else f" {value:.0f}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " " + " ".join(reason(item) if isinstance(item, Mapping) else _spoken(item).strip() for item in value)
    return f" {value}"


def _boxes(bounds: Bounds) -> list[list[list[float]]]:
    """Closed counter-clockwise rings, one, or two where the box crosses the antimeridian."""
    west, south, east, north = bounds
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return [[[w, south], [e, south], [e, north], [w, north], [w, south]] for w, e in spans]


def _columns() -> list[str]:
    return [name for name in Hit.model_fields if name != "bounds"]
