"""A matcher whose judgement can be computed by hand, and a source that draws structure for it to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.gaps import Gaps
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.protocols import Judgement, Role, RowVectors, TileRef, Vectors
from geoanchor.space import EmbeddingSpace, Modality
from geoanchor.structure import CLASSES, informative
from geoanchor.tiling import Bounds, Tile
from indexer.build import BuildOptions, build
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving

CELLS = 20
"""Side of the grid of codes."""
CELL_PX = 4
INKS = np.array([(242, 239, 233), (170, 210, 150), (120, 170, 220), (200, 60, 50), (255, 255, 0), (250, 150, 0),
                 (60, 60, 60)], np.uint8)  # fmt: skip
"""Colour in which each class is drawn, on both layers."""
PRIOR = np.array([0.4, 0.25, 0.05, 0.15, 0.08, 0.05, 0.02])
SURE = 0.9

Classes = NDArray[np.uint8]
"""(CELLS, CELLS) class numbers, row 0 north."""


class GridMatcher:
    """Reads class codes as certain on the map and as 90 % sure in the picture; tries every offset in whole cells.

    A map that lies elsewhere than expected is held to be wrong."""

    spaces = ("grid",)
    cells = CELLS
    registrar = None

    def judge(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = 0.1,
        expected: Vectors | None = None,
        gaps: Gaps | None = None,
    ) -> Judgement:
        shares, beliefs = _one_hot(maps["grid"]), _beliefs(aerials["grid"])
        if gaps is not None:
            beliefs = beliefs * ~gaps[..., None]
        count = max(len(shares), len(beliefs))
        shares, beliefs = (np.broadcast_to(grid, (count, *grid.shape[1:])) for grid in (shares, beliefs))
        lies = np.zeros((count, 2)) if expected is None else np.asarray(expected) * CELLS
        around = int(max_offset * CELLS + 1e-6)
        reach = around + int(np.ceil(np.abs(lies).max(initial=0.0)))
        steps = sorted(((x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)), key=_length)
        moved = [_moved(beliefs, *step) for step in steps]
        evidence = np.stack([_evidence(shares, grid) for grid in moved])
        away = np.abs(np.array(steps)[:, None] - lies).max(axis=2)
        around = np.where(informative(_f32(shares)), around, 0)
        best = np.argmax(np.where(away <= around + 0.5, evidence.mean(axis=(2, 3)), -np.inf), axis=0)
        rows = np.arange(count)
        chosen = evidence[best, rows]
        content = 3 * shares[..., 3:].sum(axis=-1).mean(axis=(1, 2))
        offset = np.array(steps)[best] / CELLS
        departure = np.hypot(*(offset - (0 if expected is None else expected)).T)
        z = 4 * (chosen.mean(axis=(1, 2)) - 0.55) - 40 * np.maximum(departure - 0.01, 0)
        return Judgement(
            probability=_f32(1 / (1 + np.exp(-z))), offset=_f32(offset), content=_f32(content),
            evidence=_f32(chosen), shares=_f32(shares), beliefs=_f32(np.stack(moved)[best, rows]), parts={"z": _f32(z)},
        )  # fmt: skip

    def rank(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = 0.1,
        compared: int | None = None,
        hidden: Mapping[Layer, Gaps] | None = None,
    ) -> tuple[Vectors, Vectors]:
        """Every pair judged by itself, whatever is hidden; enough for a handful."""
        scores = np.zeros((len(maps[self.spaces[0]]), len(aerials[self.spaces[0]])), np.float32)
        offsets = np.zeros((*scores.shape, 2), np.float32)
        for row in range(len(scores)):
            judged = self.judge({name: rows[row : row + 1] for name, rows in maps.items()}, aerials, max_offset)
            scores[row], offsets[row] = judged.parts["z"], judged.offset
        return scores, offsets


class GridEncoder(ToyEncoder):
    """The toy encoder with a second space of class codes, read off the inks, and a matcher for them."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "grid"
        self.matcher = GridMatcher()
        codes = hashlib.sha256(INKS.tobytes()).hexdigest()
        self._grid = EmbeddingSpace(
            name="grid", dim=CELLS * CELLS, metric="codes", number="uint8", modalities=("aerial", "map"),
            weights=codes, preprocessing=codes,
        )  # fmt: skip

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        return {**super().spaces, "grid": self._grid}

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, RowVectors]:
        made: dict[str, RowVectors] = {**super().encode(items, modality, role)}
        if modality in ("aerial", "map"):
            made["grid"] = np.stack([_codes(pixels) for pixels in items if not isinstance(pixels, str)])
        return made


@dataclass
class Drawing:
    """A source of drawn tiles: class grids by tile, all taken at one time; their frames may lie `east` of the tiles, by
    a share of their side."""

    grids: Mapping[Tile, Classes]
    layer: Layer
    name: str = "drawing"
    acquired: datetime | None = None
    stamp: str = "1"
    nodata: float = 0.0
    tiled: bool = True
    east: float = 0.0
    attribution: str = "nobody"
    zoom: int | None = field(init=False, default=None)

    @property
    def uri(self) -> str:
        return f"{self.name}:{self.layer}"

    def plan(self) -> Iterator[TileRef]:
        for tile in self.grids:
            yield TileRef(f"{self.layer}/{self.name}/{tile}", str(tile), tile if self.tiled else None, self.stamp)

    def read(self, ref: TileRef) -> TileImage:
        tile = Tile(*map(int, ref.key.split("/")))
        box = tile.bounds
        right = self.east * (box.east - box.west)
        bounds = Bounds(box.west + right, box.south, box.east + right, box.north)
        return TileImage(
            ref.id, draw(self.grids[tile]), self.layer, tile=tile if self.tiled else None, bounds=bounds,
            acquired=self.acquired, source=self.uri, attribution=self.attribution, nodata=self.nodata,
        )  # fmt: skip

    def close(self) -> None: ...


def draw(classes: Classes) -> Pixels:
    """A picture of class numbers; one corner pixel keeps an empty one from counting as blank."""
    pixels = INKS[classes].repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    pixels[0, 0] = 0
    return pixels


def index_of(folder: Path, *drawings: Drawing) -> Path:
    """A real index of some drawings."""
    build(folder, drawings, GridEncoder(), LanceStore, derive_serving, BuildOptions(threads=1))
    return folder


def town_block(seed: int, *, houses: int = 9) -> Classes:
    """A tile with a street each way, a green and some houses, all off the edge."""
    random = np.random.default_rng(seed)
    grid = np.zeros((CELLS, CELLS), np.uint8)
    grid[:, random.integers(8, 12)] = 4
    grid[random.integers(8, 12)] = 5
    grid[14:18, 3:7] = 1
    for _ in range(houses):
        row, column = random.integers(2, CELLS - 5, 2)
        grid[row : row + 2, column : column + 3] = 3
    return grid


def moved(classes: Classes, right: int, down: int) -> Classes:
    """The same ground drawn by whole cells too far right and down; what enters is other."""
    out = np.zeros_like(classes)
    height, width = classes.shape
    out[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = classes[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return out


def _codes(pixels: Pixels) -> NDArray[np.uint8]:
    step = pixels.shape[0] // CELLS
    middles = pixels[step // 2 :: step, step // 2 :: step][:CELLS, :CELLS].astype(int)
    return np.abs(middles[:, :, None] - INKS.astype(int)).sum(axis=-1).argmin(axis=-1).astype(np.uint8).reshape(-1)


def _one_hot(codes: RowVectors) -> NDArray[np.float64]:
    return np.eye(len(CLASSES))[np.asarray(codes).reshape(-1, CELLS, CELLS)]


def _beliefs(codes: RowVectors) -> NDArray[np.float64]:
    sure = _one_hot(codes)
    return sure * SURE + (1 - sure) * (1 - SURE) / (len(CLASSES) - 1)


def _moved(grid: NDArray[np.float64], right: int, down: int) -> NDArray[np.float64]:
    out = np.zeros_like(grid)
    rows, columns = grid.shape[1:3]
    out[:, max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)] = grid[
        :, max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
    ]
    return out


def _evidence(shares: NDArray[np.float64], beliefs: NDArray[np.float64]) -> NDArray[np.float64]:
    known = beliefs.sum(axis=-1) > 0
    return np.where(known, (shares * (np.log(np.maximum(beliefs, 1e-9)) - np.log(PRIOR))).sum(axis=-1), 0.0)


def _length(step: tuple[int, int]) -> tuple[int, int, int]:
    return step[0] ** 2 + step[1] ** 2, *step


def _f32(values: NDArray[np.float64]) -> Vectors:
    return np.asarray(values, np.float32)
