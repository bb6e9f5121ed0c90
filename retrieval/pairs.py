"""Which map row and which aerial row show the same ground."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import shapely
from numpy.typing import NDArray

from geoanchor.count import counted
from geoanchor.protocols import RowIds
from retrieval.neighbours import tile_keys
from retrieval.serving import UNDATED, Serving

Boxes = NDArray[np.object_]
SAME_GROUND = 0.9
"""Share of either box that two pictures without a common tile must have in common."""
_NEAR = 8
"""Tiles; a power of two. Where a map has tiles of a picture's zoom no farther away, it ought to have one here."""
NO_MAP = -1
"""In the place of a map row: there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """n pairs of rows, ordered by aerial row, then map row.

    Attributes:
        maps: (n,) positions, `NO_MAP` where an aerial picture has no map. aerials: (n,) positions.
        apart: (m,) sorted positions of aerial rows whose ground is mapped, but by no row that they pair with.
    """

    maps: RowIds
    aerials: RowIds
    apart: RowIds = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.aerials)

    def take(self, at: RowIds) -> Pairs:
        """Some of the pairs, in the order of `at`."""
        return replace(self, maps=self.maps[at], aerials=self.aerials[at])

    def places(self, pair: Pairs) -> RowIds:
        """Where a single pair is, (1,); (0,) where it is not."""
        return np.flatnonzero((self.maps == pair.maps[0]) & (self.aerials == pair.aerials[0]))

    def among(self, rows: RowIds) -> Pairs:
        """Those of some aerial rows."""
        there = np.flatnonzero(np.isin(self.aerials, rows))
        return Pairs(self.maps[there], self.aerials[there], np.intersect1d(self.apart, rows))


def find_pairs(
    serving: Serving, maps: RowIds, aerials: RowIds, *, all_dates: bool = False, unmapped: bool = True
) -> Pairs:
    """Every map row with the aerial row of the same ground.

    Rows of one tile address show the same ground; so do rows whose boxes overlap by `SAME_GROUND` both ways, where one
    of the two lies on no grid. A map row from each source counts, of those with dates the newest.

    Args:
        maps, aerials: sorted positions that may be paired.
        all_dates: pair every map with every aerial picture, not the newest ones alone.
        unmapped: also give aerial rows whose ground no map row shows, with `NO_MAP`.
    """
    tiled, boxed = _by_address(serving, maps, aerials), _by_bounds(serving, maps, aerials)
    pairs = np.unique(np.concatenate([tiled, boxed]), axis=0)
    if not all_dates:
        pairs = pairs[_newest_picture(serving, pairs)]
        pairs = pairs[_newest_map(serving, pairs)]
    bare = np.setdiff1d(aerials, np.concatenate([tiled, boxed])[:, 1])
    bare = bare[~np.isnan(serving.numbers("west")[bare])]
    # Where a map has tiles of the picture's zoom around it, that it has none here says that nothing is mapped.
    apart = bare[~_beside(serving, maps, bare) | _beyond_finer(serving, maps, bare)]
    apart = apart[_mapped(serving, maps, apart)] if len(apart) else apart
    bare = np.setdiff1d(bare, apart)
    if unmapped and len(maps):
        bare = bare[_first_of_place(serving, bare)] if not all_dates else bare
        pairs = np.concatenate([pairs, np.stack([np.full(len(bare), NO_MAP), bare], axis=1)])
    order = np.lexsort((pairs[:, 0], pairs[:, 1]))
    return Pairs(pairs[order, 0], pairs[order, 1], apart)


def unplaced(serving: Serving, maps: RowIds, aerials: RowIds) -> str:
    """Why no pair at all can be made, and what to do, where that is for want of positions; else ""."""
    nowhere = np.isnan(serving.numbers("z")) & np.isnan(serving.numbers("west"))
    pictures, drawn = int(nowhere[aerials].sum()), int(nowhere[maps].sum())
    if pictures < len(aerials) and drawn < len(maps):
        return ""
    told = [counted(pictures, "aerial picture", "aerial pictures"), counted(drawn, "map", "maps")]
    several = " and ".join(words for words, count in zip(told, (pictures, drawn), strict=True) if count)
    return (
        f"pairs are made by tile or box, and no such position is known of {several}; "
        "`geoanchor evaluate matching --pairs DIR` pairs pictures by name"
    )


def pair_ids(serving: Serving, pairs: Pairs) -> list[str]:
    """A short name for each pair: BLAKE2b of the two row ids, 16 hex digits."""
    ids = serving.rows.column("id")
    aerials = ids.take(pairs.aerials).to_pylist()
    maps = ids.take(np.maximum(pairs.maps, 0)).to_pylist() if len(pairs) else []
    named = zip(maps, aerials, (pairs.maps == NO_MAP).tolist(), strict=True)
    return [pair_id(None if bare else map_id, aerial_id) for map_id, aerial_id, bare in named]


def pair_id(map_id: str | None, aerial_id: str) -> str:
    """The name of one pair."""
    return hashlib.blake2b(f"{map_id or ''}\0{aerial_id}".encode(), digest_size=8).hexdigest()


def _by_address(serving: Serving, maps: RowIds, aerials: RowIds) -> RowIds:
    """(n, 2) map and aerial rows of one tile."""
    codes = _addresses(serving)
    maps, aerials = maps[codes[maps] >= 0], aerials[codes[aerials] >= 0]
    aerials = aerials[np.argsort(codes[aerials], kind="stable")]
    first, last = (np.searchsorted(codes[aerials], codes[maps], side=side) for side in ("left", "right"))
    counts = last - first
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([np.repeat(maps, counts), aerials[np.repeat(first, counts) + within]], axis=1)


def _addresses(serving: Serving) -> NDArray[np.int64]:
    """One number (g,) for each tile address, -1 for rows without one; distinct for zooms up to 29."""
    return _address(*(serving.numbers(name) for name in "zxy"))


def _address(z: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers (n,) of tiles; -1 for NaN and beyond the world's edge."""
    z = np.maximum(z, 0)
    side = np.exp2(z)
    known = ~np.isnan(z) & (y >= 0) & (y < side)
    # Eastwards the world goes round.
    zoom, column, row = (np.where(known, part, 0).astype(np.int64) for part in (z, x % side, y))
    return np.where(known, tile_keys(zoom, column, row), -1)


def _by_bounds(serving: Serving, maps: RowIds, aerials: RowIds) -> RowIds:
    """(n, 2) rows whose boxes are nearly the same, one of them at least on no grid."""
    west, on_grid = serving.numbers("west"), ~np.isnan(serving.numbers("z"))
    found = [np.empty((0, 2), np.int64)]
    for some_maps, some_aerials in (
        (maps[~on_grid[maps]], aerials),
        (maps[on_grid[maps]], aerials[~on_grid[aerials]]),
    ):
        left, right = some_maps[~np.isnan(west[some_maps])], some_aerials[~np.isnan(west[some_aerials])]
        if len(left) and len(right):
            # Boxes across the antimeridian go on beyond 180, so that one ground may have two longitudes.
            ours = [_boxes(serving, left, turn) for turn in (-360.0, 0.0, 360.0)]
            found += [np.stack([left[a], right[b]], axis=1) for a, b in _same_ground(ours, _boxes(serving, right))]
    return np.concatenate(found)


def _same_ground(sides: Sequence[Boxes], others: Boxes) -> Iterator[tuple[RowIds, RowIds]]:
    """Places of boxes that are nearly the same as another, for each of several sides."""
    tree = shapely.STRtree(others)
    for boxes in sides:
        a, b = tree.query(boxes, predicate="intersects")
        common = shapely.area(shapely.intersection(boxes[a], others[b]))
        same = common >= SAME_GROUND * np.maximum(shapely.area(boxes)[a], shapely.area(others)[b])
        yield a[same], b[same]


def _boxes(serving: Serving, rows: RowIds, turn: float = 0.0) -> Boxes:
    """Boxes (n,) of rows, in degrees; beyond 180 where they cross the antimeridian; `turn` degrees farther east."""
    west, south, east, north = serving.edges(rows)
    return np.asarray(shapely.box(west + turn, south, np.where(east < west, east + 360.0, east) + turn, north))


def _beside(serving: Serving, maps: RowIds, aerials: RowIds) -> NDArray[np.bool_]:
    """Which aerial rows (n,) have a map row of their own zoom within `_NEAR` tiles or somewhat more."""
    z, x, y = (serving.numbers(name) for name in "zxy")
    x, y, z = x // _NEAR, y // _NEAR, z - np.log2(_NEAR)
    drawn = np.unique(_address(z[maps], x[maps], y[maps]))
    found = np.zeros(len(aerials), bool)
    for right, down in product((-1, 0, 1), repeat=2):
        around = _address(z[aerials], x[aerials] + right, y[aerials] + down)
        found |= (around >= 0) & np.isin(around, drawn)
    return found


def _beyond_finer(serving: Serving, maps: RowIds, aerials: RowIds) -> NDArray[np.bool_]:
    """Which aerial rows (n,) lie in a map's coarser tile, and not amid its tiles of their own zoom: there the finer map
    was not drawn."""
    z, x, y = (serving.numbers(name) for name in "zxy")
    found = np.zeros(len(aerials), bool)
    zooms, of_pictures = (np.unique(z[rows][~np.isnan(z[rows])]) for rows in (maps, aerials))
    for coarse, fine in ((coarse, fine) for coarse, fine in product(zooms, of_pictures) if coarse < fine):
        own, side = aerials[z[aerials] == fine], np.exp2(fine - coarse)
        drawn = _addresses(serving)[maps[z[maps] == coarse]]
        covered = np.isin(_address(np.full(len(own), coarse), x[own] // side, y[own] // side), drawn)
        places = np.stack([x, y], axis=1)
        found[z[aerials] == fine] |= covered & ~_amid(places[own], places[maps[z[maps] == fine]])
    return found


def _amid(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of places (n, 2) have others (m, 2) within `_NEAR` on every side of them."""
    around = shapely.box(*(places - _NEAR).T, *(places + _NEAR).T)
    at, near = shapely.STRtree(np.asarray(shapely.points(others))).query(around, predicate="intersects")
    least, most = np.zeros_like(places), np.zeros_like(places)
    np.minimum.at(least, at, others[near] - places[at])
    np.maximum.at(most, at, others[near] - places[at])
    return np.asarray(((least < 0) & (most > 0)).all(axis=1))


def _mapped(serving: Serving, maps: RowIds, aerials: RowIds) -> NDArray[np.bool_]:
    """Which aerial rows (n,) have their middle in the box of a map row, or the middle of a map row in theirs."""
    pictures, drawn = _boxes(serving, aerials), _boxes(serving, maps[~np.isnan(serving.numbers("west")[maps])])
    of_pictures, of_maps = shapely.STRtree(pictures), shapely.STRtree(drawn)
    mapped = np.zeros(len(aerials), bool)
    # Boxes across the antimeridian go on beyond 180, so that one middle may have two longitudes.
    for turn in (-360.0, 0.0, 360.0):
        mapped[of_maps.query(_middles(pictures, turn), predicate="intersects")[0]] = True
        mapped[of_pictures.query(_middles(drawn, turn), predicate="intersects")[1]] = True
    return mapped


def _middles(boxes: Boxes, turn: float) -> Boxes:
    """Points (n,), `turn` degrees farther east."""
    west, south, east, north = shapely.bounds(boxes).T
    return np.asarray(shapely.points((west + east) / 2 + turn, (south + north) / 2))


def _newest_map(serving: Serving, pairs: RowIds) -> NDArray[np.bool_]:
    """Which of `pairs` (n, 2) have the newest of their aerial row's maps, or one that bears no date."""
    when = serving.acquired_us[pairs[:, 0]]
    _, place = np.unique(pairs[:, 1], return_inverse=True)
    newest = np.full(len(pairs), UNDATED, np.int64)
    np.maximum.at(newest, place, when)
    return np.asarray((when == newest[place]) | (when == UNDATED))


def _newest_picture(serving: Serving, pairs: RowIds) -> RowIds:
    """Places in `pairs` (n, 2) of each map row's newest aerial row, the later row where times are equal or unknown."""
    order = np.lexsort((pairs[:, 1], serving.acquired_us[pairs[:, 1]], pairs[:, 0]))
    last = np.append(np.diff(pairs[order, 0]) != 0, True)[: len(order)]
    newest: RowIds = order[last]
    return newest


def _first_of_place(serving: Serving, rows: RowIds) -> RowIds:
    """Places in `rows` of the newest row of each tile; rows on no grid all stay."""
    codes = _addresses(serving)[rows]
    codes = np.where(codes < 0, -1 - np.arange(len(rows)), codes)
    order = np.lexsort((rows, serving.acquired_us[rows], codes))
    last = np.append(np.diff(codes[order]) != 0, True)[: len(order)]
    return np.sort(order[last])
