"""Vectors of texts asked lately: the next page, another filter or a heat map asks for the same words again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np

from geoanchor.protocols import RowVectors, Vectors

_TEXTS = 1_000


class TextMemory:
    """Encodes texts, each but once as long as it is remembered.

    Args:
        encode: texts -> vectors (n, d) by space. texts: how many are remembered; the longest unasked are forgotten.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Mapping[str, RowVectors]], texts: int = _TEXTS) -> None:
        self._encode = encode
        self._texts = texts
        self._known: OrderedDict[str, Mapping[str, RowVectors]] = OrderedDict()
        self._lock = Lock()

    def vectors(self, texts: Sequence[str], space: str) -> Vectors:
        """(n, d) in a space."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        unknown = [text for text in dict.fromkeys(texts) if text not in found]
        if unknown:
            made = self._encode(unknown)
            # Copies: a row of many would keep all of them.
            found |= {text: {name: rows[i].copy() for name, rows in made.items()} for i, text in enumerate(unknown)}
        self._remember({text: found[text] for text in texts})
        return np.asarray([found[text][space] for text in texts], np.float32)

    def _remember(self, found: Mapping[str, Mapping[str, RowVectors]]) -> None:
        with self._lock:
            for text, vectors in found.items():
                self._known[text] = vectors
                self._known.move_to_end(text)
            while len(self._known) > self._texts:
                self._known.popitem(last=False)
