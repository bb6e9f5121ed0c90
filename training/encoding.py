"""Vectors of many pictures and texts, for judging a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from geoanchor.errors import BadInput, OnBad, UnsupportedModality, UsageError
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, RowVectors, Vectors
from geoanchor.space import Modality

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""
Name = TypeVar("Name", str, Path)


def silent(_done: int, _total: int) -> None:
    """Progress that goes nowhere."""


def untold(_error: BadInput) -> None:
    """Pictures that cannot be read are counted only."""


def shared_space(encoder: Encoder, first: Modality, second: Modality) -> str:
    """Name of the encoder's first searchable space that knows both modalities. Raises UnsupportedModality."""
    for name, space in encoder.spaces.items():
        if space.searchable and {first, second} <= set(space.modalities):
            return name
    raise UnsupportedModality(f"model {encoder.name!r} has no space that holds both {first} and {second}")


def encode_texts(encoder: Encoder, texts: Sequence[str], space: str) -> Vectors:
    """Query vectors (n, d) of texts; equal texts are encoded once."""
    unique = list(dict.fromkeys(texts))
    position = {text: row for row, text in enumerate(unique)}
    vectors = encoder.encode(unique, "text", "query")[space]
    return vectors[[position[text] for text in texts]]


def encode_pictures(
    encoder: Encoder, pictures: Iterable[Pixels], modality: Modality, space: str, batch_size: int
) -> Vectors:
    """Gallery vectors (n, d) of pictures of any size in one space, a batch at a time."""
    return encode_spaces(encoder, pictures, modality, (space,), batch_size)[space]


def encode_spaces(
    encoder: Encoder, pictures: Iterable[Pixels], modality: Modality, spaces: Sequence[str], batch_size: int
) -> dict[str, RowVectors]:
    """Gallery vectors (n, d) of pictures of any size by space, a batch at a time."""
    blocks: dict[str, list[RowVectors]] = {name: [] for name in spaces}
    for batch in _batches((encoder.prepare(pixels, modality) for pixels in pictures), batch_size):
        vectors = encoder.encode(batch, modality)
        for name in spaces:
            blocks[name].append(vectors[name])
    empty = {name: np.zeros((0, encoder.spaces[name].dim), encoder.spaces[name].number) for name in spaces}
    return {name: np.concatenate(own) if own else empty[name] for name, own in blocks.items()}


def encode_readable(
    encoder: Encoder,
    names: Sequence[Name],
    read: Callable[[Name], Pixels],
    modality: Modality,
    spaces: Sequence[str],
    batch_size: int,
    progress: Progress,
    on_bad: OnBad,
) -> tuple[dict[str, RowVectors], list[Name]]:
    """Vectors of the pictures that could be read by space, and their names in the same order.

    Raises UsageError when there are none.
    """
    kept: list[Name] = []

    def readable() -> Iterator[Pixels]:
        for done, name in enumerate(names):
            progress(done, len(names))
            try:
                pixels = read(name)
            except BadInput as error:
                on_bad(error)
                continue
            except OSError as error:
                on_bad(BadInput(str(name), f"cannot be read ({error.strerror}); restore it or take it from the list"))
                continue
            kept.append(name)
            yield pixels

    vectors = encode_spaces(encoder, readable(), modality, spaces, batch_size)
    if not kept:
        raise UsageError(f"none of the {len(names)} {modality} pictures could be read")
    return vectors, kept


def _batches(pictures: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    batch: list[Pixels] = []
    for pixels in pictures:
        batch.append(pixels)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
