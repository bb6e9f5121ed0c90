"""What a search box's text says, as it travels: the Query, the chips, and what it says where it seeks nothing."""

from __future__ import annotations

from datetime import datetime

from geoanchor.image import Layer
from geoanchor.phrase import Phrase
from geoanchor.query import Region
from retrieval.phrases import Reading


class Understood(Phrase):
    """A Phrase, and each thing that it says by itself, to be put together with what else is asked.

    Attributes:
        words, unwanted: texts. point: (lng, lat) that is sought. relations: whether "A by B" may be read in the words.
        region, layer, since, until: filters.
    """

    words: str = ""
    unwanted: tuple[str, ...] = ()
    point: tuple[float, float] | None = None
    region: Region | None = None
    layer: Layer | None = None
    since: datetime | None = None
    until: datetime | None = None
    relations: bool = True

    @classmethod
    def of(cls, text: str, reading: Reading) -> Understood:
        """From what an index read in a text."""
        return cls(
            text=text, query=reading.query(), chips=tuple(reading.chips), words=reading.words,
            unwanted=tuple(reading.unwanted), point=reading.point, region=reading.region, layer=reading.layer,
            since=reading.since, until=reading.until, relations=reading.relations,
        )  # fmt: skip
