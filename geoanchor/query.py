"""What is asked and what comes back: Query, Region, Hit; one JSON for Python, command line, REST and UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from geoanchor.image import Layer
from geoanchor.tiling import Bounds, cell_name


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", allow_inf_nan=False
    )


def _in_range(bounds: Bounds) -> Bounds:
    if not (-180 <= bounds.west <= 180 and -180 <= bounds.east <= 180):
        raise ValueError("west and east must be -180..180 degrees")
    if not (-90 <= bounds.south <= bounds.north <= 90):
        raise ValueError("south and north must be -90..90 degrees, south not above north")
    return bounds


class BoundsRegion(_Frozen):
    """A box in degrees, edges included; west > east crosses the antimeridian."""

    kind: Literal["bounds"] = "bounds"
    bounds: Annotated[Bounds, AfterValidator(_in_range)]


class PolygonRegion(_Frozen):
    """A GeoJSON Polygon or MultiPolygon in degrees, holes respected.

    An edge of over 180 degrees of longitude is read as crossing the antimeridian (RFC 7946, section 3.1.9, says to
    split such rings; unsplit ones are accepted all the same).
    """

    kind: Literal["polygon"] = "polygon"
    geometry: dict[str, Any]


class RadiusRegion(_Frozen):
    """All points within `radius_m` metres (great circle) of (lng, lat)."""

    kind: Literal["radius"] = "radius"
    lng: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    radius_m: float = Field(ge=0)


class CellsRegion(_Frozen):
    """H3 cells by name, of any resolution; a row belongs when its centre lies in one of them."""

    kind: Literal["cells"] = "cells"
    cells: tuple[str, ...]


Region = Annotated[BoundsRegion | PolygonRegion | RadiusRegion | CellsRegion, Field(discriminator="kind")]
"""Where to search. A row lies in a region when its centre point does; a row without position lies in none."""

LONGEST_PLACE = 20_000
"""Characters of a region that is part of an address."""

NEGATIVE_WEIGHT = -0.5
"""Weight of unwanted words: strong enough to move what is unwanted down, weak enough not to outshout the wish."""


Weight = Annotated[float, Field(ge=-1000, le=1000)]
"""How much a part counts; below 0: the less like it, the better."""


class TextPart(_Frozen):
    """Words. Negative weight: unlike these words."""

    kind: Literal["text"] = "text"
    text: str = Field(min_length=1, max_length=2000)
    weight: Weight = 1.0


class ImagePart(_Frozen):
    """A picture as file bytes (JPEG, PNG, WebP, TIFF; base64 in JSON), read as aerial, map or ground photo."""

    kind: Literal["image"] = "image"
    layer: Layer
    data: bytes = Field(min_length=1)
    weight: Weight = 1.0


def picture_called(layer: Layer) -> str:
    """What a picture of a query is called in a message."""
    return f"the {layer} picture of the query"


class PointPart(_Frozen):
    """A coordinate: near this place."""

    kind: Literal["point"] = "point"
    lng: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    weight: Weight = 1.0


class LikePart(_Frozen):
    """More like a row of the index, by id, or like one of its segments, by number. Negative weight: less like it."""

    kind: Literal["like"] = "like"
    id: str
    segment: int | None = Field(default=None, ge=0)
    weight: Weight = 1.0


Part = Annotated[TextPart | ImagePart | PointPart | LikePart, Field(discriminator="kind")]


class Query(_Frozen):
    """One question to an index.

    Attributes:
        parts: what is sought, with weights; at least one must have a weight above 0.
        region, layer, since, until: filters, applied before the search; `since` and `until` keep rows whose acquisition
            time is known and lies between them, both included.
        k: hits on a page; offset: how many of the best to pass over first.
        spaces: names of the embedding spaces to ask; empty leaves the choice to the planner.
        relations: read "A by B" in the text and score the two things and their distance apart.
        tags: rows whose map tags say what the text names come first.
        suppress_m: of hits nearer to each other than this many metres only the best is kept; 0 keeps all.
        rerank: name of a reranker, or None.
        min_probability: hits that are less likely to be right than this are left out of the page, and counted; 0 hides
            none.
    """

    parts: tuple[Part, ...] = Field(min_length=1)
    region: Region | None = None
    layer: Layer | None = None
    since: datetime | None = None
    until: datetime | None = None
    k: int = Field(default=10, ge=1, le=1_000_000)
    offset: int = Field(default=0, ge=0)
    spaces: tuple[str, ...] = ()
    relations: bool = True
    tags: bool = True
    suppress_m: float = Field(default=0.0, ge=0)
    rerank: str | None = None
    min_probability: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _has_a_wish(self) -> Query:
        if not any(part.weight > 0 for part in self.parts):
            raise ValueError("a query needs at least one part with a weight above 0")
        return self


class RowFacts(_Frozen):
    """What is known of one row.

    Attributes:
        id: the row's own, unique in its index.
        tile: (z, x, y) or None; bounds: degrees or None; lng, lat: centre or None; cell: H3 name or None.
    """

    id: str
    layer: Layer
    tile: tuple[int, int, int] | None = None
    bounds: Bounds | None = None
    lng: float | None = None
    lat: float | None = None
    cell: str | None = None
    source: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    gsd_m: float | None = None
    acquired: datetime | None = None
    attribution: str = ""


class Hit(RowFacts):
    """One result: a row, and why it is one.

    Attributes:
        rank: 1 is the best of the whole answer, not of the page; score: higher is better, always.
        why: parts of the score and what explains it, e.g. {"semantic": 0.31, "relation": {...}}; "probability" 0..1 is
            how likely the hit is right, where that can be told.
    """

    rank: int
    score: float
    why: dict[str, Any] = Field(default_factory=dict)


Verdict = Literal["found", "nothing"]
"""Whether the index seems to hold what was asked."""


class Answer(_Frozen):
    """A page of hits.

    Attributes:
        total: rows that passed the filters and can be compared with the query; note: why fewer than k hits came back.
        verdict: "nothing" when even the best hit is more likely wrong than right.
        nearest: the best hits all the same, where the verdict is "nothing": the nearest misses.
        hidden: hits left out of the page; hidden_why: how many for which reason: "improbable" (below the query's
            `min_probability`), "suppressed" (within its `suppress_m` of a better one).
    """

    hits: tuple[Hit, ...]
    total: int
    note: str = ""
    verdict: Verdict = "found"
    nearest: tuple[Hit, ...] = ()
    hidden: int = 0
    hidden_why: dict[str, int] = Field(default_factory=dict)

    @property
    def taken(self) -> int:
        """Rows of the ranking that the page stands for: its hits, and those left out of it as improbable."""
        return len(self.hits) + self.hidden_why.get("improbable", 0)


def row_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `RowFacts` from the columns that the store of record keeps of a row."""
    address = row["z"], row["x"], row["y"]
    corners = row["west"], row["south"], row["east"], row["north"]
    return {
        "id": row["id"],
        "layer": row["layer"],
        "tile": None if None in address else address,
        "bounds": None if None in corners else Bounds(*corners),
        "lng": row["lng"],
        "lat": row["lat"],
        "cell": cell_name(row["cell"]) if row["cell"] else None,  # 0 where it has no position
        "source": row["source"] or "",
        "caption": row["caption"] or "",
        "tags": tuple(row["tags"] or ()),
        "gsd_m": row["gsd_m"],
        "acquired": row["acquired"],
        "attribution": row["attribution"] or "",
    }
