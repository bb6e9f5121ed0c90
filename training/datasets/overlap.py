"""What two data sets share: the same captions, and the same pictures under whatever name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from geoanchor.errors import BadInput
from geoanchor.image import Pixels
from training.datasets.captioned import Captioned
from training.datasets.phash import MAX_BITS, Hashes, alike, perceptual_hashes
from training.datasets.pictures import Pictures
from training.encoding import Progress, silent
from training.recall import normalised

EQUAL_CAPTIONS = 3
"""So many equal captions, or all of a picture that has fewer, and near hashes make a duplicate."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture of the first set that is also in the second.

    Attributes:
        image, other: their names; bits: of 64, in which their hashes differ; captions: how many are equal.
    """

    image: str
    other: str
    bits: int
    captions: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the first of two sets shares with the second.

    Attributes:
        images, captions: of the first and of the second.
        shared_captions: captions of the first that occur in the second (`normalised`).
        retold: pictures of the first with three captions or more that occur in the second, on any picture.
        candidates: pairs whose hashes differ in four bits or fewer; duplicates: those of them that are told alike.
        unread: pictures that could not be read; None where there were no pictures to compare.
    """

    images: tuple[int, int]
    captions: tuple[int, int]
    shared_captions: int
    retold: int
    candidates: int | None = None
    unread: int | None = None
    duplicates: list[Duplicate] = field(default_factory=list)

    @property
    def drop(self) -> list[str]:
        """Names in the first set to leave out when the second judges."""
        return sorted({own.image for own in self.duplicates})

    def figures(self) -> dict[str, Any]:
        """The counts, for JSON; duplicates as a list of objects."""
        return {
            "images": list(self.images),
            "captions": list(self.captions),
            "shared_captions": self.shared_captions,
            "images_with_3_shared_captions": self.retold,
            "candidates": self.candidates,
            "duplicates": None if self.candidates is None else len(self.duplicates),
            "drop": None if self.candidates is None else len(self.drop),
            "unread": self.unread,
            "pairs": [{"image": d.image, "other": d.other, "bits": d.bits, "captions": d.captions}
                      for d in self.duplicates],
        }  # fmt: skip


def overlap(
    first: Sequence[Captioned],
    second: Sequence[Captioned],
    first_pictures: Pictures | None = None,
    second_pictures: Pictures | None = None,
    progress: Progress = silent,
) -> Overlap:
    """Compare two sets: by captions alone, or by captions and pictures where the pictures of both are given."""
    told = {normalised(text) for item in second for text in item.captions}
    shared = [sum(normalised(text) in told for text in item.captions) for item in first]
    by_words = Overlap(
        images=(len(first), len(second)),
        captions=(sum(len(item.captions) for item in first), sum(len(item.captions) for item in second)),
        shared_captions=sum(shared),
        retold=sum(count >= EQUAL_CAPTIONS for count in shared),
    )
    if first_pictures is None or second_pictures is None:
        return by_words
    total = len(first) + len(second)
    own, own_hashes = _hashed(first, first_pictures, 0, total, progress)
    other, other_hashes = _hashed(second, second_pictures, len(first), total, progress)
    near = alike(own_hashes, other_hashes, MAX_BITS)
    duplicates = [
        Duplicate(own[row].image, other[column].image, int(bits), equal)
        for row, column, bits in near
        if (equal := equal_captions(own[row], other[column])) >= _needed(own[row], other[column])
    ]
    unread = total - len(own) - len(other)
    return replace(by_words, candidates=len(near), unread=unread, duplicates=duplicates)


def equal_captions(one: Captioned, two: Captioned) -> int:
    """How many captions the two have in common, a repeated one as often as both have it."""
    return (
        Counter(normalised(text) for text in one.captions) & Counter(normalised(text) for text in two.captions)
    ).total()


def _needed(one: Captioned, two: Captioned) -> int:
    return min(EQUAL_CAPTIONS, len(one.captions), len(two.captions))


def _hashed(
    items: Sequence[Captioned], pictures: Pictures, done: int, total: int, progress: Progress
) -> tuple[list[Captioned], Hashes]:
    """The items whose pictures can be read, and their hashes."""
    kept: list[Captioned] = []

    def readable() -> Iterator[Pixels]:
        for row, item in enumerate(items):
            progress(done + row, total)
            try:
                pixels = pictures.read(item.image)
            except BadInput:
                continue
            kept.append(item)
            yield pixels

    return kept, perceptual_hashes(readable())
