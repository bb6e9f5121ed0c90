"""Captioned pictures of one domain, kept on disk in parts: pixels, segments, words, and the tenth each belongs to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from training.data import COMPASS
from training.datasets import Captioned
from training.datasets.split import ADAPTATION
from training.recall import normalised

Rows = NDArray[np.int64]

PRETRAINING = {"validation": 1, "train": 7, "test": 2}
"""Tenths of a source."""
_FACTS = "facts.json"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A captioned picture as it is kept.

    Attributes:
        pixels: (size, size, 3). crops: (k, crop, crop, 3) its segments, none where the branch is off.
        tenth: 0..9, the same for pictures that may not be parted.
    """

    item: Captioned
    pixels: Pixels
    crops: Pixels
    tenth: int


class DomainPictures:
    """Pictures with captions, from one or more parts that `write_part` made.

    Attributes:
        names: of the pictures. tenth: (n,) 0..9. texts: distinct captions, `normalised`; captions: (n, c) rows of
            those, -1 where a picture has fewer. oriented: (t,) whether a text speaks of a compass direction.
    """

    def __init__(self, parts: Sequence[Path]) -> None:
        facts = [json.loads((part / _FACTS).read_text("utf-8")) for part in parts]
        counts = [len(fact["names"]) for fact in facts]
        self.names = [name for fact in facts for name in fact["names"]]
        self.tenth = np.array([tenth for fact in facts for tenth in fact["tenths"]], np.int64)
        self.texts, self.captions = _numbered([own for fact in facts for own in fact["captions"]])
        self.oriented = np.array([bool(COMPASS.search(text)) for text in self.texts], np.bool_)
        self._part = np.repeat(np.arange(len(parts)), counts)
        self._start = np.cumsum([0, *counts])
        self._pixels = [np.load(part / "pixels.npy", mmap_mode="r") for part in parts]
        self._crops = [np.load(part / "crops.npy", mmap_mode="r") for part in parts]
        self._there = np.concatenate([np.load(part / "there.npy") for part in parts])

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, rows: Rows) -> Pixels:
        """(n, size, size, 3)."""
        return np.stack([self._pixels[self._part[row]][row - self._start[self._part[row]]] for row in rows])

    def crops(self, rows: Rows) -> tuple[Pixels, NDArray[np.bool_]]:
        """Segments (n, k, crop, crop, 3) and which of them there are (n, k); k is 0 where the branch is off."""
        found = [self._crops[self._part[row]][row - self._start[self._part[row]]] for row in rows]
        return np.stack(found), self._there[rows]

    def split(self, shares: dict[str, int]) -> dict[str, Rows]:
        """Rows of each part, e.g. of `PRETRAINING` or of `ADAPTATION`; no picture is in two.

        The pictures of one tenth stay together, and validation is the same tenth in both.
        """
        order = np.array([part for part, share in shares.items() for _ in range(share)])
        rows = {part: np.flatnonzero(order[self.tenth] == part) for part in shares}
        assert sum(map(len, rows.values())) == len(self)
        return rows


def adaptation_split(source: DomainPictures, target: DomainPictures) -> dict[str, Rows]:
    """The target's rows to adapt on, to choose by and to judge, 2:1:7.

    Raises UsageError when a picture of the target is in the source too.
    """
    if shared := set(source.names) & set(target.names):
        raise UsageError(f"{len(shared)} pictures are in source and target, {min(shared)} first; leave them out of one")
    return target.split(ADAPTATION)


def write_part(folder: Path, shown: Iterable[Shown], count: int, crop_px: int) -> int:
    """Keep pictures at `folder`, which is renamed into place when it is whole; how many there are.

    Args:
        count: segments kept of a picture, at most; crop_px: their side.
    """
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    kept = list(shown)
    there = np.zeros((len(kept), count), np.bool_)
    crops = np.lib.format.open_memmap(
        partial / "crops.npy", "w+", np.uint8, (len(kept), count, crop_px, crop_px, 3)
    )  # fmt: skip
    for row, own in enumerate(kept):
        there[row, : len(own.crops)] = True
        crops[row, : len(own.crops)] = own.crops
    np.save(partial / "there.npy", there)
    np.save(partial / "pixels.npy", np.stack([own.pixels for own in kept]))
    facts = {
        "names": [own.item.image for own in kept],
        "tenths": [own.tenth for own in kept],
        "captions": [[normalised(text) for text in own.item.captions] for own in kept],
    }
    (partial / _FACTS).write_text(json.dumps(facts), "utf-8")
    partial.rename(folder)
    return len(kept)


def _numbered(captions: Sequence[Sequence[str]]) -> tuple[list[str], Rows]:
    rows: dict[str, int] = {}
    lists = [[rows.setdefault(text, len(rows)) for text in dict.fromkeys(own)] for own in captions]
    table = np.full((len(lists), max(map(len, lists), default=1)), -1, np.int64)
    for row, own in enumerate(lists):
        table[row, : len(own)] = own
    return list(rows), table
