"""Maps that are wrong on purpose: edits of the vectors of one tile, drawn anew, so that no seam gives them away.

Methods 1.4, row 10. What changed is told by drawing the structure before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import shapely
from numpy.typing import NDArray

from geoanchor.feature import Feature, FeatureSource
from geoanchor.tiling import Bounds, Tile
from indexer.render import render_structure
from training.ground import Ground, Rows

Kind = Literal["delete", "insert", "swap_block", "shift", "drop_road"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CLEARANCE_M = {"building": 1.0, "minor_road": 4.0, "major_road": 9.0, "rail": 5.0, "water": 1.0}
"""How far an inserted building keeps from what is there."""
_LEAST_ROAD_M = 25.0
_TRIES = 12


class EditedFeatures:
    """A source of features in which some are gone and others stand; a `geoanchor.feature.FeatureSource`."""

    def __init__(self, source: FeatureSource, gone: frozenset[str], added: Sequence[Feature]) -> None:
        self._source, self._gone, self._added = source, gone, added

    @property
    def extent(self) -> Bounds:
        """That of the source."""
        return self._source.extent

    def features(self, bounds: Bounds) -> Sequence[Feature]:
        """Features that intersect `bounds` (degrees): the source's that are left, then the added ones."""
        box = shapely.box(*bounds)
        kept = [feature for feature in self._source.features(bounds) if feature.id not in self._gone]
        return kept + [feature for feature in self._added if shapely.intersects(box, feature.geometry)]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A tile's map after an edit.

    Attributes:
        kind: what was done; ids: of the features that went, came or moved, those that came after an "edit/".
        features: the edited source, wrong only in and around the tile.
        classes: (h, w) uint8, the edited tile's structure as `render_structure` draws it.
        mask: (h, w) bool, where that differs from before.
    """

    kind: Kind
    ids: tuple[str, ...]
    features: FeatureSource
    classes: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    @property
    def changed(self) -> float:
        """Share of the tile that changed, 0..1."""
        return float(self.mask.mean())


def any_edit(
    features: FeatureSource, tile: Tile, donors: Sequence[Tile], seed: int, strength: float = 1.0, size_px: int = 256
) -> Edit | None:
    """An `edit` of any kind with content of any of `donors`; None where none of the kinds changes the tile."""
    rng = np.random.default_rng([seed, tile.z, tile.x, tile.y])
    for kind in rng.permutation(KINDS).tolist():
        donor = donors[int(rng.integers(len(donors)))]
        made = edit(kind, features, tile, donor, seed, strength, size_px)
        if made:
            return made
    return None


def edit(
    kind: Kind,
    features: FeatureSource,
    tile: Tile,
    donor: Tile,
    seed: int,
    strength: float = 1.0,
    size_px: int = 256,
) -> Edit | None:
    """Make the map of one tile wrong; the same arguments give the same edit.

    `delete` takes away 20 % (strength 0) to all (1) of the buildings, scattered or side by side; `insert` sets 20 % to
    all of the donor's buildings where nothing stands in their way, as they stand to one another; `swap_block` gives a
    block of streets the content of a block of the donor, the smallest block (0) to the largest; `shift` moves all
    buildings by 6 m (0) to 12 m; `drop_road` takes away a short (0) to the longest road.

    Args:
        features: the true map; tile: where to edit it.
        donor: another tile to take content from.
        strength: 0..1. size_px: side of `Edit.classes` and `Edit.mask`.
    Returns:
        The edit, or None where it would change nothing: no buildings, no roads, no room.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind), tile.z, tile.x, tile.y])
    here, there = Ground(features, tile), Ground(features, donor)
    change = _MAKERS[kind](here, there, strength, rng)
    if change is None:
        return None
    gone, added = change
    edited = EditedFeatures(features, frozenset(gone), added)
    classes = render_structure(edited, tile, size_px)
    mask = classes != render_structure(features, tile, size_px)
    ids = (*gone, *(feature.id for feature in added))
    return Edit(kind, ids, edited, classes, mask) if mask.any() else None


Change = tuple[tuple[str, ...], list[Feature]]
"""Ids of the features that go, and the features that come."""


def _share(strength: float, count: int) -> int:
    """20 % to all of `count`, at least one."""
    return max(1, round((0.2 + 0.8 * strength) * count))


def _delete(here: Ground, _there: Ground, strength: float, rng: np.random.Generator) -> Change | None:
    chosen = here.standing(_some(here.shapes, here.buildings, strength, rng))
    return (here.ids(chosen), []) if len(chosen) else None


def _some(shapes: NDArray[np.object_], rows: Rows, strength: float, rng: np.random.Generator) -> Rows:
    """A share of rows: any of them, or as often those nearest to one of them."""
    if not len(rows):
        return rows
    order = rng.permutation(len(rows))
    if rng.random() < 0.5:
        order = np.argsort(shapely.distance(shapes[rows], shapes[rows[order[0]]]), kind="stable")
    return np.sort(rows[order[: _share(strength, len(rows))]])


def _insert(here: Ground, there: Ground, strength: float, rng: np.random.Generator) -> Change | None:
    """The donor's buildings as they stand to one another, moved to where most of them find room."""
    donated = there.buildings[shapely.contains(there.frame, shapely.centroid(there.shapes[there.buildings]))]
    if not len(donated):
        return None
    taken = shapely.STRtree(_kept_clear(here))
    side = float(np.sqrt(here.frame.area))
    moves = [(0.0, 0.0), *rng.uniform(-side / 2, side / 2, (_TRIES - 1, 2)).tolist()]
    best: tuple[Rows, NDArray[np.object_]] = donated[:0], np.zeros(0, object)
    for move in moves:
        moved = _moved(there.shapes[donated], move)
        free = shapely.within(moved, here.frame)
        free[np.unique(taken.query(moved, predicate="intersects")[0])] = False
        if free.sum() > len(best[0]):
            best = donated[free], moved[free]
    rows, shapes = best
    chosen = _some(shapes, np.arange(len(rows)), strength, rng)
    return ((), _added(here, there, rows[chosen], shapes[chosen])) if len(chosen) else None


def _kept_clear(here: Ground) -> NDArray[np.object_]:
    margins = np.array([_CLEARANCE_M.get(name, -1.0) for name in here.classes])
    stays = margins > 0
    return np.asarray(shapely.buffer(here.shapes[stays], margins[stays], quad_segs=2))


def _swap_block(here: Ground, there: Ground, strength: float, rng: np.random.Generator) -> Change | None:
    """Of some blocks of the donor the one of whose buildings most fit in."""
    blocks = [block for block in here.blocks() if len(here.content(block))]
    if not blocks:
        return None
    block = blocks[_about(strength, len(blocks), rng)]
    best: tuple[Rows, NDArray[np.object_]] | None = None
    most = 0
    for other in rng.permutation(there.blocks())[:_TRIES]:
        rows = there.content(other)
        moved = _moved(there.shapes[rows], (block.centroid.x - other.centroid.x, block.centroid.y - other.centroid.y))
        fits = shapely.covers(block, moved)
        built = int((there.classes[rows[fits]] == "building").sum())
        if built > most:
            best, most = (rows[fits], moved[fits]), built
    return (here.ids(here.content(block)), _added(here, there, *best)) if best else None


def _shift(here: Ground, _there: Ground, strength: float, rng: np.random.Generator) -> Change | None:
    rows = here.standing(here.buildings)
    angle, far = rng.uniform(0, 2 * np.pi), 6 + 6 * strength
    moved = _moved(here.shapes[rows], (far * np.cos(angle), far * np.sin(angle)))
    return (here.ids(rows), _added(here, here, rows, moved)) if len(rows) else None


def _drop_road(here: Ground, _there: Ground, strength: float, rng: np.random.Generator) -> Change | None:
    lengths = shapely.length(shapely.intersection(here.shapes[here.roads], here.frame))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] >= _LEAST_ROAD_M]
    if not len(order):
        return None
    return here.ids(here.roads[order[[_about(strength, len(order), rng)]]]), []


def _about(strength: float, count: int, rng: np.random.Generator) -> int:
    """A position among `count` in ascending order, near the strength's."""
    return round(float(np.clip(strength + rng.uniform(-0.15, 0.15), 0, 1)) * (count - 1))


def _moved(shapes: NDArray[np.object_], move: Sequence[float]) -> NDArray[np.object_]:
    return np.asarray(shapely.transform(shapes, lambda points: points + np.asarray(move)))


def _added(here: Ground, there: Ground, rows: Rows, shapes: NDArray[np.object_]) -> list[Feature]:
    """The donor's features with new shapes, in degrees of the edited tile."""
    pairs = zip((there.features[i] for i in rows), shapes, strict=True)
    return [replace(own, id=f"edit/{own.id}", geometry=here.plane.degrees(shape)) for own, shape in pairs]


_MAKERS: dict[Kind, Callable[[Ground, Ground, float, np.random.Generator], Change | None]] = {
    "delete": _delete,
    "insert": _insert,
    "swap_block": _swap_block,
    "shift": _shift,
    "drop_road": _drop_road,
}
