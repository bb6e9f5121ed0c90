"""The other side of a map or an aerial picture: rows of the other layer, by the structure that both show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoanchor.gaps import Gaps
from geoanchor.image import Layer, Pixels
from geoanchor.protocols import RowIds, RowVectors, Vectors
from geoanchor.query import ImagePart, LikePart
from geoanchor.structure import informative
from retrieval.alignment import Alignment, align, told
from retrieval.index.flat import best_first, top
from retrieval.matching import RowMatcher
from retrieval.scales import Usual, told_scale, usual_of
from retrieval.serving import Serving

COARSE = "structure"
"""The space that tells which rows are worth comparing cell by cell."""
OTHER: Mapping[Layer, Layer] = {"map": "aerial", "aerial": "map"}
_LOOKED_AT = 2000
"""Rows compared at every shift on a grid half as fine: the best of the coarse vectors."""
COMPARED = 128
"""Those of them that are compared cell by cell."""
_ALIGNED = 10
"""Those of them whose pictures themselves are compared."""
_SPREAD = 0.025
"""Of the likeness of pictures, what counts as much as a standard deviation of that of codes."""
_AT_ONCE = 8192
USUAL_ROWS = 64
"""Rows, evenly spread, whose likeness says what is usual for a query."""
_JUDGED = 256
"""Hits judged at once: a judgement holds the classes of every cell."""
_RESCALED_ODDS = 0.2
"""By which the odds of a hit are lower at another scale: one of five that are tried."""
Scores = NDArray[np.float64]


class _Likeness(NamedTuple):
    """Of n rows: above (n,), standard deviations above the usual at the scale that suits each best; scale (n,), number
    of the one that is told; at that one raw (n,), by the matcher, and offsets (n, 2)."""

    above: Scores
    raw: Vectors
    offsets: Vectors
    scale: NDArray[np.int64]


@dataclass(frozen=True)
class CounterpartTerm:
    """Likeness of structure between a picture and rows of the other layer, in standard deviations above the usual.

    Rows of the picture's own layer count as usual, 0; so do those that coarser looks rule out.

    Attributes:
        layer: of the picture. vectors: of the picture by space, (s, d) each, one row a scale; those of the matcher.
        part: the picture in the query; its weight is that of the likeness.
        scales: (s,), sides of the picture's ground by those of a row's that are tried.
        hidden: (s, cells, cells), of which cells the picture says nothing at each scale; None for none.
        pixels: (h, w, 3) uint8 of the picture; None for a row of the index that keeps none.
    """

    serving: Serving
    matcher: RowMatcher
    layer: Layer
    vectors: Mapping[str, RowVectors]
    part: ImagePart | LikePart
    scales: tuple[float, ...] = (1.0,)
    hidden: Gaps | None = None
    pixels: Pixels | None = None
    _aligned: dict[int, Alignment | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    _likely_same: dict[int, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def scores(self, rows: RowIds) -> Scores:
        """Scores (n,) of rows (n,) sorted positions; those of the best ten are dealt anew among them."""
        found = np.zeros(len(rows))
        candidates = np.flatnonzero(np.isin(rows, self._comparable))
        if len(candidates) > _LOOKED_AT:
            candidates = candidates[np.isin(rows[candidates], self._likely(rows[candidates]))]
        if len(candidates):
            above = np.maximum(self._likeness(rows[candidates], COMPARED).above, 0)
            found[candidates] = self.part.weight * self._dealt(rows[candidates], above)
        return found

    def why(self, rows: RowIds) -> list[dict[str, Any]]:
        """Likeness and the shift of the map, as shares of the side, of rows of the other layer; and the picture's scale
        where that is not theirs."""
        reasons: list[dict[str, Any]] = [{} for _ in rows]
        there = np.flatnonzero(np.isin(rows, self._comparable))
        if len(there):
            lying, found = self._alignments(rows[there[:_ALIGNED]]), self._likeness(rows[there])
            columns = (there, rows[there], found.raw, found.offsets, found.scale)
            for at, row, score, offset, scale in zip(*(column.tolist() for column in columns), strict=True):
                seen = lying.get(row)
                lies = told(seen.offset, seen.scale) if seen else told(offset, self.scales[scale])
                reasons[at] = {"structure": round(score, 4)} | lies
        return reasons

    def probabilities(self, rows: RowIds) -> Scores:
        """How likely rows (n,) show the same ground, 0..1, by the matcher; NaN for those not of the other layer, and
        where the map says too little to tell."""
        unseen = np.array([row for row in rows.tolist() if row not in self._likely_same], np.int64)
        self._likely_same.update(dict.fromkeys(unseen.tolist(), np.nan))
        there = unseen[np.isin(unseen, self._comparable)]
        for start in range(0, len(there), _JUDGED):
            some = there[start : start + _JUDGED]
            self._likely_same.update(zip(some.tolist(), self._same_ground(some).tolist(), strict=True))
        return np.array([self._likely_same[row] for row in rows.tolist()])

    def _same_ground(self, rows: RowIds) -> Scores:
        """Probabilities (n,) of comparable rows, NaN where the map says too little."""
        found = self._likeness(rows)
        ours = {name: vectors[found.scale] for name, vectors in self._ours.items()}
        sides = ours, self.matcher.vectors(rows)
        maps, aerials = sides if self.layer == "map" else sides[::-1]
        judged = self.matcher.matcher.judge(maps, aerials, gaps=self._gaps(rows, found))
        odds = np.where(np.array(self.scales)[found.scale] == 1, 1.0, _RESCALED_ODDS) * judged.probability
        same = odds / (odds + 1 - judged.probability)
        return np.where(informative(judged.shares), same, np.nan)

    def _dealt(self, rows: RowIds, above: Scores) -> Scores:
        """Scores (n,) of rows, those of the best few dealt anew, since pictures tell better which of them is first."""
        near = best_first(above, np.arange(len(rows)), _ALIGNED)[1]
        lying = self._alignments(rows[near])
        near = near[[row in lying for row in rows[near].tolist()]]
        # A first row that lies at its own scale is right more often than what pictures alone would put before it.
        if not len(near) or lying[int(rows[near[0]])].scale == 1:
            return above
        both = above[near] + np.array([lying[row].likeness for row in rows[near].tolist()]) / _SPREAD
        dealt = above.copy()
        dealt[near[np.argsort(-both, kind="stable")]] = above[near]
        return dealt

    def _alignments(self, rows: RowIds) -> Mapping[int, Alignment]:
        """How the picture lies on those of some rows that have pictures, by row; {} where pictures tell nothing."""
        registrar = self.matcher.matcher.registrar
        if self.pixels is None or registrar is None:
            return {}
        unseen = np.array([row for row in rows.tolist() if row not in self._aligned], np.int64)
        pictures = self.matcher.pictures(unseen)
        found = align(self.pixels, self.layer, [*pictures.values()], registrar)
        self._aligned.update(dict.fromkeys(unseen.tolist()) | dict(zip(pictures, found, strict=True)))
        return {row: lies for row in rows.tolist() if (lies := self._aligned[row])}

    @cached_property
    def _comparable(self) -> RowIds:
        return self.matcher.comparable(self.serving.layers[OTHER[self.layer]])

    @cached_property
    def _usual(self) -> Usual:
        return usual_of(self._alike(self._comparable[:: max(1, len(self._comparable) // USUAL_ROWS)])[0])

    def _likely(self, rows: RowIds) -> RowIds:
        """Those `_LOOKED_AT` of some rows that have most in common with the picture by coarse vectors, lay it off or
        not."""
        vectors = self.serving.exact(COARSE).vectors
        each = ({name: ours[[row]] for name, ours in self._ours.items()} for row in range(len(self.scales)))
        probes = np.concatenate([self.matcher.matcher.probes(self.layer, ours) for ours in each])
        # All at once they are sooner compared with every row than looked up one by one in an approximate index.
        parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
        most = np.concatenate([(vectors[part] @ probes.T).max(axis=1) for part in parts])
        return rows[top(most, _LOOKED_AT)]

    def _likeness(self, rows: RowIds, compared: int | None = None) -> _Likeness:
        """Of rows (n,)."""
        raw, offsets = self._alike(rows, compared)
        above, scale = told_scale(raw, self._usual, self.scales)
        for at, row in enumerate(rows.tolist() if self._aligned else ()):
            if lies := self._aligned.get(row):
                scale[at] = np.abs(np.array(self.scales) - lies.scale).argmin()
        column = np.arange(len(rows))
        return _Likeness(above, raw[scale, column], offsets[scale, column], scale)

    def _alike(self, rows: RowIds, compared: int | None = None) -> tuple[Vectors, Vectors]:
        """Likeness (s, n) of rows at each scale, and offsets (s, n, 2)."""
        rank, theirs = self.matcher.matcher.rank, self.matcher.vectors(rows)
        hidden = None if self.hidden is None else {self.layer: self.hidden}
        if self.layer == "map":
            return rank(self._ours, theirs, compared=compared, hidden=hidden)
        scores, offsets = rank(theirs, self._ours, compared=compared, hidden=hidden)
        return scores.T, offsets.swapaxes(0, 1)

    def _gaps(self, rows: RowIds, found: _Likeness) -> Gaps | None:
        """Where (n, cells, cells) aerial pictures say nothing of the ground of the map beside them."""
        own = None if self.hidden is None else self.hidden[found.scale]
        if self.layer == "aerial" or own is None:
            return self.matcher.gaps(rows) if self.layer == "map" else own
        steps = np.rint(np.nan_to_num(found.offsets) * own.shape[1]).astype(int)
        beyond = np.stack([_lying(gap, *step) for gap, step in zip(own, steps.tolist(), strict=True)])
        holes = self.matcher.gaps(rows)
        return beyond if holes is None else beyond | holes

    @property
    def _ours(self) -> Mapping[str, RowVectors]:
        """The picture's vectors that the matcher compares."""
        return {name: self.vectors[name] for name in self.matcher.matcher.spaces}


def _lying(gap: NDArray[np.bool_], right: int, down: int) -> NDArray[np.bool_]:
    """Cells (cells, cells) of a picture that a map beside it does not show, by the map's own gap, if it lies so many
    cells too far east and south: what lies beyond its frame, and its gap further west and north."""
    cells, rim = len(gap), max(abs(right), abs(down))
    around = np.pad(gap, rim, constant_values=True)
    return around[rim + down : rim + down + cells, rim + right : rim + right + cells]
