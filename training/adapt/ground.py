"""An index's own pairs of a map and an aerial picture, read from its thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from geoanchor.picture import read_rgb
from geoanchor.protocols import RowIds, RowStore
from models.decoding import resized
from models.palette import map_classes
from retrieval.pairs import Pairs, find_pairs
from retrieval.serving import Serving

MOST = 2000
"""Pairs that are learned from; more would not fit into a small machine, and hardly teach more."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnGround:
    """Pairs to learn from.

    Attributes:
        pairs: rows in serving order. cells: (n,) uint64 H3 cells of the aerial rows.
        aerial: (n, s, s, 3) uint8. classes: (n, s, s) class numbers of the maps.
    """

    pairs: Pairs
    cells: NDArray[np.uint64]
    aerial: Pixels
    classes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.cells)


def read_ground(serving: Serving, store: RowStore, side: int, seed: int) -> OwnGround:
    """The pairs of an index whose two pictures are kept, at most `MOST` of them, drawn by `seed`.

    A map of one class throughout is left out: where nothing is mapped it would teach that nothing stands there.

    Args:
        side: pixels of the squares that pictures and maps are resized to.

    Raises UsageError when there are none.
    """
    pairs = find_pairs(serving, serving.layers["map"], serving.layers["aerial"], unmapped=False)
    pairs = pairs.take(np.flatnonzero(serving.places.cells[pairs.aerials] > 0))
    if len(pairs) > MOST:
        pairs = pairs.take(np.sort(np.random.default_rng(seed).choice(len(pairs), MOST, replace=False)))
    aerials, maps = (pictures_of(serving, store, rows) for rows in (pairs.aerials, pairs.maps))
    drawn = [None if picture is None else map_classes(picture) for picture in maps]
    both = [
        at for at, classes in enumerate(drawn) if aerials[at] is not None and classes is not None and np.ptp(classes)
    ]
    if not both:
        raise UsageError(f"{serving.folder}: no map and aerial picture of the same ground are kept to learn from")
    pairs = pairs.take(np.array(both))
    aerial = np.stack([resized(picture, side) for at in both if (picture := aerials[at]) is not None])
    classes = np.stack([_numbers(own, side) for at in both if (own := drawn[at]) is not None])
    return OwnGround(pairs, serving.places.cells[pairs.aerials], aerial, classes)


def pictures_of(serving: Serving, store: RowStore, rows: RowIds) -> Sequence[Pixels | None]:
    """The kept pictures of some rows, None where there is none."""
    ids = serving.rows.column("id").take(rows).to_pylist()
    table = store.fetch(sorted(set(ids)), ["id", "thumbnail"])
    kept = dict(zip(table["id"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))
    return [read_rgb(kept[name], name) if kept.get(name) else None for name in ids]


def _numbers(classes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(classes).resize((side, side), Image.Resampling.NEAREST))
