"""The other side of a map or an aerial picture: rows of the other layer, by the structure that both show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.gaps import Gaps
from geoanchor.image import Layer, Pixels
from geoanchor.picture import read_rgb
from geoanchor.protocols import RowIds, RowVectors, Vectors
from geoanchor.query import Hit, ImagePart, LikePart
from geoanchor.structure import informative
from retrieval.index.flat import top
from retrieval.matching import Pictures, RowMatcher
from retrieval.serving import Serving

COARSE = "structure"
"""The space that tells which rows are worth comparing cell by cell."""
OTHER: Mapping[Layer, Layer] = {"map": "aerial", "aerial": "map"}
_LOOKED_AT = 2000
"""Rows compared at every shift on a grid half as fine: the best of the coarse vectors."""
_COMPARED = 128
"""Those of them that are compared cell by cell."""
_AT_ONCE = 8192
_USUAL = 64
"""Rows, evenly spread, whose likeness says what is usual for a query."""
_JUDGED = 256
"""Hits judged at once: a judgement holds the classes of every cell."""
_ALIGNED = 10
"""Hits whose pictures are compared with the query's."""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class CounterpartTerm:
    """Likeness of structure between a picture and rows of the other layer, in standard deviations above the usual.

    Rows of the picture's own layer count as usual, 0; so do those that coarser looks rule out.

    Attributes:
        layer: of the picture. vectors: of the picture by space, (1, d) each; those of the matcher.
        part: the picture in the query; its weight is that of the likeness.
        gaps: (1, cells, cells), where an aerial picture holds no data; None where it is whole, and of a map.
    """

    serving: Serving
    matcher: RowMatcher
    layer: Layer
    vectors: Mapping[str, RowVectors]
    part: ImagePart | LikePart
    gaps: Gaps | None = None

    def scores(self, rows: RowIds) -> Scores:
        """Scores (n,) of rows (n,) sorted positions."""
        found = np.zeros(len(rows))
        candidates = np.flatnonzero(np.isin(rows, self._comparable))
        if len(candidates) > _LOOKED_AT:
            candidates = candidates[np.isin(rows[candidates], self._likely(rows[candidates]))]
        if len(candidates):
            mean, deviation = self._usual
            above = (self._likeness(rows[candidates], _COMPARED)[0] - mean) / deviation
            found[candidates] = self.part.weight * np.maximum(above, 0)
        return found

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """Likeness and the shift of the map, as shares of the side, of rows of the other layer."""
        reasons: list[dict[str, Any]] = [{} for _ in rows]
        there = np.flatnonzero(np.isin(rows, self._comparable))
        if len(there):
            likeness, offsets = self._likeness(rows[there])
            for at, score, offset in zip(there.tolist(), likeness.tolist(), offsets.tolist(), strict=True):
                reasons[at] = {"structure": round(score, 4)} | _shift(offset)
        return reasons

    def probabilities(self, rows: RowIds) -> Scores:
        """How likely rows (n,) show the same ground, 0..1, by the matcher; NaN for those not of the other layer, and
        where the map says too little to tell."""
        likely = np.full(len(rows), np.nan)
        there = np.flatnonzero(np.isin(rows, self._comparable))
        for start in range(0, len(there), _JUDGED):
            some = there[start : start + _JUDGED]
            sides = self._ours, self.matcher.vectors(rows[some])
            maps, aerials = sides if self.layer == "map" else sides[::-1]
            if self.layer == "map":
                gaps = self.matcher.gaps(rows[some])
            else:
                gaps = None if self.gaps is None else np.repeat(self.gaps, len(some), axis=0)
            judged = self.matcher.matcher.judge(maps, aerials, gaps=gaps)
            likely[some] = np.where(informative(judged.shares), judged.probability, np.nan)
        return likely

    def aligned(self, hits: Sequence[Hit], pixels: Pixels, pictures: Pictures) -> tuple[Hit, ...]:
        """The hits, the shifts of the first few of the other layer told anew from the pictures themselves, or left out
        where those tell none.

        Args:
            pixels: (h, w, 3) uint8 of the query's picture. pictures: ids -> stored pictures by id.
        """
        registrar = self.matcher.matcher.registrar
        near = [hit.id for hit in hits if "offset" in hit.why][:_ALIGNED] if registrar else []
        seen = {name: read_rgb(data, name) for name, data in (pictures(near) if near else {}).items()}
        if registrar is None or not seen:
            return tuple(hits)
        sides = [pixels], list(seen.values())
        maps, aerials = sides if self.layer == "map" else sides[::-1]
        told = dict(zip(seen, registrar.offsets(maps, aerials).tolist(), strict=True))
        return tuple(_lying(hit, told[hit.id]) if hit.id in told else hit for hit in hits)

    @cached_property
    def _comparable(self) -> RowIds:
        return self.matcher.comparable(self.serving.layers[OTHER[self.layer]])

    @cached_property
    def _usual(self) -> tuple[float, float]:
        """Mean and deviation of the likeness of rows anywhere."""
        likeness, _ = self._likeness(self._comparable[:: max(1, len(self._comparable) // _USUAL)])
        # Of a handful of rows the deviation says nothing; it is never less than what noise makes of it.
        return float(np.median(likeness)), max(float(likeness.std()), 0.01)

    def _likely(self, rows: RowIds) -> RowIds:
        """Those `_LOOKED_AT` of some rows that have most in common with the picture by coarse vectors, lay it off or
        not."""
        probes, vectors = self.matcher.matcher.probes(self.layer, self._ours), self.serving.exact(COARSE).vectors
        # All at once they are sooner compared with every row than looked up one by one in an approximate index.
        parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
        most = np.concatenate([(vectors[part] @ probes.T).max(axis=1) for part in parts])
        return rows[top(most, _LOOKED_AT)]

    def _likeness(self, rows: RowIds, compared: int | None = None) -> tuple[Vectors, Vectors]:
        """Likeness (n,) and offsets (n, 2)."""
        rank, theirs = self.matcher.matcher.rank, self.matcher.vectors(rows)
        if self.layer == "map":
            scores, offsets = rank(self._ours, theirs, compared=compared)
            return scores[0], offsets[0]
        scores, offsets = rank(theirs, self._ours, compared=compared)
        return scores[:, 0], offsets[:, 0]

    @property
    def _ours(self) -> Mapping[str, RowVectors]:
        """The picture's vectors that the matcher compares."""
        return {name: self.vectors[name] for name in self.matcher.matcher.spaces}


def _lying(hit: Hit, offset: Sequence[float]) -> Hit:
    why = {name: value for name, value in hit.why.items() if name != "offset"}
    return hit.model_copy(update={"why": why | _shift(offset)})


def _shift(offset: Sequence[float]) -> dict[str, Any]:
    return {} if math.isnan(offset[0]) else {"offset": [round(part, 4) for part in offset]}
