"""Rows of an index as a matcher wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UnsupportedModality
from geoanchor.gaps import NOTABLE, Gaps, blank_pixels, gap_pixels, in_cells
from geoanchor.image import PAPER, Pixels
from geoanchor.picture import kept_rgb
from geoanchor.protocols import Encoder, Judgement, Matcher, RowIds, RowVectors, Vectors
from retrieval.pairs import NO_MAP, Pairs
from retrieval.serving import Serving

_SIDE_PX = 256
Pictures = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Ids -> encoded pictures by id; those without one are left out."""


class RowMatcher:
    """Judges pairs of rows of one index.

    Args:
        serving: the index. encoder: the one that it was built with. pictures: stored pictures by id, to see where they
            hold no data; None takes them as whole.
    Raises:
        UnsupportedModality: the model has no matcher, or the index lacks what it needs.
        SpaceMismatch: the index was built with another model.
    """

    def __init__(self, serving: Serving, encoder: Encoder, pictures: Pictures | None = None) -> None:
        spaces = serving.manifest.spaces
        # Of another model than the index's that is the first thing to be said.
        for name in encoder.matcher.spaces if encoder.matcher else ():
            if name in spaces:
                spaces[name].require(encoder.spaces[name], where=str(serving.folder))
        if encoder.matcher is None or not encoder.matcher.cells:
            lacks = "cannot say where the two differ" if encoder.matcher else "cannot compare a map with a picture"
            raise UnsupportedModality(f"model {encoder.name!r} {lacks}; use one with a structure decoder, like mini")
        self.matcher: Matcher = encoder.matcher
        self._serving, self._encoder, self._pictures = serving, encoder, pictures
        if missing := [name for name in self.matcher.spaces if name not in spaces]:
            raise UnsupportedModality(
                f"{serving.folder}: holds no space {missing[0]!r}, by which maps are compared; build the index again"
            )
        self._gaps: dict[int, NDArray[np.uint8]] = {}  # eight cells a byte: a region may have many

    def comparable(self, rows: RowIds) -> RowIds:
        """Those of some sorted rows that have every vector the matcher needs."""
        for name in self.matcher.spaces:
            present = self._serving.present(name)
            rows = rows if present is None else np.intersect1d(rows, present, assume_unique=True)
        return rows

    def judge(self, pairs: Pairs, max_offset: float, expected: Vectors | None = None) -> Judgement:
        """Judge pairs of rows; a pair without a map is compared with an empty one.

        Args:
            expected: (n, 2) offsets at which the maps are known to lie; see `geoanchor.protocols.Matcher`.
        """
        maps = self.vectors(np.maximum(pairs.maps, 0))
        bare = pairs.maps == NO_MAP
        if bare.any():
            for name, vectors in maps.items():
                vectors[bare] = self._empty_map[name]
        return self.matcher.judge(maps, self.vectors(pairs.aerials), max_offset, expected, self._pair_gaps(pairs))

    def judge_picture(self, pixels: Pixels, aerials: RowIds, max_offset: float) -> Judgement:
        """Judge one map picture against rows."""
        return self.matcher.judge(self._encoded(pixels), self.vectors(aerials), max_offset, None, self.gaps(aerials))

    def _pair_gaps(self, pairs: Pairs) -> Gaps | None:
        """Where (n, cells, cells) the picture or the map of some pairs holds no data, as if both lay true; None where
        none has a gap."""
        ours, theirs = self.gaps(pairs.aerials), self.gaps(np.maximum(pairs.maps, 0))
        if theirs is None:
            return ours
        theirs &= (pairs.maps != NO_MAP)[:, None, None]
        return theirs if ours is None else ours | theirs

    def gaps(self, rows: RowIds) -> Gaps | None:
        """Where (n, cells, cells) pictures of some rows hold no data; None where none has a gap."""
        holed = np.unique(rows[self._serving.nodata[rows] >= NOTABLE])
        if self._pictures is None or not len(holed):
            return None
        unseen = np.array([row for row in holed.tolist() if row not in self._gaps], np.int64)
        pictures = self.pictures(unseen)
        for row in unseen.tolist():
            # What cannot be seen is taken as whole.
            gaps = in_cells(self._gap_pixels(row, pictures[row]), self.matcher.cells) if row in pictures else False
            self._gaps[row] = np.packbits(np.broadcast_to(gaps, 2 * (self.matcher.cells,)))
        side = self.matcher.cells
        found = np.zeros((len(rows), side * side), bool)
        for at, row in enumerate(rows.tolist()):
            if row in self._gaps:
                found[at] = np.unpackbits(self._gaps[row], count=side * side)
        return found.reshape(-1, side, side)

    def _gap_pixels(self, row: int, picture: Pixels) -> Gaps:
        """(h, w) bool, which pixels of a row's picture hold no data."""
        if self._serving.rows.column("layer")[row].as_py() == "map":
            return blank_pixels(picture, float(self._serving.nodata[row]))
        return gap_pixels(picture)

    def pictures(self, rows: RowIds) -> dict[int, Pixels]:
        """Stored pictures (h, w, 3) uint8 of some rows by row; those that have none, or a damaged one, are left out."""
        ids = self._serving.rows.column("id").take(rows).to_pylist()
        stored = self._pictures(ids) if ids and self._pictures else {}
        found = ((row, kept_rgb(stored.get(name), name)) for row, name in zip(rows.tolist(), ids, strict=True))
        return {row: picture for row, picture in found if picture is not None}

    def gap_shares(self, pairs: Pairs) -> NDArray[np.float64]:
        """Share (n,) of some pairs' ground of which picture or map holds no data and is known to, 0..1."""
        gaps = self._pair_gaps(pairs)
        return np.zeros(len(pairs)) if gaps is None else gaps.mean(axis=(1, 2))

    def vectors(self, rows: RowIds) -> dict[str, RowVectors]:
        """Vectors by space of some rows."""
        return {name: self._matrix(name)[rows] for name in self.matcher.spaces}

    def _matrix(self, name: str) -> RowVectors:
        searchable = self._serving.manifest.spaces[name].searchable
        return self._serving.exact(name).vectors if searchable else self._serving.codes(name)

    @cached_property
    def _empty_map(self) -> Mapping[str, RowVectors]:
        return self._encoded(np.full((_SIDE_PX, _SIDE_PX, 3), PAPER, np.uint8))

    def _encoded(self, pixels: Pixels) -> dict[str, RowVectors]:
        made = self._encoder.encode([pixels], "map", "gallery")
        return {name: made[name] for name in self.matcher.spaces}
