"""The named places of an index: found by name or by its beginning, whatever the case and the accents."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Set
from functools import cached_property
from typing import Any

import pyarrow as pa

from geoanchor.places import SETTLEMENTS, Place, fold
from geoanchor.tiling import Bounds
from retrieval.serving import Serving

_LAST = "\U0010ffff"
_SHORTEST_START = 4
"""Letters from which the first words of a town's name will do for it."""
_EVERYDAY = frozenset({
    "airport", "area", "beach", "bridge", "building", "center", "centre", "church", "city", "coast", "farm", "field",
    "forest", "harbor", "harbour", "highway", "house", "housing", "industry", "island", "lake", "market", "middle",
    "motorway", "mountain", "park", "port", "railway", "river", "road", "school", "sea", "square", "stadium", "station",
    "street", "town", "village", "water", "wood",
})  # fmt: skip
"""Words that mean the thing, not a place of that name, unless written with a capital."""


class Gazetteer:
    """Names and where they lie.

    Args:
        names: rows of `geoanchor.places.Name` in order of their keys, None for no names at all.
        words: what things of the index are called, folded.
    """

    def __init__(self, names: pa.RecordBatch | None = None, words: Set[str] = frozenset()) -> None:
        self._names = names
        self._words = words
        self._keys: list[str] = [] if names is None else names.column("key").to_pylist()

    @classmethod
    def of(cls, serving: Serving) -> Gazetteer:
        """The names that an index was built with."""
        return cls(serving.names, frozenset(fold(tag.partition("=")[2]) for tag in serving.vocabulary))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, name: str) -> Place | None:
        """The most important place of this name.

        The first word of a town's name will do ("Krems" an der Donau), the first two of any ("Port Hercule" de Monaco).
        """
        key = fold(name)
        if not key:
            return None
        exact = self._range(key, key + "\0")
        if exact:
            return self._best(exact, 1)[0]
        if len(key) < _SHORTEST_START:
            return None
        longer = self._range(key + " ", key + " " + _LAST)
        rows = [row for row in longer if " " in key or self._kinds[row] in SETTLEMENTS]
        return self._best(rows, 1)[0] if rows else None

    def common(self, name: str) -> bool:
        """Whether a name is an everyday word, or one that things of this index are called by: "park", "school"."""
        key = fold(name)
        return key in _EVERYDAY or not {key, key.removesuffix("s")}.isdisjoint(self._words)

    def starting(self, prefix: str, k: int) -> tuple[Place, ...]:
        """The k most important places that have a name beginning so, then those with a later word beginning so."""
        key = fold(prefix)
        if not key:
            return ()
        found = self._best(self._range(key, key + _LAST), k)
        if len(found) < k:
            inner = f" {key}"
            found += self._best((row for row, name in enumerate(self._keys) if inner in name), k)
        return tuple(dict.fromkeys(found))[:k]

    def important(self, k: int) -> tuple[Place, ...]:
        """The k most important places."""
        return tuple(self._best(range(len(self)), k))

    def _range(self, first: str, beyond: str) -> range:
        return range(bisect_left(self._keys, first), bisect_left(self._keys, beyond))

    def _best(self, rows: Iterable[int], k: int) -> list[Place]:
        """The k most important of some rows: by kind, then the shorter name, then the larger place."""
        ordered = sorted(rows, key=lambda row: (self._ranks[row], len(self._keys[row]), -self._radii[row], row))
        if self._names is None or not ordered:
            return []
        # A place may stand under several of its names.
        taken = self._names.take(pa.array(ordered[: 4 * k], pa.int64())).to_pylist()
        return list(dict.fromkeys(map(_place, taken)))[:k]

    @cached_property
    def _kinds(self) -> list[str]:
        return self._column("kind")

    @cached_property
    def _ranks(self) -> list[int]:
        return self._column("rank")

    @cached_property
    def _radii(self) -> list[float]:
        return self._column("radius_m")

    def _column(self, name: str) -> list[Any]:
        return [] if self._names is None else list(self._names.column(name).to_pylist())


def _place(row: dict[str, Any]) -> Place:
    bounds = Bounds(*(row[side] for side in ("west", "south", "east", "north")))
    return Place(bounds=bounds, **{name: row[name] for name in ("name", "kind", "lng", "lat", "radius_m")})
