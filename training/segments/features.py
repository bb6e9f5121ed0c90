"""Pictures, their segments and their captions as vectors of a frozen model, kept on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Vectors
from models.segments import MOST, PartEncoder
from models.text import SentenceEncoder

_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class FrozenSet:
    """What a frozen model makes of captioned pictures.

    Attributes:
        images: (n, d). segments: (n, MOST, d), zero where `present` (n, MOST) says that there is none.
        areas: (n, MOST) shares of the picture.
        texts: (q, d) by the model's own head. sentences: (q, 384) from the frozen sentence encoder.
        owner: (q,) row of the picture that a caption is of.
        same: (q,) equal where two captions say the same.
    """

    images: Vectors
    segments: Vectors
    present: NDArray[np.bool_]
    areas: Vectors
    texts: Vectors
    sentences: Vectors
    owner: NDArray[np.int64]
    same: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write it as one .npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> FrozenSet:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def freeze(
    encoder: Encoder, parts: PartEncoder, pictures: Iterable[Pixels], captions: Sequence[Sequence[str]]
) -> FrozenSet:
    """Encode n pictures (h, w, 3) with their segments, and one or more captions of each."""
    dim = encoder.spaces[parts.space].dim
    blocks = [_frozen(encoder, parts, batch) for batch in _batches(pictures)]
    images, segments, present, areas = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    texts = [text for own in captions for text in own]
    unique = list(dict.fromkeys(texts))
    number = {text: row for row, text in enumerate(unique)}
    same = np.array([number[text] for text in texts], np.int64)
    owner = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    told = encoder.encode(unique, "text", "query")[parts.space].reshape(-1, dim)
    sentences = SentenceEncoder().encode(unique)
    return FrozenSet(images, segments, present, areas, told[same], sentences[same], owner, same)


def _frozen(
    encoder: Encoder, parts: PartEncoder, batch: Sequence[Pixels]
) -> tuple[Vectors, Vectors, NDArray[np.bool_], Vectors]:
    prepared = [encoder.prepare(pixels, "aerial") for pixels in batch]
    images = encoder.encode(prepared, "aerial")[parts.space]
    found = parts.encode([parts.cut(pixels) for pixels in batch], images)
    segments = np.zeros((len(batch), MOST, images.shape[1]), np.float32)
    present = np.zeros((len(batch), MOST), np.bool_)
    areas = np.zeros((len(batch), MOST), np.float32)
    for row, own in enumerate(found):
        count = len(own)
        segments[row, :count] = [part.vector for part in own]
        areas[row, :count] = [part.area for part in own]
        present[row, :count] = True
    return images, segments, present, areas


def _batches(pictures: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    batch: list[Pixels] = []
    for pixels in pictures:
        batch.append(pixels)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
