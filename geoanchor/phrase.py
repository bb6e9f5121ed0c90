"""What the words of a search box were understood to mean: a Query and, word for word, why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from geoanchor.image import Layer
from geoanchor.query import Query
from geoanchor.tiling import Bounds

ChipKind = Literal["words", "relation", "not", "place", "coordinate", "time", "layer"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Frozen):
    """A named place of the index.

    Attributes:
        name: as the map writes it; kind: what it is, e.g. "town", "street", "school".
        lng, lat: degrees; bounds: its box in degrees.
        radius_m: how far "near" it reaches when nobody says.
    """

    name: str
    kind: str
    lng: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    bounds: Bounds
    radius_m: Annotated[float, Field(ge=0)]


class Chip(_Frozen):
    """One understood piece of a text.

    Attributes:
        kind: what it does to the query. text: the piece as written, `source[start:end]`. label: what it was taken for.
        start, end: its place in the text, in characters.
        place, layer: what a chip of that kind names. lng, lat, radius_m: of a coordinate.
    """

    kind: ChipKind
    text: str
    label: str
    start: int
    end: int
    place: Place | None = None
    layer: Layer | None = None
    lng: float | None = None
    lat: float | None = None
    radius_m: float | None = None


class Phrase(_Frozen):
    """A text, understood.

    Attributes:
        text: as typed.
        query: what it asks, None when nothing is left to ask.
        chips: pieces in order of the text; taking a chip's characters out of the text takes its wish out of the query.
    """

    text: str
    query: Query | None
    chips: tuple[Chip, ...] = ()
