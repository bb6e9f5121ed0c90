"""An index's own pairs of a map and an aerial picture, read from its thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.gaps import NOTABLE, blank_pixels
from geoanchor.image import Pixels
from geoanchor.picture import kept_rgb
from geoanchor.protocols import RowIds, RowStore
from geoanchor.structure import VOID
from models.decoding import resized
from models.palette import map_classes
from retrieval.pairs import Pairs, find_pairs, unplaced
from retrieval.serving import Serving
from training.structure.variants import resized_classes

MOST = 2000
"""Pairs that are learned from; more would not fit into a small machine, and hardly teach more."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnGround:
    """Pairs to learn from.

    Attributes:
        pairs: rows in serving order. cells: (n,) uint64 H3 cells of the aerial rows.
        aerial: (n, s, s, 3) uint8. classes: (n, s, s) class numbers of the maps, or `VOID`.
        lost: how many pairs more there are, with a picture that is damaged or not kept.
    """

    pairs: Pairs
    cells: NDArray[np.uint64]
    aerial: Pixels
    classes: NDArray[np.uint8]
    lost: int

    def __len__(self) -> int:
        return len(self.cells)


def read_ground(serving: Serving, store: RowStore, side: int, seed: int) -> OwnGround:
    """The pairs of an index whose two pictures are kept, at most `MOST` of them, drawn by `seed`.

    A map of one class throughout is left out: where nothing is mapped it would teach that nothing stands there.

    Args:
        side: pixels of the squares that pictures and maps are resized to.

    Raises UsageError when there are none.
    """
    layers = serving.layers["map"], serving.layers["aerial"]
    pairs = find_pairs(serving, *layers, unmapped=False)
    pairs = pairs.take(np.flatnonzero(serving.places.cells[pairs.aerials] > 0))
    if len(pairs) > MOST:
        pairs = pairs.take(np.sort(np.random.default_rng(seed).choice(len(pairs), MOST, replace=False)))
    aerials, maps = (pictures_of(serving, store, rows) for rows in (pairs.aerials, pairs.maps))
    lost = sum(one is None or other is None for one, other in zip(aerials, maps, strict=True))
    lacking = serving.nodata[pairs.maps].tolist()
    drawn = [
        None if picture is None else _classes(picture, share) for picture, share in zip(maps, lacking, strict=True)
    ]
    both = [
        at for at, classes in enumerate(drawn)
        if aerials[at] is not None and classes is not None and _varied(classes)
    ]  # fmt: skip
    if not both:
        why = unplaced(serving, *layers) if all(map(len, layers)) else ""
        said = f"{serving.folder}: no map and aerial picture of the same ground are kept to learn from"
        raise UsageError(f"{said}; {why}" if why else said)
    pairs = pairs.take(np.array(both))
    ours, theirs = _common(serving, pairs.aerials, pairs.maps), _common(serving, pairs.maps, pairs.aerials)
    pictures = [picture for at in both if (picture := aerials[at]) is not None]
    numbers = [classes for at in both if (classes := drawn[at]) is not None]
    aerial = np.stack([resized(_cut(one, part), side) for one, part in zip(pictures, ours, strict=True)])
    classes = np.stack([resized_classes(_cut(one, part), side) for one, part in zip(numbers, theirs, strict=True)])
    return OwnGround(pairs, serving.places.cells[pairs.aerials], aerial, classes, lost)


def _classes(picture: Pixels, lacking: float) -> NDArray[np.uint8]:
    """Class numbers (h, w) of a map, `VOID` where it is without data, as so large a share of it is known to be."""
    classes = map_classes(picture)
    return np.where(blank_pixels(picture, lacking), VOID, classes).astype(np.uint8) if lacking >= NOTABLE else classes


def _varied(classes: NDArray[np.uint8]) -> bool:
    """Whether a map shows more than one class."""
    known = classes != VOID
    return bool(classes.max(where=known, initial=0) > classes.min(where=known, initial=VOID))


def pictures_of(serving: Serving, store: RowStore, rows: RowIds) -> Sequence[Pixels | None]:
    """The kept pictures of some rows, None where there is none or a damaged one."""
    ids = serving.rows.column("id").take(rows).to_pylist()
    table = store.fetch(sorted(set(ids)), ["id", "thumbnail"])
    kept = dict(zip(table["id"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))
    return [kept_rgb(kept.get(name), name) for name in ids]


def _common(serving: Serving, rows: RowIds, partners: RowIds) -> NDArray[np.float64]:
    """What of each row's box its partner's covers too: (n, 4) left, top, right and bottom edge, shares of its sides."""
    (west, south, east, north), other = serving.edges(rows), serving.edges(partners)
    width, height = _across(west, east), north - south
    first = (other[0] - west + 180) % 360 - 180  # the short way round
    edges = [first / width, (north - other[3]) / height, (first + _across(other[0], other[2])) / width]
    return np.clip(np.stack([*edges, (north - other[1]) / height], axis=1), 0.0, 1.0)


def _across(west: NDArray[np.float64], east: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees from west to east, all 360 where both are one meridian."""
    return 360 - (west - east) % 360


def _cut(picture: Pixels, edges: NDArray[np.float64]) -> Pixels:
    """The part of a picture between edges (4,) as of `_common`."""
    height, width = picture.shape[:2]
    left, top, right, bottom = np.rint(edges * (width, height, width, height)).astype(int)
    return picture[top:bottom, left:right]
