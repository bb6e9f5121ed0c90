"""Every pair of a region judged once, in chunks, and what that says of the region as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import MAX_OFFSET, Registration
from geoanchor.protocols import Judgement, RowIds, Vectors
from geoanchor.structure import informative
from retrieval.causes import differences, unmapped_mismatch
from retrieval.matching import RowMatcher
from retrieval.pairs import NO_MAP, Pairs
from retrieval.registration import Metres, expected_offsets, gains, in_step, offsets_m, peaked, registration, strays

CHUNK = 256
"""Pairs judged at once; the grids of 256 take some 50 MB."""
_EXPLAINED = 0.2
"""Share of what speaks for a map that its own offset must bring for the tile to be called shifted: in two towns whose
tiles all lie true the few that seem to stray have up to .12, three real tiles moved by 5 m have .31 to .42."""
_SUITED = 0.15
"""Share of what a map says that the picture must bear out at the tile's own offset."""
_FARTHER = (2.0, 4.0)
"""Times the farthest offset within which a whole map is looked for, where its pairs do not tell how it lies."""
_FARTHEST = 0.5
_ASKED = 512
"""Pairs that are then asked."""

Progress = Callable[[int, int], None]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What is known of n pairs after all were judged.

    Attributes:
        mismatch: (n,) 0..1. informative: (n,) whether the map says enough to be contradicted.
        offset: (n, 2) share of the side, too far east and south. peaked: (n,) whether that was seen from all sides.
        sides_m: (n, 2) width and height of the pictures. frames_m: (n, 2) how far the maps' frames lie east and north
            of those; middles_m: (n, 3) where the pictures lie on the globe. moved: (n,) the tile's own shift explains
            its mismatch.
        common: how the whole map lies, None where too few pairs tell.
    """

    pairs: Pairs
    mismatch: Vectors
    informative: NDArray[np.bool_]
    offset: Vectors
    peaked: NDArray[np.bool_]
    sides_m: Metres
    frames_m: Metres
    middles_m: Metres
    moved: NDArray[np.bool_]
    common: Registration | None = None

    def take(self, at: RowIds) -> Survey:
        """Of some of the pairs, in the order given."""
        return Survey(
            self.pairs.take(at), self.mismatch[at], self.informative[at], self.offset[at], self.peaked[at],
            self.sides_m[at], self.frames_m[at], self.middles_m[at], self.moved[at], self.common,
        )  # fmt: skip

    @property
    def offset_m(self) -> Metres:
        """How far the maps lie too far east and north (n, 2), in metres: by their frames, not by their pixels."""
        return offsets_m(self.offset, self.sides_m) + self.frames_m

    def expected(self, at: RowIds) -> Vectors:
        """Offsets (n, 2) of the pixels that frames and the region's registration let one expect, shares of the side."""
        common = self.common
        lies = (common.east_m, common.north_m) if common and common.shifted else (0.0, 0.0)
        # Where there is no map, none lies off.
        there = (self.pairs.maps[at] != NO_MAP)[:, None]
        return expected_offsets(self.frames_m[at], self.sides_m[at], there * np.array(lies))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Pairs (n,) of which something can be said: the map says something, or there is none at all."""
        return np.asarray(self.informative | (self.pairs.maps == NO_MAP))

    def percentile(self) -> NDArray[np.float64]:
        """Share (n,) of all pairs that are no worse, 0..100."""
        ranked = np.sort(self.mismatch)
        return 100 * np.searchsorted(ranked, self.mismatch, side="right") / max(len(ranked), 1)


def survey_pairs(
    matcher: RowMatcher,
    pairs: Pairs,
    sides_m: Metres,
    frames_m: Metres,
    middles_m: Metres,
    *,
    max_offset: float = MAX_OFFSET,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Survey:
    """Judge all pairs.

    Args:
        sides_m, frames_m, middles_m: see `Survey`. chunk: pairs judged at once; changes no result.
    """
    count = len(pairs)
    none = Survey(
        pairs, np.zeros(count, np.float32), np.zeros(count, bool), np.zeros((count, 2), np.float32),
        np.zeros(count, bool), sides_m, frames_m, middles_m, np.zeros(count, bool),
    )  # fmt: skip
    survey = _judged(matcher, none, max_offset, chunk, progress)
    survey = replace(survey, common=_registration(matcher, survey, max_offset, chunk))
    if survey.common is not None and survey.common.shifted:
        again = (lambda done, total: progress(count + done, count + total)) if progress else None
        survey = _judged(matcher, survey, max_offset, chunk, again)
    return _with_strays(matcher, survey, max_offset, chunk)


def _registration(matcher: RowMatcher, survey: Survey, max_offset: float, chunk: int) -> Registration | None:
    """How the map lies as a whole: as its pairs were judged, or else as some of them tell that are looked at farther
    around; None where that cannot be told, or was not looked for."""
    if not max_offset:
        return None
    common, some = _told(survey), _evenly(np.flatnonzero(survey.informative), _ASKED)
    for farther in _FARTHER:
        if common is not None or not len(some):
            break
        reach = min(farther * max_offset, _FARTHEST)
        common = _told(_judged(matcher, survey.take(some), reach, chunk, None))
    return common


def _told(survey: Survey) -> Registration | None:
    trusted = np.flatnonzero(survey.informative & survey.peaked)
    return registration(survey.offset_m, survey.sides_m, trusted, int(survey.informative.sum()))


def _evenly(places: RowIds, most: int) -> RowIds:
    """At most so many of them, evenly spread."""
    return places[:: max(1, -(-len(places) // most))]


def _judged(matcher: RowMatcher, survey: Survey, max_offset: float, chunk: int, progress: Progress | None) -> Survey:
    """Every pair judged where the region's registration lets one expect its map."""

    def judged_chunk(at: RowIds) -> tuple[Vectors, NDArray[np.bool_], Vectors]:
        pairs = survey.pairs.take(at)
        judged = matcher.judge(pairs, max_offset, survey.expected(at))
        return mismatch_of(judged, matcher.gap_shares(pairs)), informative(judged.shares), judged.offset

    count = len(survey.pairs)
    kept: list[tuple[Vectors, NDArray[np.bool_], Vectors]] = []
    for part in _on_all_cores(judged_chunk, np.arange(count), chunk):
        kept.append(part)
        if progress is not None:
            progress(min(len(kept) * chunk, count), count)
    mismatch, said, offset = (np.concatenate([part[column] for part in kept]) for column in range(3))
    seen = peaked(offset - survey.expected(np.arange(count)), max_offset)
    return replace(survey, mismatch=mismatch, informative=said, offset=offset, peaked=seen)


def _on_all_cores(find: Callable[[RowIds], Found], places: RowIds, chunk: int) -> Iterator[Found]:
    """What is found of each chunk of places, in their order; as many chunks are in memory as there are cores."""
    parts = [places[start : start + chunk] for start in range(0, len(places), chunk)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(find, parts)


def _with_strays(matcher: RowMatcher, survey: Survey, max_offset: float, chunk: int) -> Survey:
    """Tiles that are shifted by themselves, or with their neighbours: their mismatch is at least what the shift costs
    them of all that speaks for them."""

    def cost_of_chunk(at: RowIds) -> tuple[RowIds, Vectors, NDArray[np.bool_]]:
        expected = survey.expected(at)
        judged = matcher.judge(survey.pairs.take(at), max_offset, expected)
        spoken = judged.evidence.mean(axis=(1, 2))
        cost = gains(judged, expected) / np.maximum(spoken, 1e-6)
        # What hardly suits at all may gain a great share of that.
        suited = spoken >= _SUITED * judged.content
        cost = np.where(suited, np.clip(cost, 0, 1), 0)
        return at, np.maximum(cost, _EXPLAINED), (cost >= _EXPLAINED) | shared[at]

    apart = strays(survey.offset_m, survey.sides_m, survey.common)
    stray = np.flatnonzero(survey.informative & apart & survey.peaked)
    shared = np.zeros(len(survey.pairs), bool)
    shared[stray] = in_step(survey.offset_m[stray], survey.sides_m[stray], survey.middles_m[stray])
    mismatch, moved = survey.mismatch.copy(), survey.moved.copy()
    for at, cost, explained in _on_all_cores(cost_of_chunk, stray, chunk):
        moved[at] = explained
        mismatch[at] = np.where(explained, np.maximum(mismatch[at], cost), mismatch[at])
    return replace(survey, mismatch=mismatch, moved=moved)


def mismatch_of(judged: Judgement, gap: NDArray[np.float64]) -> Vectors:
    """1 minus the probability (n,); where the map says nothing, what the picture shows all the same.

    gap: (n,) share of the pictures that holds no data: of half a picture half as much is known.
    """
    mismatch = np.asarray((1 - judged.probability) * (1 - gap), np.float32)
    quiet = np.flatnonzero(~informative(judged.shares))
    if len(quiet):
        mismatch[quiet] = unmapped_mismatch(differences(judged_at(judged, quiet)))
    return mismatch


def judged_at(judged: Judgement, at: RowIds) -> Judgement:
    """Some pairs of a judgement."""
    return Judgement(
        judged.probability[at], judged.offset[at], judged.content[at], judged.evidence[at], judged.shares[at],
        judged.beliefs[at], {name: part[at] for name, part in judged.parts.items()},
    )  # fmt: skip
