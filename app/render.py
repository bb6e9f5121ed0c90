"""Hits as text: a table, the contract's JSON, GeoJSON, GeoParquet. Pure: returns strings and bytes, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from geoanchor.query import Answer, Hit
from geoanchor.tiling import Bounds

if TYPE_CHECKING:
    from rich.table import Table

    from geoanchor.query import RowFacts

JSON_FIELDS = ("id", "rank", "score", "layer", "tile", "bounds", "lng", "lat", "cell", "source", "why")
"""Fields of a hit in `--format json`, in this order; the contract that others script against."""
_IN_PLACE = 0.005
"""Of a side; as far off a map lies as well as in its place."""


def to_json(answer: Answer) -> str:
    """`{"hits": [...], "total": n, ...}` with all else that an Answer says; bounds as [west, south, east, north], tile
    as [z, x, y]."""
    told = answer.model_dump(mode="json", exclude={"hits", "nearest"})
    hits = {"hits": _json_hits(answer.hits), "total": answer.total}
    return json.dumps(hits | told | {"nearest": _json_hits(answer.nearest)}, ensure_ascii=False, indent=1)


def _json_hits(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    dumped = [hit.model_dump(mode="json", include=set(JSON_FIELDS)) for hit in hits]
    return [{name: hit[name] for name in JSON_FIELDS} for hit in dumped]


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


def geometry(hit: RowFacts) -> dict[str, Any] | None:
    """GeoJSON of an outline, split where it crosses the antimeridian; a point where there is no outline."""
    if hit.bounds is not None:
        return box_geometry(hit.bounds)
    if hit.lng is not None and hit.lat is not None:
        return {"type": "Point", "coordinates": [hit.lng, hit.lat]}
    return None


def box_geometry(bounds: Bounds) -> dict[str, Any]:
    """GeoJSON of a box, split where it crosses the antimeridian."""
    boxes = _boxes(bounds)
    if len(boxes) == 1:
        return {"type": "Polygon", "coordinates": [boxes[0]]}
    return {"type": "MultiPolygon", "coordinates": [[box] for box in boxes]}


def properties(hit: RowFacts) -> dict[str, Any]:
    """Everything known of a hit or a row but its outline, as JSON values."""
    facts = hit.model_dump(mode="json", exclude={"bounds"})
    return facts | {"tile": "/".join(map(str, hit.tile)) if hit.tile else None}


def position(hit: Hit) -> str:
    """ "48.10000, 10.20000" (lat, lng), or "" """
    return "" if hit.lat is None or hit.lng is None else f"{hit.lat:.5f}, {hit.lng:.5f}"


def reason(why: Mapping[str, Any]) -> str:
    """`why` in one line for people: "stadium 0.55, river 0.54 at 288 m", "semantic 0.31", "288 m away"."""
    spoken = (_SPOKEN.get(name, _named)(name, value) for name, value in why.items() if value not in (None, "", {}, []))
    return ", ".join(words for words in spoken if words)


def _named(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name}: {reason(value)}"
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"


def _relation(_name: str, value: Mapping[str, Any]) -> str:
    subject = f"{value['subject']} {value['subject_score']:.2f}"
    if "object_id" not in value:
        return f"{subject}, no {value['object']} near"
    where = f"at {value['distance_m']:.0f} m" if value["distance_m"] else "here"
    return f"{subject}, {value['object']} {value['object_score']:.2f} {where}"


def _parts(_name: str, value: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(_part(part) for part in value)


def _part(part: Mapping[str, Any]) -> str:
    kind, what = next((name, value) for name, value in part.items() if name not in ("weight", "score"))
    words = what if kind == "text" else f"{what} picture" if kind == "image" else kind
    return f"{'not ' if part['weight'] < 0 else ''}{words} {part['score']:.2f}"


def _offset(_name: str, value: Sequence[float]) -> str:
    """Shares of a hit's side east and south; half a percent is as good as nothing."""
    ways = (
        (abs(share), words[share > 0])
        for share, words in zip(value, (("west", "east"), ("north", "south")), strict=True)
    )
    off = [f"{100 * share:.1f} % {way}" for share, way in ways if share >= _IN_PLACE]
    return f"map lies {' and '.join(off)} of its place" if off else "map lies in its place"


_SPOKEN: dict[str, Callable[[str, Any], str]] = {
    "relation": _relation,
    "parts": _parts,
    "segment": lambda _, part: f"segment {part['number']} {part['score']:.2f}",
    "tags": lambda _, share: "tagged so" if share >= 1 else "partly tagged so" if share > 0 else "tagged as unwanted",
    "offset": _offset,
    "scale": lambda _, side: f"shows {100 * side:.0f} % of the side",
    "distance_m": lambda _, metres: f"{metres:.0f} m away",
    "holds_point": lambda _, holds: "holds the point" if holds else "",
}


def _boxes(bounds: Bounds) -> list[list[list[float]]]:
    """Closed counter-clockwise rings, one, or two where the box crosses the antimeridian."""
    return [[[w, s], [e, s], [e, n], [w, n], [w, s]] for w, s, e, n in bounds.parts()]


def _columns() -> list[str]:
    return [name for name in Hit.model_fields if name != "bounds"]
