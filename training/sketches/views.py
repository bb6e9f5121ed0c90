"""Windows of pictures as the decoder sees them, kept on disk: to look takes longer than all that is learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from geoanchor.change import MAX_OFFSET
from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES, Grid, shares
from models.decoding import Decoder, resized
from models.registrar import FINE_CELLS
from training.augment import lit
from training.runlog import Log
from training.structure.batches import Ground
from training.turns import WAYS, turned

_LEAST_RIM, _WIDEST_RIM = 1 + 2 * MAX_OFFSET, 1.45
"""A picture's side by its window's, so that the map's window can lie that far off in any direction."""
_GAMMA = 0.15
_PICTURES_A_SHARD = 64


@dataclass(frozen=True, slots=True)
class Window:
    """A square window of a square picture that is turned first: one of eight turns and mirrors, then pixels."""

    turn: int
    top: int
    left: int
    side: int

    @classmethod
    def within(cls, height: int, rng: np.random.Generator, *, middle: bool = False) -> Window:
        """One somewhere in a picture; `middle` as it stands, as large as can be, since that is what is asked for."""
        turn, rim = (
            (0, _LEAST_RIM) if middle else (int(rng.integers(WAYS)), float(rng.uniform(_LEAST_RIM, _WIDEST_RIM)))
        )
        side = int(height / rim)
        room = min(int(MAX_OFFSET * side), (height - side) // 2)
        top, left = rng.integers(room, height - side - room + 1, 2).tolist()
        return cls(turn, top, left, side)

    def of(self, pixels: Pixels, down: int = 0, right: int = 0) -> Pixels:
        """What it shows of (h, w, ...), moved by some pixels."""
        top, left = self.top + down, self.left + right
        return turned(pixels, self.turn)[top : top + self.side, left : left + self.side]

    def moved(self, classes: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Grid, tuple[float, float]]:
        """Class shares of the map up to 10 % off, and the shift dx, dy by which it lies off, as shares of the side."""
        height, far = classes.shape[0], max(self.top, self.left) + self.side
        room = min(int(MAX_OFFSET * self.side), self.top, self.left, height - far)
        down, right = rng.integers(-room, room + 1, 2).tolist()
        # A window further east shows the same thing further west.
        return shares(self.of(classes, down, right), FINE_CELLS), (-right / self.side, -down / self.side)


class Views:
    """Windows of a ground, several of each picture, with what the decoder makes of them.

    Attributes:
        ground: the pictures. windows: (row of the picture, window) of each.

    Args:
        folder: of the arrays, for this ground, decoder, number and seed alone; those that lie there are taken, so that
            a stopped run goes on where it was.
        each: windows of a picture. seed: of their choice.
    """

    def __init__(self, ground: Ground, decoder: Decoder, folder: Path, each: int, seed: int, log: Log) -> None:
        self.ground = ground
        self.windows: list[tuple[int, Window]] = []
        self._shards: list[Vectors] = []
        self._size = _PICTURES_A_SHARD * each
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(ground.aerial), _PICTURES_A_SHARD):
            rng = np.random.default_rng([seed, start])
            rows = range(start, min(start + _PICTURES_A_SHARD, len(ground.aerial)))
            height = ground.aerial.shape[1]
            own = [(row, Window.within(height, rng, middle=n == 0)) for row in rows for n in range(each)]
            path = folder / f"{start}.npy"
            if not path.is_file():
                _look(path, [window.of(ground.aerial[row]) for row, window in own], decoder, rng)
                log(f"looked at {len(own)} windows, {path.parent.name} from {start} of {len(ground.aerial)}")
            self.windows += own
            self._shards.append(np.load(path, mmap_mode="r"))

    def seen(self, numbers: NDArray[np.int64]) -> tuple[Vectors, Vectors]:
        """Log-beliefs (n, cells, cells, 7) and features (n, cells, cells, f) of some windows, float32."""
        rows = [self._shards[number // self._size][number % self._size] for number in numbers.tolist()]
        both = np.stack(rows).astype(np.float32)
        return both[..., : len(CLASSES)], both[..., len(CLASSES) :]


def _look(path: Path, pictures: list[Pixels], decoder: Decoder, rng: np.random.Generator) -> None:
    both = np.concatenate(decoder.described(_lit(pictures, decoder.size_px, rng), FINE_CELLS), axis=-1)
    partial = path.with_suffix(".part")
    with open(partial, "wb") as file:
        np.save(file, both.astype(np.float16))
    partial.rename(path)


def _lit(pictures: list[Pixels], size_px: int, rng: np.random.Generator) -> list[Pixels]:
    """The decoder's squares of pictures, taken by another camera at another hour."""
    generator = Generator().manual_seed(int(rng.integers(1 << 62)))
    squares = np.stack([resized(np.ascontiguousarray(picture), size_px) for picture in pictures])
    seen = lit(torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255, _GAMMA, generator)
    return list((seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())
