"""The rows of an index as they are, without a query: one, a page, or all in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Layer
from geoanchor.protocols import RowIds
from geoanchor.query import RowFacts, row_fields
from retrieval.cells import CellRows, by_cell
from retrieval.serving import Serving

BATCH = 2_000
"""Rows in memory at once while all are read."""


class Rows:
    """The rows of one version of an index, in serving order: by H3 cell, those without position first."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def one(self, row_id: str) -> RowFacts | None:
        """A row by id."""
        at = self._serving.row_of(row_id)
        return None if at is None else self._read(np.array([at]))[0]

    def page(self, layer: Layer | None, offset: int, limit: int) -> tuple[Sequence[RowFacts], int]:
        """Some rows, and how many there are in all."""
        places = self._places(layer)
        return self._read(places[offset : offset + limit]), len(places)

    def batches(self, layer: Layer | None) -> Iterator[Sequence[RowFacts]]:
        """All rows, a few thousand at a time."""
        places = self._places(layer)
        for start in range(0, len(places), BATCH):
            yield self._read(places[start : start + BATCH])

    def spread(self, count: int) -> Sequence[RowFacts]:
        """Some rows from all over the index, of its aerial layer where it has one."""
        aerial = self._places("aerial")
        places = aerial if len(aerial) else self._places(None)
        return self._read(places[np.linspace(0, max(len(places) - 1, 0), min(count, len(places)), dtype=int)])

    def coverage(self, layer: Layer | None, resolution: int | None) -> tuple[CellRows, ...]:
        """Rows by H3 cell, fullest first."""
        return by_cell(self._serving.places.cells[self._places(layer)], None, resolution)

    def heat(self, scores: NDArray[np.float64], rows: RowIds, resolution: int | None) -> tuple[CellRows, ...]:
        """Scores (n,) of rows (n,) by H3 cell, best first."""
        return by_cell(self._serving.places.cells[rows], scores, resolution)

    def _places(self, layer: Layer | None) -> RowIds:
        return np.arange(len(self._serving)) if layer is None else self._serving.layers[layer]

    def _read(self, places: RowIds) -> list[RowFacts]:
        return [RowFacts(**row_fields(facts)) for facts in self._serving.facts(places)]
