"""Every pair of a region judged once, in chunks, and what that says of the region as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import Registration
from geoanchor.protocols import Judgement, RowIds, Vectors
from retrieval.causes import QUIET_NATS, differences, unmapped_mismatch
from retrieval.matching import RowMatcher
from retrieval.pairs import NO_MAP, Pairs
from retrieval.registration import Metres, gains, offsets_m, registration, strays

MAX_OFFSET = 0.1
"""How far a map may lie off, as a share of a tile's side."""
CHUNK = 256
"""Pairs judged at once; the grids of 256 take some 50 MB."""
_EXPLAINED = 0.25
"""Share of what a map says that its own offset must bring for the tile to be called shifted."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What is known of n pairs after all were judged.

    Attributes:
        mismatch: (n,) 0..1. content: (n,) nats a cell. offset: (n, 2) share of the side, too far east and south.
        sides_m: (n, 2) width and height of the pictures. moved: (n,) the tile's own shift explains its mismatch.
        common: how the whole map lies, None where too few pairs tell.
    """

    pairs: Pairs
    mismatch: Vectors
    content: Vectors
    offset: Vectors
    sides_m: Metres
    moved: NDArray[np.bool_]
    common: Registration | None = None

    @property
    def informative(self) -> NDArray[np.bool_]:
        """Pairs (n,) whose map says something."""
        return np.asarray(self.content >= QUIET_NATS)

    @property
    def offset_m(self) -> Metres:
        """Offsets (n, 2) in metres, too far east and north."""
        return offsets_m(self.offset, self.sides_m)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Pairs (n,) of which something can be said: the map says something, or there is none at all."""
        return np.asarray(self.informative | (self.pairs.maps == NO_MAP))

    def percentile(self) -> NDArray[np.float64]:
        """Share (n,) of the known pairs that are no worse, 0..100."""
        ranked = np.sort(self.mismatch[self.known])
        return 100 * np.searchsorted(ranked, self.mismatch, side="right") / max(len(ranked), 1)


def survey_pairs(
    matcher: RowMatcher,
    pairs: Pairs,
    sides_m: Metres,
    *,
    max_offset: float = MAX_OFFSET,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Survey:
    """Judge all pairs.

    Args:
        sides_m: (n, 2) width and height of the pairs' pictures. chunk: pairs judged at once; changes no result.
    """
    kept: list[tuple[Vectors, Vectors, Vectors]] = []
    for start in range(0, len(pairs), chunk):
        some = pairs.take(np.arange(start, min(start + chunk, len(pairs))))
        judged = matcher.judge(some, max_offset)
        kept.append((mismatch_of(judged), judged.content, judged.offset))
        if progress is not None:
            progress(start + len(some), len(pairs))
    mismatch, content, offset = (np.concatenate(column) for column in zip(*kept, strict=True))
    trusted = np.flatnonzero((content >= QUIET_NATS) & (mismatch < 0.5))
    common = registration(offsets_m(offset, sides_m), sides_m, trusted)
    survey = Survey(pairs, mismatch, content, offset, sides_m, np.zeros(len(pairs), bool), common)
    return _with_strays(matcher, survey, max_offset, chunk)


def expected_offsets(survey: Survey, at: RowIds) -> Vectors:
    """Offsets (n, 2) that the region's registration lets one expect of some pairs, in shares of the side."""
    common = survey.common
    if common is None or not common.shifted:
        return np.zeros((len(at), 2), np.float32)
    return np.asarray((common.east_m, -common.north_m) / survey.sides_m[at], np.float32)


def _with_strays(matcher: RowMatcher, survey: Survey, max_offset: float, chunk: int) -> Survey:
    """Tiles that are shifted by themselves: their mismatch is what the shift costs them of what they say."""
    stray = np.flatnonzero(survey.informative & strays(survey.offset_m, survey.sides_m, survey.common))
    mismatch, moved = survey.mismatch.copy(), survey.moved.copy()
    for start in range(0, len(stray), chunk):
        at = stray[start : start + chunk]
        judged = matcher.judge(survey.pairs.take(at), max_offset)
        cost = gains(judged, expected_offsets(survey, at)) / survey.content[at]
        explained = (cost >= _EXPLAINED) & (survey.mismatch[at] < 0.5)
        moved[at[explained]] = True
        mismatch[at[explained]] = np.clip(cost[explained], 0, 1)
    return replace(survey, mismatch=mismatch, moved=moved)


def mismatch_of(judged: Judgement) -> Vectors:
    """1 minus the probability (n,); where the map says nothing, what the picture shows all the same."""
    mismatch = 1 - judged.probability
    quiet = np.flatnonzero(judged.content < QUIET_NATS)
    if len(quiet):
        mismatch[quiet] = unmapped_mismatch(differences(judged_at(judged, quiet)))
    return mismatch


def judged_at(judged: Judgement, at: RowIds) -> Judgement:
    """Some pairs of a judgement."""
    return Judgement(
        judged.probability[at], judged.offset[at], judged.content[at], judged.evidence[at], judged.shares[at],
        judged.beliefs[at], {name: part[at] for name, part in judged.parts.items()},
    )  # fmt: skip
