"""Pairs of a map and an aerial picture, encoded once, and what scores them: the model and rivals that never learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import OnBad, UsageError
from geoanchor.gaps import without_rim
from geoanchor.image import Layer, Pixels
from geoanchor.protocols import Encoder, Matcher, RowVectors
from geoanchor.structure import CLASS_OF
from indexer.sources.picture import read_picture
from models.palette import FOREIGN, foreignness, map_classes
from training.encoding import Progress, encode_readable, shared_space
from training.pairlist import Pair

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Scorer = Callable[[Rows, Rows], Floats]
"""Rows of n maps and of n aerial pictures -> (n,) scores, higher where they agree."""

_CHUNK = 256
"""Pairs judged at once: a judgement holds the classes of every cell."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPairs:
    """n pairs of which both pictures could be read, over m distinct maps and a distinct aerial pictures.

    Attributes:
        pairs: the n pairs; map_of, aerial_of: (n,) rows of their pictures.
        maps, aerials: vectors by space, m and a rows, in order of first use.
        built: (m,) share of building by the map's colours; edges: (a,) mean step of brightness from pixel to pixel.
        skipped: pairs left out. foreign: maps, of the m, that have colours of no style that is known.
    """

    pairs: tuple[Pair, ...]
    map_of: Rows
    aerial_of: Rows
    maps: Mapping[str, RowVectors]
    aerials: Mapping[str, RowVectors]
    built: Floats
    edges: Floats
    skipped: int
    foreign: int


def encode_pairs(
    encoder: Encoder, pairs: Sequence[Pair], batch_size: int, progress: Progress, on_bad: OnBad
) -> EncodedPairs:
    """Encode every distinct picture once. Raises UsageError when no pair has both its pictures readable."""
    matcher = encoder.matcher
    spaces = tuple(dict.fromkeys((shared_space(encoder, "aerial", "map"), *(matcher.spaces if matcher else ()))))
    built: list[float] = []
    foreign: list[bool] = []
    edges: list[float] = []

    def read_aerial(path: Path) -> Pixels:
        pixels = read(path, "aerial")
        edges.append(edge_density(pixels))
        return pixels

    def read_map(path: Path) -> Pixels:
        pixels = read(path, "map")
        built.append(float((map_classes(pixels) == CLASS_OF["building"]).mean()))
        foreign.append(foreignness(pixels) > FOREIGN)
        return pixels

    aerial_paths = list(dict.fromkeys(pair.aerial for pair in pairs))
    map_paths = list(dict.fromkeys(pair.map for pair in pairs))
    aerials, aerial_paths = encode_readable(
        encoder, aerial_paths, read_aerial, "aerial", spaces, batch_size, progress, on_bad
    )
    maps, map_paths = encode_readable(encoder, map_paths, read_map, "map", spaces, batch_size, progress, on_bad)
    aerial_row = {path: row for row, path in enumerate(aerial_paths)}
    map_row = {path: row for row, path in enumerate(map_paths)}
    kept = tuple(pair for pair in pairs if pair.aerial in aerial_row and pair.map in map_row)
    if not kept:
        raise UsageError("no pair has both its pictures readable")
    # A picture whose partners could not be read is of no pair, and no rival of those that are.
    used_maps, map_of = np.unique([map_row[pair.map] for pair in kept], return_inverse=True)
    used_aerials, aerial_of = np.unique([aerial_row[pair.aerial] for pair in kept], return_inverse=True)
    return EncodedPairs(
        pairs=kept,
        map_of=map_of,
        aerial_of=aerial_of,
        maps={name: vectors[used_maps] for name, vectors in maps.items()},
        aerials={name: vectors[used_aerials] for name, vectors in aerials.items()},
        built=np.array(built)[used_maps],
        edges=np.array(edges)[used_aerials],
        skipped=len(pairs) - len(kept),
        foreign=int(np.array(foreign)[used_maps].sum()),
    )


def scorers(encoder: Encoder, encoded: EncodedPairs, seed: int) -> dict[str, Scorer]:
    """The model's own first: "matcher" where it has one, the "cosine" of its shared space, then the untrained.

    "density" compares two ranks: of the map by its share of building, of the picture by its edges.
    """
    space = shared_space(encoder, "aerial", "map")
    built, edges = _ranks(encoded.built), _ranks(encoded.edges)
    found: dict[str, Scorer] = {}
    if encoder.matcher:
        found["matcher"] = _judged(encoder.matcher, encoded)
    return found | {
        "cosine": lambda maps, aerials: _products(encoded.maps[space][maps], encoded.aerials[space][aerials]),
        "density": lambda maps, aerials: -np.abs(built[maps] - edges[aerials]),
        "random": lambda maps, _aerials: np.random.default_rng(seed).random(len(maps)),
    }


def edge_density(pixels: Pixels) -> float:
    """Mean absolute step of brightness between neighbouring pixels, 0..1."""
    grey = pixels.mean(axis=2) / 255
    return float(sum(np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)) / 2)


def _judged(matcher: Matcher, encoded: EncodedPairs) -> Scorer:
    def score(maps: Rows, aerials: Rows) -> Floats:
        parts = [
            matcher.judge(
                _take(encoded.maps, maps[at], matcher), _take(encoded.aerials, aerials[at], matcher)
            ).probability
            for at in _chunks(len(maps))
        ]
        return np.concatenate(parts).astype(np.float64)

    return score


def _take(vectors: Mapping[str, RowVectors], rows: Rows, matcher: Matcher) -> dict[str, RowVectors]:
    return {name: vectors[name][rows] for name in matcher.spaces}


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def _products(maps: RowVectors, aerials: RowVectors) -> Floats:
    products: Floats = np.einsum("nd,nd->n", maps, aerials).astype(np.float64)
    return products


def _ranks(values: Floats) -> Floats:
    """(n,) share of values below each, ties counted half."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(values)))


def read(path: Path, layer: Layer) -> Pixels:
    """The picture of a file; of a map without its blank rim, as a search takes it. Raises BadInput when it is none."""
    pixels = read_picture(path.read_bytes(), str(path))
    return without_rim(pixels) if layer == "map" else pixels
