"""What plain names mean in map tags: a row tagged leisure=stadium is what "a sports arena" asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from geoanchor.places import fold
from geoanchor.words import stems, tag_phrase
from retrieval.serving import Serving

Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]
_WORD = re.compile(r"[^\W_]+")
_REMEMBERED = 16
"""Texts: two of each question that is worked on at a time."""


class Naming:
    """Which rows of an opened index bear the tags of what a text names.

    Args:
        called: name -> tags, any of which makes a thing so called; "a=b&c=d" needs both.
        tags: that are names by their own words too: leisure=pitch is called "pitch".
    Attributes:
        bearing: text -> rows (g, t) that bear the tags of each thing it names, not to be written to; None where it
            names nothing.
    """

    def __init__(self, serving: Serving, called: Mapping[str, tuple[str, ...]], tags: Iterable[str] = ()) -> None:
        self._serving = serving
        self._meant: dict[tuple[str, ...], tuple[str, ...]] = {}
        for name, meant in chain(called.items(), ((tag_phrase(tag), (tag,)) for tag in tags)):
            if words := _words(name):
                self._meant[words] = (*self._meant.get(words, ()), *meant)
        self._longest = max(map(len, self._meant), default=0)
        # Order, probabilities and verdict of one question ask the same.
        self.bearing = lru_cache(maxsize=_REMEMBERED)(self._bearing)

    def things(self, text: str) -> list[tuple[str, ...]]:
        """The tags of each thing that a text names; of "football pitch" and "pitch" the longer name counts."""
        words, found, at = _words(text), [], 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                if words[at : at + length] in self._meant:
                    found.append(self._meant[words[at : at + length]])
                    at += length - 1
                    break
            at += 1
        return found

    def share(self, text: str) -> Scores | None:
        """(g,) share of the things that a text names whose tags each row bears; None where no row bears any."""
        found = self.bearing(text)
        return found.mean(axis=1) if found is not None and found.any() else None

    def _bearing(self, text: str) -> Mask | None:
        named = self.things(text)
        return np.column_stack([self._any_of(tags) for tags in named]) if named else None

    def _any_of(self, tags: tuple[str, ...]) -> Mask:
        out = np.zeros(len(self._serving), bool)
        for needed in set(tags):
            out |= np.logical_and.reduce([self._rows_with(tag) for tag in needed.split("&")])
        return out

    def _rows_with(self, tag: str) -> Mask:
        out = np.zeros(len(self._serving), bool)
        out[self._serving.bearing(tag)] = True
        return out


def _words(text: str) -> tuple[str, ...]:
    """The telling words of a text in their order, without endings."""
    return tuple(stem for word in _WORD.findall(fold(text)) for stem in stems(word))
