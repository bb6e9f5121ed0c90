"""What stage two learns from: vectors of frozen towers, of pairs in eight turns and mirrors and of edited maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from training.turns import turned

Encode = Callable[[Pixels], Vectors]
"""(n, h, w, 3) uint8 -> (n, d) unit vectors of a frozen tower."""


@dataclass(frozen=True, slots=True, eq=False)
class Edits:
    """Maps changed on purpose, so that they no longer agree with the picture of their place.

    Attributes:
        row: (e,) the pair that each is a changed map of. kind: (e,) in a word. strength: (e,) changed share, 0..1.
    """

    row: NDArray[np.int64]
    kind: NDArray[np.str_]
    strength: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.row.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pairs and edits as vectors.

    Attributes:
        aerial, maps: (views, n, d) of n pairs; view 0 is the picture as it is, the same view is the same turn in all.
        changed: (views, e, d) of the edited maps. edits: what they are.
        attributes: (n, 11) numbers of the anchors' values; tells near doubles, which are no fair mismatches.
        plain: (n,) the pairs that are as they were found; the others are composed to stand beside an edit.
    """

    aerial: Vectors
    maps: Vectors
    changed: Vectors
    edits: Edits
    attributes: NDArray[np.uint8]
    plain: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.aerial.shape[1])

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.aerial.shape[2])

    def agreement(self, rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) how many attributes of rows and others are equal, 0..11."""
        return np.asarray((self.attributes[rows] == self.attributes[others]).sum(axis=1))


def joined(parts: Sequence[Examples]) -> Examples:
    """Several sets as one, their rows one after another."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    edits = Edits(
        row=np.concatenate([part.edits.row + start for part, start in zip(parts, starts[:-1], strict=True)]),
        kind=np.concatenate([part.edits.kind for part in parts]),
        strength=np.concatenate([part.edits.strength for part in parts]),
    )
    return Examples(
        aerial=np.concatenate([part.aerial for part in parts], axis=1),
        maps=np.concatenate([part.maps for part in parts], axis=1),
        changed=np.concatenate([part.changed for part in parts], axis=1),
        edits=edits,
        attributes=np.concatenate([part.attributes for part in parts]),
        plain=np.concatenate([part.plain for part in parts]),
    )


def in_views(pixels: Pixels, encode: Encode, views: int, batch: int = 64) -> Vectors:
    """Vectors of pictures in the first `views` of the eight turns and mirrors.

    Args:
        pixels: (n, h, w, 3) uint8, square.
    Returns:
        (views, n, d) float32.
    """
    cuts = [slice(start, start + batch) for start in range(0, len(pixels), batch)]
    return np.stack(
        [
            np.concatenate([encode(np.stack([turned(picture, way) for picture in pixels[cut]])) for cut in cuts])
            for way in range(views)
        ]
    )
