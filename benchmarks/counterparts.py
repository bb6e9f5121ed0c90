"""Maps looked up among all 1,096 pictures of a city, and pictures among all of its maps, as a user does."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import geoanchor
from app.index import Index
from benchmarks.matching import REAL
from geoanchor.image import Layer, Pixels
from retrieval.counterpart import OTHER
from training.datasets import Pictures
from training.patches import Box
from training.structure.pairs import Part, part_of

SIDES: tuple[Layer, ...] = ("map", "aerial")
JUDGED: tuple[Part, ...] = ("validation", "calibration")
"""Nothing learned from either; on the calibration tenth thresholds and one weight were chosen."""
SEEDS = range(3)
MOST_MOVED = 0.1
_PART = 0.8
"""Of a row's side, that a window shows which shows less ground than the rows."""
K = 10
_RIGHT = 0.01
"""Of the side; an offset as near to the true one is right."""


class Asked(NamedTuple):
    """Rank of the true other side, 0 where it is not among the first K, and how far the told offset is off, infinite
    where none is told."""

    rank: int
    miss: float


def run() -> dict[str, Any]:
    """Recall and offsets of each side and part, mean over the seeds of where the windows lie, with the spread."""
    if not REAL.exists():
        return {"pairs": f"{REAL} is not there"}
    pictures, names = Pictures(REAL), _names()
    figures: dict[str, Any] = {"gallery": len(names)}
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            index = _gallery(pictures, names, OTHER[side], Path(folder))
            for part, (most, scale) in product(JUDGED, ((0.0, 1.0), (MOST_MOVED, 1.0), (MOST_MOVED, _PART))):
                own = [name for name in names if part_of(name) == part]
                figures |= _figures(index, pictures, own, side, part, most, scale)
    return figures


def _names() -> list[str]:
    with tarfile.open(REAL) as archive:
        return sorted(Path(member).name for member in archive.getnames() if Path(member).parent.name == "map")


def _gallery(pictures: Pictures, names: list[str], layer: Layer, folder: Path) -> Index:
    """Every picture of a layer without its rim, from which the windows of the other side move away."""
    (folder / layer).mkdir()
    for name in names:
        picture = pictures.read(f"{layer}/{name}")
        seen = _window(picture, 0, 0).cut(picture)
        Image.fromarray(seen).save(folder / layer / f"{Path(name).stem}.png", compress_level=1)
    geoanchor.build(str(folder / layer), folder / f"{layer}.index", layer=layer)
    return geoanchor.open(folder / f"{layer}.index")


def _figures(
    index: Index, pictures: Pictures, names: list[str], side: Layer, part: Part, most: float, scale: float
) -> dict[str, Any]:
    started = perf_counter()
    seeds = SEEDS if most and scale == 1 else SEEDS[:1]
    runs = [list(_ask(index, pictures, names, side, most, scale, seed)) for seed in seeds]
    seconds = (perf_counter() - started) / sum(map(len, runs))
    title = f"{part} {side}s, {'moved up to 10 %' if most else 'unmoved'}"
    if scale != 1:
        title += f", showing {scale:.0%} of the side"
    recall = {k: [100 * mean(0 < asked.rank <= k for asked in run) for run in runs] for k in (1, 5, K)}
    hits = [[asked.miss for asked in run if asked.rank] for run in runs]
    told = [[miss for miss in run if np.isfinite(miss)] for run in hits]
    return {
        f"{title}: questions": len(names),
        **{f"{title}: R@{k}, %": _spread(values) for k, values in recall.items()},
        f"{title}: shift told, % of the hits": _spread(
            [100 * len(a) / len(b) for a, b in zip(told, hits, strict=True)]
        ),
        f"{title}: shift within 1 % of the side, % of the hits": _spread([_right(run) for run in hits]),
        f"{title}: shift within 1 % of the side, % of those told": _spread([_right(run) for run in told]),
        f"{title}: ms a question": round(1000 * seconds),
    }


def _ask(
    index: Index, pictures: Pictures, names: list[str], side: Layer, most: float, scale: float, seed: int
) -> Iterator[Asked]:
    """One side of each name, its window moved at random by up to `most` of a row's side, `scale` of which it shows."""
    rng = np.random.default_rng(seed)
    for name in names:
        picture = pictures.read(f"{side}/{name}")
        east, south = rng.uniform(-most, most, 2)
        window, middle = _window(picture, east, south, scale), _window(picture, 0, 0)
        pixels = window.cut(picture)
        hits = index.search(map=pixels, k=K) if side == "map" else index.search(image=pixels, k=K)
        found = next((hit for hit in hits if Path(hit.id).stem == Path(name).stem), None)
        # A map's window further east shows the same thing further west; that of a picture leaves the map behind.
        map_of, other = (window, middle) if side == "map" else (middle, window)
        true = (_centre(other) - _centre(map_of)) / (middle.right - middle.left)
        told = found.why.get("offset") if found else None
        yield Asked(found.rank if found else 0, float(np.linalg.norm(told - true)) if told is not None else np.inf)


def _window(picture: Pixels, east: float, south: float, scale: float = 1.0) -> Box:
    """The middle of a picture, its rim as wide as a window may move, moved by shares of its side; of that a share."""
    side = int(len(picture) / (1 + 2 * MOST_MOVED))
    shown = round(scale * side)
    rim = (len(picture) - shown) // 2
    top, left = rim + round(south * side), rim + round(east * side)
    return Box(top, left, top + shown, left + shown)


def _centre(box: Box) -> NDArray[np.float64]:
    return np.array([box.left + box.right, box.top + box.bottom]) / 2


def _right(misses: list[float]) -> float:
    return 100 * mean(miss <= _RIGHT for miss in misses)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
