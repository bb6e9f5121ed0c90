"""What the words of a search box were understood to mean: a Query and, word for word, why."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from geoanchor.image import Layer
from geoanchor.places import Place
from geoanchor.query import Query

ChipKind = Literal["words", "relation", "not", "place", "coordinate", "time", "layer"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
