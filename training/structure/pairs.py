"""Real pairs of aerial and map pictures, split by the hash of their names."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import BadInput
from geoanchor.image import Pixels
from geoanchor.picture import read_rgb
from models.palette import map_classes

Part = Literal["train", "calibration", "validation"]


@dataclass(frozen=True, slots=True, eq=False)
class RealPairs:
    """Pairs of one part.

    Attributes:
        names: (n,) file names. aerial: (n, h, w, 3) uint8. classes: (n, h, w) class numbers of the map.
    """

    names: tuple[str, ...]
    aerial: Pixels
    classes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)


def part_of(name: str) -> Part:
    """A tenth is for validation, a tenth for calibration; by the SHA-256 of the name, so that it never changes."""
    digit = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
    return "validation" if digit == 0 else "calibration" if digit == 1 else "train"


def read_real_pairs(path: Path, part: Part) -> RealPairs:
    """The pairs of one part of a folder or tar that holds `aerial/NAME` and `map/NAME` of one size.

    Raises BadInput when nothing lies there, it cannot be read, or the sizes differ.
    """
    names, aerial, maps = read_pictures(path, part)
    return RealPairs(names, aerial, np.stack([map_classes(picture) for picture in maps]))


def read_pictures(path: Path, part: Part) -> tuple[tuple[str, ...], Pixels, Pixels]:
    """Names, aerial and map pictures (n, h, w, 3) of one part; raises as `read_real_pairs` does."""
    pictures: dict[str, dict[str, bytes]] = {"aerial": {}, "map": {}}
    for name, read in _files(path):
        kind = PurePosixPath(name).parent.name
        if kind in pictures and part_of(PurePosixPath(name).name) == part:
            pictures[kind][PurePosixPath(name).name] = read()
    names = tuple(sorted(pictures["aerial"].keys() & pictures["map"].keys()))
    if not names:
        raise BadInput(str(path), f"holds no pairs aerial/NAME and map/NAME for {part}")
    try:
        aerial, maps = (np.stack([read_rgb(own[name], name) for name in names]) for own in pictures.values())
    except ValueError as error:
        raise BadInput(str(path), "its pictures are not all of one size") from error
    return names, aerial, maps


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names below a folder or in a tar, each with what reads it, as long as the next one was not asked for."""
    if path.is_dir():
        for file in sorted(path.glob("*/*")):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes
        return
    if not path.is_file():
        raise BadInput(str(path), "is neither a folder nor a tar of pairs")
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream:
                    yield member.name, stream.read
    except tarfile.TarError as error:
        raise BadInput(str(path), f"cannot be read as a tar of pairs ({error})") from error
