"""A source that draws its pictures, for tests; run as a program, it builds an index to be killed at."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geoanchor.errors import BadInput
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.manifest import Manifest
from geoanchor.protocols import Role, TileRef, Vectors
from geoanchor.space import Modality
from geoanchor.tiling import Tile
from indexer.build import BuildOptions, build
from indexer.report import BuildReport
from indexer.store import IndexStore
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore

SIDE_PX = 16


@dataclass
class DrawnSource:
    """Tiles of random colours on one grid; `versions` name -> stamp says which exist.

    Pictures whose number is in `broken` cannot be read, those in `blank` show one colour.
    """

    uri: str = "drawn"
    layer: Layer = "aerial"
    zoom: int | None = 17
    attribution: str = "nobody"
    versions: dict[int, str] = field(default_factory=dict)
    broken: frozenset[int] = frozenset()
    blank: frozenset[int] = frozenset()
    reads: list[str] = field(default_factory=list)

    def id(self, number: int) -> str:
        return f"{self.layer}/{self.uri}/{number:05}"

    def tile(self, number: int) -> Tile | None:
        return None if self.zoom is None else Tile(self.zoom, 70_000 + number % 23, 45_000 + number // 23)

    def plan(self) -> Iterator[TileRef]:
        for number, stamp in self.versions.items():
            yield TileRef(self.id(number), str(number), self.tile(number), stamp)

    def pixels(self, number: int) -> Pixels:
        random = np.random.default_rng([number, int(self.versions[number])])
        colour = random.integers(0, 200, 3)
        return (colour + random.integers(0, 55, (SIDE_PX, SIDE_PX, 3))).astype(np.uint8)

    def read(self, ref: TileRef) -> TileImage:
        self.reads.append(ref.id)
        number = int(ref.key)
        if number in self.broken:
            raise BadInput(f"drawn picture {number}", "it was drawn broken")
        pixels = np.full((SIDE_PX, SIDE_PX, 3), 9, np.uint8) if number in self.blank else self.pixels(number)
        return TileImage(
            ref.id, pixels, self.layer, tile=ref.tile, source=f"{self.uri}#{number}", caption=f"place {number % 50}",
            tags=("building=yes", f"leisure=kind_{number % 7}"),
        )  # fmt: skip

    def close(self) -> None: ...


def drawn(count: int, **facts: object) -> DrawnSource:
    return DrawnSource(versions=dict.fromkeys(range(count), "1"), **facts)  # type: ignore[arg-type]


class SlowToy(ToyEncoder):
    """The toy encoder at a pace at which a build can be killed."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self._delay_s = delay_s

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> Mapping[str, Vectors]:  # type: ignore[override]
        time.sleep(self._delay_s)
        return super().encode(items, modality, role)


def nothing_to_derive(folder: Path, store: IndexStore, manifest: Manifest) -> Manifest:
    return manifest


def killable_build(folder: Path, encoder: ToyEncoder, count: int = 300) -> BuildReport:
    """A build with everything in it: two layers, broken and blank pictures, many small commits."""
    aerial = drawn(count, broken=frozenset(range(5, count, 41)), blank=frozenset(range(3, count, 29)))
    maps = drawn(count // 2, layer="map", broken=frozenset({7}))
    options = BuildOptions(batch_size=16, threads=2, commit_rows=32)
    return build(folder, [aerial, maps], encoder, LanceStore, nothing_to_derive, options)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    killable_build(Path(sys.argv[1]), SlowToy(float(sys.argv[2])))
