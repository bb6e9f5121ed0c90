"""Maps looked up among all 1,096 pictures of a city, and pictures among all of its maps, as a user does."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any, Literal, NamedTuple

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
MOST_MOVED = 0.1
"""Of a question's own side, in any direction."""
K = 10
_RIGHT = 0.01
"""Of a question's own side; an offset as near to the true one is right."""


class Case(NamedTuple):
    """How questions are cut from pictures.

    Attributes:
        title: in words. row: of a picture, in its middle, that is in the index. part: of a row's side, that a question
            shows. moved: whether it lies elsewhere than in the middle. draws: of where. filled: a question is as
            large as a row however far it is moved, and this lies beyond the picture: its edge, or white; "" for a
            question that shows the picture alone.
    """

    title: str
    row: float
    part: float
    moved: bool
    draws: int
    filled: Literal["", "edge", "white"] = ""


WHOLE = Case("whole", 1.0, 1.0, False, 1)
FILLED = Case("whole, moved up to 10 %, filled by its edge", 1.0, 1.0, True, 1, "edge")
BLANK = Case("whole, moved up to 10 %, white beyond", 1.0, 1.0, True, 1, "white")
MOVED = Case("parts of .8 of the side, moved up to 10 %", 1.0, 0.8, True, 3)
BEYOND = Case("moved up to 10 %, beyond what the rows show", 1 / 1.2, 1.0, True, 1)


class Asked(NamedTuple):
    """Rank of the true other side, 0 where it is not among the first K, and how far the told offset is off, in sides of
    the question, infinite where none is told."""

    rank: int
    miss: float


def run() -> dict[str, Any]:
    """Recall and offsets of each side and part, mean over draws of where the windows lie, with the spread."""
    if not REAL.exists():
        return {"pairs": f"{REAL} is not there"}
    pictures, names = Pictures(REAL), _names()
    figures: dict[str, Any] = {"gallery": len(names)}
    for side in SIDES:
        for row, cases in ((WHOLE.row, (WHOLE, FILLED, BLANK, MOVED)), (BEYOND.row, (BEYOND,))):
            with tempfile.TemporaryDirectory() as folder:
                index = _gallery(pictures, names, OTHER[side], row, Path(folder))
                for part in JUDGED:
                    own = [name for name in names if part_of(name) == part]
                    for case in cases:
                        figures |= _figures(index, pictures, own, side, part, case)
    return figures


def _names() -> list[str]:
    with tarfile.open(REAL) as archive:
        return sorted(Path(member).name for member in archive.getnames() if Path(member).parent.name == "map")


def _gallery(pictures: Pictures, names: list[str], layer: Layer, row: float, folder: Path) -> Index:
    """An index of the middles of every picture of a layer."""
    (folder / layer).mkdir()
    for name in names:
        picture = pictures.read(f"{layer}/{name}")
        seen = _window(picture, row).cut(picture)
        Image.fromarray(seen).save(folder / layer / f"{Path(name).stem}.png", compress_level=1)
    geoanchor.build(str(folder / layer), folder / f"{layer}.index", layer=layer)
    return geoanchor.open(folder / f"{layer}.index")


def _figures(index: Index, pictures: Pictures, names: list[str], side: Layer, part: Part, case: Case) -> dict[str, Any]:
    started = perf_counter()
    draws = case.draws if side == "map" else 1
    runs = [list(_ask(index, pictures, names, side, case, seed)) for seed in range(draws)]
    seconds = (perf_counter() - started) / sum(map(len, runs))
    title = f"{part} {side}s, {case.title}"
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


def _ask(index: Index, pictures: Pictures, names: list[str], side: Layer, case: Case, seed: int) -> Iterator[Asked]:
    """One side of each name."""
    rng = np.random.default_rng(seed)
    for name in names:
        picture = pictures.read(f"{side}/{name}")
        east, south = rng.uniform(-MOST_MOVED, MOST_MOVED, 2) if case.moved else (0.0, 0.0)
        (pixels, window), row = _shown(picture, case, east, south), _window(picture, case.row)
        hits = index.search(map=pixels, k=K) if side == "map" else index.search(image=pixels, k=K)
        found = next((hit for hit in hits if Path(hit.id).stem == Path(name).stem), None)
        # A map's window further east shows the same thing further west; that of a picture leaves the map behind.
        map_of, other = (window, row) if side == "map" else (row, window)
        true, told = _centre(other) - _centre(map_of), found.why.get("offset") if found else None
        off = np.inf if told is None else np.linalg.norm(np.array(told) * (row.right - row.left) - true)
        yield Asked(found.rank if found else 0, float(off) / (window.right - window.left))


def _shown(picture: Pixels, case: Case, east: float, south: float) -> tuple[Pixels, Box]:
    """What a question shows, its middle moved by shares of its own side, and where that lies in the picture."""
    if not case.filled:
        window = _window(picture, case.row * case.part, east, south)
        return window.cut(picture), window
    side = len(picture)
    top, left = round(south * side), round(east * side)
    rim = max(abs(top), abs(left))
    rims = [(rim, rim), (rim, rim), (0, 0)]
    edge = case.filled == "edge"
    around = np.pad(picture, rims, mode="edge") if edge else np.pad(picture, rims, constant_values=255)
    shown = around[rim + top : rim + top + side, rim + left : rim + left + side]
    return np.ascontiguousarray(shown), Box(top, left, top + side, left + side)


def _window(picture: Pixels, share: float, east: float = 0.0, south: float = 0.0) -> Box:
    """So much of a picture's side, its middle moved by shares of its own side."""
    side = round(share * len(picture))
    rim = (len(picture) - side) // 2
    top, left = (min(max(rim + round(by * side), 0), len(picture) - side) for by in (south, east))
    return Box(top, left, top + side, left + side)


def _centre(box: Box) -> NDArray[np.float64]:
    return np.array([box.left + box.right, box.top + box.bottom]) / 2


def _right(misses: list[float]) -> float:
    return 100 * mean(miss <= _RIGHT for miss in misses)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
