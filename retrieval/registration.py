"""How a whole map lies against the imagery, and which tiles depart from that."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geoanchor.change import Registration
from geoanchor.count import rounded
from geoanchor.protocols import Judgement, RowIds, Vectors
from geoanchor.tiling import MEAN_EARTH_RADIUS_M
from retrieval.causes import in_words
from retrieval.pairs import NO_MAP, Pairs
from retrieval.serving import Serving

_FEWEST_PAIRS = 5
"""Fewer say nothing of a region."""
_LEAST_SHIFT = 0.012
"""Share of a tile's side, half a cell of a grid of 40: a smaller shift is not seen."""
_DEPARTURE = 0.03
"""Share of a tile's side by which a tile's own offset must depart from the region's."""
_GATHERED = 0.03
"""Share of a tile's side within which half of the pairs must agree: those of a map that lies off as one keep within
.016, those of one that is turned, or lies farther off than was looked, are anywhere."""
_MOST = 0.5
"""Share of the pairs that must have an offset of their own: where most lie at the edge, the map lies beyond it."""
_NEXT = 1.6
"""Sides between the middles of tiles that touch, be it at a corner, or a little more."""
_OTHERS = 2
"""Neighbours that lie off by the same way: one may be chance."""
_AT_LIMIT = 0.98
"""Share of the farthest offset looked for beyond which the true one may lie farther off: what is told there is no
peak, only the edge of what was looked at."""

_DEGREE_M = math.radians(1) * MEAN_EARTH_RADIUS_M

Metres = NDArray[np.float64]


def sides_m(serving: Serving, rows: RowIds) -> Metres:
    """Width and height (n, 2) in metres of rows' pictures; NaN where they have no bounds."""
    west, south, east, north = serving.edges(rows)
    width = (east - west) % 360.0 * _DEGREE_M * np.cos(np.radians((south + north) / 2))
    return np.stack([width, (north - south) * _DEGREE_M], axis=1)


def frames_m(serving: Serving, pairs: Pairs) -> Metres:
    """How far east and north (n, 2), in metres, the frame of each pair's map lies of its picture's; 0 without a map."""
    (west, south, east, north), theirs = (serving.edges(rows) for rows in (np.maximum(pairs.maps, 0), pairs.aerials))
    # Middles, since frames of one ground may differ in size; the short way round where one is told beyond 180.
    along = ((west + (east - west) % 360 / 2) - (theirs[0] + (theirs[2] - theirs[0]) % 360 / 2) + 180) % 360 - 180
    up = (south + north - theirs[1] - theirs[3]) / 2
    apart = np.stack([along * np.cos(np.radians(theirs[1])), up], axis=1) * _DEGREE_M
    return np.where((pairs.maps == NO_MAP)[:, None], 0.0, np.nan_to_num(apart))


def middles_m(serving: Serving, rows: RowIds) -> Metres:
    """Where the middles of rows' pictures lie on the globe (n, 3), in metres from its own; NaN without bounds."""
    west, south, east, north = serving.edges(rows)
    lng, lat = np.radians(west + (east - west) % 360.0 / 2), np.radians((south + north) / 2)
    return MEAN_EARTH_RADIUS_M * np.stack([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)], axis=1)


def offsets_m(offset: Vectors, sides: Metres) -> Metres:
    """A judgement's offsets (n, 2), too far east and south in shares of the side, as metres too far east and north."""
    return offset * sides * (1.0, -1.0)


def expected_offsets(frames: Metres, sides: Metres, lies: Metres | None = None) -> Vectors:
    """Offsets (n, 2) of the pixels, shares of the side, of maps that lie so many metres too far east and north.

    Args:
        frames: (n, 2) of `frames_m`. sides: (n, 2) of `sides_m`. lies: (n, 2); None for maps that lie true.
    """
    lies = np.zeros_like(frames) if lies is None else lies
    return np.nan_to_num((lies - frames) * (1, -1) / sides).astype(np.float32)


def peaked(departures: Vectors, max_offset: float) -> NDArray[np.bool_]:
    """Pairs (n,) whose offset, so far (n, 2) from what was expected, was seen from all sides; all where none was looked
    for."""
    return np.asarray((np.abs(departures).max(axis=1, initial=0.0) <= _AT_LIMIT * max_offset) | (max_offset == 0))


def registration(metres: Metres, sides: Metres, trusted: RowIds, asked: int) -> Registration | None:
    """The median offset of pairs, None where too few can be trusted or these scatter too far to say.

    Args:
        metres: offsets (n, 2) east and north. sides: (n, 2). trusted: places of pairs whose offset means something, of
            so many that were asked.
    """
    if len(trusted) < max(_FEWEST_PAIRS, _MOST * asked):
        return None
    offsets = metres[trusted]
    east, north = np.median(offsets, axis=0).tolist()
    spread = float(np.median(np.hypot(*(offsets - (east, north)).T)))
    length, side = math.hypot(east, north), float(np.median(sides[trusted]))
    # The median's own error is about 1.25 times the pairs' scatter over the root of their number.
    error = 1.25 * spread / math.sqrt(len(trusted))
    shifted = length >= _LEAST_SHIFT * side and length > 3 * error
    if spread > _GATHERED * side or (not shifted and 3 * error > _DEPARTURE * side):
        return None
    reason = f"the whole map lies {in_words(east, north)}" if shifted else "the map lies where the imagery does"
    return Registration(
        east_m=rounded(east, 2), north_m=rounded(north, 2), spread_m=round(spread, 2), pairs=len(trusted),
        shifted=shifted, reason=reason,
    )  # fmt: skip


def strays(metres: Metres, sides: Metres, common: Registration | None) -> NDArray[np.bool_]:
    """Pairs (n,) whose own offset clearly departs from the region's."""
    expected = (common.east_m, common.north_m) if common and common.shifted else (0.0, 0.0)
    return np.asarray(np.hypot(*((metres - expected) / sides).T) > _DEPARTURE)


def in_step(metres: Metres, sides: Metres, middles: Metres) -> NDArray[np.bool_]:
    """Which of some strays (n,) have two others beside them that lie off by the same way: no chance, but a block that
    was moved.

    Args:
        metres: offsets (n, 2) east and north. sides: (n, 2). middles: (n, 3) of `middles_m`.
    """
    if len(metres) <= _OTHERS:
        return np.zeros(len(metres), bool)
    side = float(np.median(sides))
    beside = KDTree(middles).query_pairs(_NEXT * side, output_type="ndarray")
    alike = np.hypot(*(metres[beside[:, 0]] - metres[beside[:, 1]]).T) <= _DEPARTURE * side
    return np.asarray(np.bincount(beside[alike].ravel(), minlength=len(metres)) >= _OTHERS)


def gains(judged: Judgement, expected: Vectors) -> Vectors:
    """Nats a cell (n,) that each pair's own offset brings over the one expected of it.

    Args:
        expected: (n, 2) offsets in shares of the side, too far east and south.
    """
    cells = judged.shares.shape[1]
    steps = np.rint((expected - judged.offset) * cells).astype(int)
    return np.asarray([_gain(*grids, *step) for *grids, step in zip(judged.shares, judged.beliefs, steps, strict=True)])


def _gain(shares: Vectors, beliefs: Vectors, right: int, down: int) -> float:
    """What the map loses in nats a cell when the picture is moved by whole cells from where it suits it."""
    rows, columns = beliefs.shape[:2]
    if abs(right) >= columns or abs(down) >= rows:
        return 0.0
    here = (slice(max(down, 0), rows + min(down, 0)), slice(max(right, 0), columns + min(right, 0)))
    there = (slice(max(-down, 0), rows + min(-down, 0)), slice(max(-right, 0), columns + min(-right, 0)))
    own, moved = beliefs[here], beliefs[there]
    both = (own.sum(axis=-1) > 0) & (moved.sum(axis=-1) > 0)
    if not both.any():
        return 0.0
    change = np.log(np.maximum(own, 1e-4)) - np.log(np.maximum(moved, 1e-4))
    return float((shares[here] * change).sum(axis=-1)[both].mean())
