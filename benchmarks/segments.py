"""What segments cost: an index with and without, and the deterministic segmenter beside the model's own encoding."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.timing import in_turn, ratio
from geoanchor.image import Pixels
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds
from indexer.build import BuildOptions, build
from indexer.city.city import City
from indexer.sources.registry import SourceOptions, open_source
from models.bundle import load_bundle
from models.regions import RegionSegmenter
from models.segments import open_segments
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving

TILES_WITHIN = 0.012
"""Degrees on each side of a town's middle."""


def run(model: str = "mini", rounds: int = 3) -> dict[str, Any]:
    """Milliseconds a tile, and ratios with their range over the rounds."""
    encoder = load_bundle(model)
    lng, lat = City(3).extent.center
    box = Bounds(lng - TILES_WITHIN, lat - TILES_WITHIN / 2, lng + TILES_WITHIN, lat + TILES_WITHIN / 2)
    drawn = open_source("city:3", SourceOptions(within=box))
    tiles: list[Pixels] = [drawn.read(ref).pixels for ref in drawn.plan()]
    prepared = [encoder.prepare(pixels, "aerial") for pixels in tiles]
    vectors = encoder.encode(prepared, "aerial")["semantic"]
    segmenter, parts = RegionSegmenter(), open_segments("regions", encoder, Settings())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = _write(tiles, folder / "pictures")
        numbers = iter(range(1000))

        def index(segments: bool) -> None:
            source = open_source(str(pictures), SourceOptions())
            into = folder / f"{next(numbers)}.index"
            made = parts if segments else None
            build(into, [source], encoder, LanceStore, derive_serving, BuildOptions(), segments=made)

        seconds = in_turn(
            {
                "encode": lambda: encoder.encode(prepared, "aerial"),
                "segment": lambda: [segmenter.segment(pixels) for pixels in tiles],
                "segment, cut and encode parts": lambda: parts.encode([parts.cut(pixels) for pixels in tiles], vectors),
                "index": lambda: index(False),
                "index with segments": lambda: index(True),
            },
            rounds,
        )
        sizes = {kind: _bytes(folder / f"{at}.index") for kind, at in (("index", 0), ("index with segments", 1))}
    count = len(tiles)
    figures: dict[str, Any] = {"model": model, "tiles": count}
    figures |= {f"{kind}: ms a tile, best": round(1000 * min(own) / count, 2) for kind, own in seconds.items()}
    figures |= {f"{kind}: kB a tile": round(size / count / 1000, 1) for kind, size in sizes.items()}
    for what, over, under in (
        ("segmenter over the model's own encoding, below 1", "segment", "encode"),
        ("index with segments over index without", "index with segments", "index"),
    ):
        middle, low, high = ratio(seconds[over], seconds[under])
        figures[what] = f"{middle:.2f} ({low:.2f}-{high:.2f})"
    return figures


def _write(tiles: list[Pixels], folder: Path) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(tiles):
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=90)
    return folder


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
