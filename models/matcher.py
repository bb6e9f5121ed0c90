"""Says whether a map and an aerial picture agree, from their codes and vectors; numpy only (U-CSA section 3.4, dense).

Three calibrated terms: the evidence of the structure, cell by cell, at the shift that suits best; U-CSA's discriminator
and its prototypes on the pair's vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import MAX_OFFSET
from geoanchor.errors import UnsupportedModality
from geoanchor.gaps import Gaps
from geoanchor.image import Layer
from geoanchor.protocols import Judgement, RowVectors, Vectors
from geoanchor.structure import informative
from models.coarse import Projections
from models.codes import CELLS, Codebooks
from models.critic import Critic, Evidence, content, features
from models.fusion import FusionScorer
from models.registrar import StructureRegistrar
from models.registration import (
    MAP_FLOOR,
    PICTURE_FLOOR,
    Spectra,
    best_shift,
    contrast,
    frames,
    moved,
    reach_cells,
    sharpened,
)

CODES = "structure_grid"
"""The space whose codes are compared."""
SEMANTIC = "semantic"
TERMS = ("structure", "discriminator", "prototypes")
_AT_ONCE = 256
"""Pairs judged at a time: their tables stay within some tens of megabytes."""
_LEAST_TOLD = 0.01
"""Of likeness of codes over all shifts; a pair with less tells no shift. Pictures themselves tell more."""
_REFINED = 10
"""Of each map's and picture's best partners the shift is told to a tenth of a cell."""


class StructureMatcher:
    """Judges pairs of one bundle.

    Args:
        books: what codes mean. critic: from evidence to a logit. fusion: on vectors of "semantic", or None.
        calibration: (1 + len(TERMS),) float32: bias and weights of the terms' logistic regression (Platt 1999); weights
            of terms that the bundle has not are left alone.
        registrar: tells offsets from pictures. projections: into the coarse space, for `probes`.
    """

    def __init__(
        self,
        books: Codebooks,
        critic: Critic,
        fusion: FusionScorer | None,
        calibration: Vectors,
        registrar: StructureRegistrar | None = None,
        projections: Projections | None = None,
    ) -> None:
        self.registrar = registrar
        self._projections = projections
        self._books = books
        self._critic = critic
        self._fusion = fusion
        self._calibration = calibration.astype(np.float32)
        # What a code stands for is worked out once for each of the 256, not for every cell.
        self._content = content(books.arrays()["map"], books.prior)
        self._beliefs = books.beliefs(books.arrays()["aerial"])

    @property
    def cells(self) -> int:
        """Side of the grid of codes."""
        return CELLS

    @property
    def spaces(self) -> tuple[str, ...]:
        """The space of codes, and "semantic" where there is a discriminator."""
        return (CODES, SEMANTIC) if self._fusion else (CODES,)

    def judge(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        expected: Vectors | None = None,
        gaps: Gaps | None = None,
    ) -> Judgement:
        """Judge n pairs; see `geoanchor.protocols.Matcher`."""
        count = max(len(maps[CODES]), len(aerials[CODES]))
        maps, aerials = _spread(maps, count), _spread(aerials, count)
        at = np.zeros((count, 2), np.float32) if expected is None else expected
        cuts = (slice(start, start + _AT_ONCE) for start in range(0, count, _AT_ONCE))
        parts = [
            self._judge(_rows(maps, c), _rows(aerials, c), max_offset, at[c], None if gaps is None else gaps[c])
            for c in cuts
        ]
        return _joined(parts) if parts else self._judge(maps, aerials, max_offset, at, None)

    def _judge(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float,
        expected: Vectors,
        gaps: Gaps | None,
    ) -> Judgement:
        evidence, offset = self.evidence(maps[CODES], aerials[CODES], max_offset, expected, gaps)
        terms = {TERMS[0]: self._critic(features(evidence, self._books.prior))}
        if self._fusion:
            judged = self._fusion.scores(aerials[SEMANTIC], maps[SEMANTIC])
            terms |= dict(zip(TERMS[1:], judged, strict=True))
        stacked = np.stack(list(terms.values()), axis=1)
        logits = self._calibration[0] + stacked @ self._calibration[1 : 1 + len(terms)]
        return Judgement(
            probability=np.asarray(1 / (1 + np.exp(-logits)), np.float32),
            offset=offset,
            content=self._content[maps[CODES]].mean(axis=1),
            evidence=evidence.cells * evidence.seen,
            shares=evidence.shares,
            beliefs=evidence.beliefs,
            parts=terms,
        )

    def evidence(
        self,
        maps: NDArray[np.uint8],
        aerials: NDArray[np.uint8],
        max_offset: float,
        expected: Vectors,
        gaps: Gaps | None = None,
    ) -> tuple[Evidence, Vectors]:
        """What n pairs of codes (n, CELLS²) show at their best shift, and that shift (n, 2) as shares of the side.

        max_offset: how far the maps may lie from there.
        expected: (n, 2) shifts, shares of the side, at which the maps are known to lie.
        gaps: (n, CELLS, CELLS) where the pictures hold no data.
        """
        shares, log_odds = self._books.decode(maps, "map"), self._books.decode(aerials, "aerial")
        if gaps is not None:
            log_odds = log_odds * ~gaps[..., None]
        around, lies = reach_cells(max_offset, CELLS), math.ceil(CELLS * np.abs(expected).max(initial=0.0))
        spectra = Spectra(sharpened(shares, MAP_FLOOR), sharpened(log_odds, PICTURE_FLOOR), around + lies)
        rows = np.arange(len(shares))
        # A map that says nothing cannot be said to lie off.
        said = informative(shares)
        whole, alike = best_shift(spectra.likeness(rows, rows), expected * CELLS, np.where(said, around, 0))
        offset = np.asarray(spectra.refined(rows, rows, whole) / CELLS if max_offset else expected, np.float32)
        at_rest, _ = moved(log_odds, np.rint(expected * CELLS).astype(np.int64))
        still = np.einsum("nhwc,nhwc->n", shares, at_rest) / CELLS**2
        codes, seen = moved(aerials.reshape(-1, CELLS, CELLS, 1), whole)
        if gaps is not None:
            seen &= ~moved(gaps[..., None], whole)[0][..., 0]
        log_odds = self._books.decode(codes.reshape(-1, CELLS**2), "aerial") * seen[..., None]
        beliefs = self._beliefs[codes[..., 0]] * seen[..., None]
        length = np.hypot(*(offset - expected).T)
        # The farthest cell looked at lies beyond what was asked, so that a peak is seen from both sides.
        reach = np.where(said, max_offset, 0)[:, None]
        told = np.clip(offset, expected - reach, expected + reach).astype(np.float32)
        return Evidence(shares, log_odds, beliefs, seen, alike, still, length), told

    def rank(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        compared: int | None = None,
        hidden: Mapping[Layer, Gaps] | None = None,
    ) -> tuple[Vectors, Vectors]:
        """Scores (q, g) and offsets (q, g, 2) of every map and picture; see `geoanchor.protocols.Matcher`.

        The score is the likeness at the best shift. With `compared` a grid half as fine tells which pairs those are;
        the others keep its order, below all of them.
        """
        shares, log_odds = self._books.decode(maps[CODES], "map"), self._books.decode(aerials[CODES], "aerial")
        shape = len(shares), len(log_odds)
        seen = _seen(shape, hidden) if hidden else None
        scores, offsets = np.zeros(shape, np.float32), np.zeros((*shape, 2), np.float32)
        rows, columns = (places.ravel() for places in np.indices(shape))
        if compared is not None and compared < max(shape):
            # With a quarter of the cells a grid is half as long.
            scores, offsets = _coarse_scores(
                sharpened(_halved(shares), MAP_FLOOR / 2), sharpened(_halved(log_odds), PICTURE_FLOOR / 2), max_offset,
                seen and (_halved(seen[0]), _halved(seen[1])),
            )  # fmt: skip
            rows, columns = _shortlisted(scores, compared)
        (ours, rows_of), (theirs, columns_of) = (np.unique(places, return_inverse=True) for places in (rows, columns))
        fine, fine_offsets = _fine_scores(
            sharpened(shares[ours], MAP_FLOOR), sharpened(log_odds[theirs], PICTURE_FLOOR), (rows_of, columns_of),
            max_offset, seen and (seen[0][ours], seen[1][theirs]),
        )  # fmt: skip
        if len(fine) < scores.size:
            scores -= scores.max() - fine.min() + 1
        scores[rows, columns], offsets[rows, columns] = fine, fine_offsets
        return scores, np.clip(offsets, -max_offset, max_offset)

    def probes(self, layer: Layer, side: Mapping[str, RowVectors], max_offset: float = MAX_OFFSET) -> Vectors:
        """Coarse vectors (s, d) of one map or picture, were it moved; see `geoanchor.protocols.Matcher`."""
        if self._projections is None:
            raise UnsupportedModality("the model has no coarse vectors of structure; train its structure again")
        grid = sharpened(self._books.decode(side[CODES], layer), MAP_FLOOR if layer == "map" else PICTURE_FLOOR)
        return self._projections.probes(grid, layer, max_offset)


def _seen(shape: tuple[int, int], hidden: Mapping[Layer, Gaps]) -> tuple[Vectors, Vectors]:
    """1 for each cell (n, CELLS, CELLS, 1) of maps and of pictures that shows something, 0 for the others."""
    maps, pictures = (np.zeros((count, CELLS, CELLS), bool) for count in shape)
    maps, pictures = hidden.get("map", maps), hidden.get("aerial", pictures)
    return (~maps[..., None]).astype(np.float32), (~pictures[..., None]).astype(np.float32)


def _coarse_scores(
    maps: Vectors, pictures: Vectors, max_offset: float, seen: tuple[Vectors, Vectors] | None
) -> tuple[Vectors, Vectors]:
    """Greatest likeness (q, g) over whole shifts of a grid, one matrix product a shift, and the shifts (q, g, 2).

    seen: (q, h, w, 1) and (g, h, w, 1), how much of each cell shows something; None for all.
    """
    if seen:
        maps, pictures = maps * seen[0], pictures * seen[1]
    side, reach = maps.shape[1], reach_cells(max_offset, maps.shape[1])
    scores = np.full((len(maps), len(pictures)), -np.inf, np.float32)
    offsets = np.zeros((*scores.shape, 2), np.float32)
    for dx, dy in product(range(-reach, reach + 1), repeat=2):
        both = np.maximum(_together(*seen, (dx, dy)), 1) if seen else (side - abs(dx)) * (side - abs(dy))
        # What both show stands for the whole.
        found = _together(maps, pictures, (dx, dy)) * (side**2 / both)
        better = found > scores
        scores[better], offsets[better] = found[better], (dx / side, dy / side)
    return scores, offsets


def _together(maps: Vectors, pictures: Vectors, shift: tuple[int, int]) -> Vectors:
    """Inner products (q, g) of what lies on one another when the maps are `shift` dx, dy off."""
    ours, theirs = frames(maps.shape[1:3], shift)
    left, right = maps[(slice(None), *ours)], pictures[(slice(None), *theirs)]
    return np.asarray(left.reshape(len(maps), -1) @ right.reshape(len(pictures), -1).T)


def _fine_scores(
    maps: Vectors,
    pictures: Vectors,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    max_offset: float,
    seen: tuple[Vectors, Vectors] | None,
) -> tuple[Vectors, Vectors]:
    """Likeness (p,) and shift (p, 2), shares of the side, of p pairs of rows; no shift, NaN, where they tell none.

    seen: as of `_coarse_scores`.
    """
    shown = None
    if seen:
        maps, pictures = maps * seen[0], pictures * seen[1]
        shown = Spectra(*seen, reach_cells(max_offset, CELLS))
    spectra = Spectra(maps, pictures, reach_cells(max_offset, CELLS))
    scores, offsets = np.zeros(len(pairs[0]), np.float32), np.zeros((len(pairs[0]), 2), np.float32)
    telling = np.zeros(len(scores), bool)
    for start in range(0, len(scores), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows, columns = pairs[0][part], pairs[1][part]
        table = spectra.likeness(rows, columns)
        if shown:
            table *= CELLS**2 / np.maximum(shown.likeness(rows, columns), 1)
        whole, scores[part] = best_shift(table)
        offsets[part], telling[part] = whole / CELLS, contrast(table) >= _LEAST_TOLD
    best = np.flatnonzero(_leads(scores, pairs[0]) | _leads(scores, pairs[1]))
    whole = np.rint(offsets[best] * CELLS).astype(np.int64)
    if max_offset:
        offsets[best] = spectra.refined(pairs[0][best], pairs[1][best], whole) / CELLS
        offsets[~telling] = np.nan
    return scores, offsets


def _leads(scores: Vectors, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs are among the best `_REFINED` of their map, or of their picture."""
    order = np.lexsort((-scores, group))
    sorted_group = group[order]
    starts = np.searchsorted(sorted_group, sorted_group)
    leads = np.zeros(len(scores), bool)
    leads[order] = np.arange(len(scores)) - starts < _REFINED
    return leads


def _shortlisted(scores: Vectors, compared: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (rows, columns) that are among the best of their row or of their column."""
    keep = np.zeros(scores.shape, bool)
    # A few maps are no rivals for a picture: of those it would keep all.
    for axis in (axis for axis in (0, 1) if scores.shape[axis] > compared):
        best = np.argpartition(-scores, compared - 1, axis=axis)
        np.put_along_axis(keep, best.take(range(compared), axis=axis), True, axis=axis)
    rows, columns = np.nonzero(keep)
    return rows, columns


def _halved(grids: Vectors) -> Vectors:
    """(n, h, w, c) -> (n, h / 2, w / 2, c) means."""
    n, height, width, classes = grids.shape
    return np.asarray(grids.reshape(n, height // 2, 2, width // 2, 2, classes).mean(axis=(2, 4)))


def _spread(vectors: Mapping[str, RowVectors], count: int) -> dict[str, RowVectors]:
    """One row stands for all."""
    return {name: np.broadcast_to(rows, (count, rows.shape[1])) for name, rows in vectors.items()}


def _rows(vectors: Mapping[str, RowVectors], some: slice) -> dict[str, RowVectors]:
    return {name: rows[some] for name, rows in vectors.items()}


def _joined(parts: list[Judgement]) -> Judgement:
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("probability", "offset", "content", "evidence", "shares", "beliefs")
    }
    terms = {name: np.concatenate([part.parts[name] for part in parts]) for name in parts[0].parts}
    return Judgement(**arrays, parts=terms)
