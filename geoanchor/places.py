"""Named places: what the gazetteer of an index holds, and how names are compared."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geoanchor.tiling import Bounds

FILE_NAME = "names.arrow"
"""In an index folder: the names of its sources, one row each: the fields of `Name`."""
SETTLEMENTS = ("country", "state", "city", "municipality", "town", "island", "village", "borough", "suburb", "quarter",
               "neighbourhood", "hamlet", "locality")  # fmt: skip
"""Kinds of places where people live, the most important first."""
_NOT_A_LETTER = re.compile(r"[\W_]+")


class Place(BaseModel):
    """A named place of the index.

    Attributes:
        name: as the map writes it; kind: what it is, e.g. "town", "street", "school".
        lng, lat: degrees; bounds: its box in degrees.
        radius_m: how far "near" it reaches when nobody says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    lng: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    bounds: Bounds
    radius_m: Annotated[float, Field(ge=0)]


class Name(Place):
    """One name of a place, as it is kept.

    Attributes:
        key: the name, or another name of the same place, folded; rank: the lower, the more important.
        source: URI of the source that knows it.
    """

    key: str
    rank: int
    source: str


def fold(name: str) -> str:
    """A name without case, accents and punctuation, its words parted by single spaces; "" where nothing is left."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _NOT_A_LETTER.sub(" ", letters).strip()
