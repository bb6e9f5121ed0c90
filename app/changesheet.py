"""Changes as text: a table, JSON, GeoJSON, CSV, GeoParquet, MapRoulette tasks. Pure: returns strings and bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.render import box_geometry
from app.streams import cell
from geoanchor.change import SILENT, Cause, Change, ChangeList, Review
from geoanchor.count import counted

if TYPE_CHECKING:
    from rich.table import Table

_RECORD = "\x1e"
"""RFC 7464's record separator, with which each line of MapRoulette's line-by-line format begins."""
_NO_TASK: frozenset[Cause] = SILENT | {"cloud or no data"}
"""Causes that leave a mapper nothing to do."""


def to_json(found: ChangeList) -> str:
    """`{"changes": [...], "pairs": n, "registration": {...}, "heat": [...], ...}`, field for field as in Python."""
    return found.model_dump_json(indent=1)


def to_geojson(found: ChangeList) -> str:
    """A FeatureCollection (RFC 7946, lng lat): the disagreeing part of each place, else its whole tile.

    What is known of the region as a whole lies beside the features, under `registration`, `heat` and `note`.
    """
    whole = found.model_dump(mode="json", exclude={"changes"})
    features = [feature(change) for change in found.changes]
    return json.dumps({"type": "FeatureCollection", "features": features, **whole}, ensure_ascii=False, indent=1)


def to_csv(found: ChangeList) -> str:
    """A line each (RFC 4180), with the decision and its note; what is nested is JSON text, `tile` is "z/x/y".

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow([*_PROPERTIES[:-1], "decision", "note"])
    for change in found.changes:
        facts = feature(change)["properties"]
        review = change.review
        decided = (review.decision, review.note) if review else (None, None)
        writer.writerow([cell(_flat(value)) for value in (*(facts[name] for name in _PROPERTIES[:-1]), *decided)])
    return lines.getvalue()


def to_geoparquet(found: ChangeList) -> bytes:
    """The same places as a GeoParquet file (EPSG:4326); what is nested is JSON text, `tile` is "z/x/y"."""
    import geopandas
    import pandas as pd
    from shapely.geometry import shape

    features = [feature(change) for change in found.changes]
    rows = [{name: _flat(value) for name, value in item["properties"].items()} for item in features]
    frame = pd.DataFrame(rows, columns=list(_PROPERTIES))
    frame["acquired"] = pd.to_datetime(frame["acquired"], utc=True, format="ISO8601")
    shapes = [shape(item["geometry"]) for item in features]
    buffer = io.BytesIO()
    geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326").to_parquet(buffer, index=False)
    return buffer.getvalue()


def to_maproulette(found: ChangeList) -> str:
    """Tasks for a MapRoulette challenge: line by line, each a FeatureCollection after a record separator.

    A task keeps its id from one upload to the next. What leaves a mapper nothing to do (clouds, a place that agrees)
    and what was rejected is left out.
    """
    tasks = (change for change in found.changes if change.cause not in _NO_TASK and not _rejected(change))
    return "".join(
        _RECORD + json.dumps({"type": "FeatureCollection", "features": [_task(change)]}, ensure_ascii=False) + "\n"
        for change in tasks
    )


def to_table(changes: Sequence[Change]) -> Table:
    """A rich table: rank, mismatch, percentile, place, cause and reason, id."""
    table = _empty_table(("#", "mismatch", "percentile", "lat, lng", "cause", "why", "id"))
    for change in changes:
        score, percentile = f"{change.mismatch:.3f}", f"{change.percentile:.0f} %"
        where = f"{change.lat:.5f}, {change.lng:.5f}"
        table.add_row(*_texts(change.rank, score, percentile, where, change.cause, change.reason, change.id))
    return table


def reviews_table(reviews: Sequence[Review]) -> Table:
    """A rich table of decisions."""
    table = _empty_table(("when", "decision", "id", "aerial picture", "note"))
    for review in reviews:
        when = f"{review.time:%Y-%m-%d %H:%M}"
        table.add_row(*_texts(when, review.decision, review.change, review.aerial_id, review.note))
    return table


def headline(found: ChangeList) -> str:
    """What there is to say of the region as a whole, in one line."""
    compared = f"{counted(found.pairs, 'pair', 'pairs')} of map and picture compared"
    bare = f", {found.unmapped} without a map" if found.unmapped else ""
    where = f"; {found.registration.reason if found.registration else 'how the map lies as a whole cannot be told'}"
    return f"{compared}{bare}{where}{f'; {found.note}' if found.note else ''}"


def feature(change: Change) -> dict[str, Any]:
    """A GeoJSON feature: the outline where there is one, else the whole picture's."""
    facts = change.model_dump(mode="json", exclude={"outline", "bounds"})
    facts["tile"] = "/".join(map(str, change.tile)) if change.tile else None
    geometry = change.outline or box_geometry(change.bounds)
    return {"type": "Feature", "id": change.id, "geometry": geometry, "properties": facts}


def _task(change: Change) -> dict[str, Any]:
    """A feature whose properties are plain, as tags of a task are."""
    made = feature(change)
    kept = ("id", "cause", "reason", "mismatch", "tile", "acquired", "attribution", "map_id", "aerial_id")
    facts = made["properties"]
    made["properties"] = {name: facts[name] for name in kept if facts[name] not in (None, "")}
    return made


def _rejected(change: Change) -> bool:
    return change.review is not None and change.review.decision == "reject"


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _empty_table(names: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in names:
        justify: Any = "right" if name in ("#", "mismatch", "percentile") else "left"
        table.add_column(name, justify=justify, no_wrap=name not in ("why", "note", "aerial picture"), overflow="fold")
    return table


def _texts(*values: object) -> list[Any]:
    from rich.text import Text

    return [Text(str(value)) for value in values]


_PROPERTIES = tuple(name for name in Change.model_fields if name not in ("outline", "bounds"))
