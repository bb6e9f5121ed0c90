"""Pictures of pairs and of maps made wrong: drawn anew from vectors, or composed of rasters without a tell-tale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoanchor.feature import FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import Tile
from indexer.render import render_map
from training.data import TilePairs, shrunk
from training.edits import any_edit
from training.matching.examples import Edits, Encode, Examples, in_views
from training.patches import moved_windows, patch, quartet
from training.places import Place
from training.recipe import Data
from training.runlog import Log

PATCHES = (0.5, 0.25)
"""Shares of the picture that foreign rectangles take."""
_LEAST = 0.005
"""Share of a tile below which a change is nobody's mistake."""
_FAR = 8
"""Levels of 255 by which a map's pixel must change to be another; buildings are hardly darker than their ground."""
_PICTURES, _FACTS = "edits.npy", "edits.json"


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pairs and edits as pictures, before any tower has seen them.

    Attributes:
        aerial, maps: (n, h, w, 3) uint8. changed: (e, h, w, 3) of the edited maps. edits: what they are.
        attributes: (n, 11) of the anchors. plain: (n,) the pairs that are as they were found.
    """

    aerial: Pixels
    maps: Pixels
    changed: Pixels
    edits: Edits
    attributes: NDArray[np.uint8]
    plain: NDArray[np.bool_]

    def encoded(self, aerial: Encode, maps: Encode, views: int) -> Examples:
        """Vectors of frozen towers, in the first `views` of the eight turns and mirrors."""
        return Examples(
            aerial=in_views(self.aerial, aerial, views),
            maps=in_views(self.maps, maps, views),
            changed=in_views(self.changed, maps, views),
            edits=self.edits,
            attributes=self.attributes,
            plain=self.plain,
        )


def cache_edits(places: Iterable[Place], data: Data, folder: Path, each: int, log: Log) -> None:
    """Draw `each` wrong maps of every cached tile of some places, once, beside its pictures."""
    for place in places:
        shard = folder / place.split / place.name
        if not (shard / _FACTS).is_file():
            _draw_edits(place.open(), place.number, data, shard, each)
            log(f"made wrong maps of {place.name}")


def _draw_edits(features: FeatureSource, number: int, data: Data, shard: Path, each: int) -> None:
    tiles = [_tile(name) for name in json.loads((shard / "words.json").read_text("utf-8"))["tiles"]]
    rng = np.random.default_rng([number, 13])
    facts: list[tuple[int, str, float]] = []
    drawn: list[Pixels] = []
    for row, tile in enumerate(tiles):
        for _ in range(each):
            seed, strength = int(rng.integers(1 << 31)), float(rng.random())
            donors = [tiles[int(i)] for i in rng.integers(len(tiles), size=3)]
            edit = any_edit(features, tile, donors, seed, strength, data.cache_px)
            if edit and edit.changed >= _LEAST:
                facts.append((row, edit.kind, edit.changed))
                drawn.append(shrunk(render_map(edit.features, tile, data.tile_px, "standard"), data.cache_px))
    side = (data.cache_px, data.cache_px, 3)
    np.save(shard / _PICTURES, np.stack(drawn) if drawn else np.zeros((0, *side), np.uint8))
    partial = shard / f"{_FACTS}.part"
    partial.write_text(json.dumps(facts), "utf-8")
    partial.replace(shard / _FACTS)


def drawn_pictures(pairs: TilePairs, places: NDArray[np.int64], attributes: NDArray[np.uint8]) -> Pictures:
    """Tiles of drawn places with the wrong maps that `cache_edits` left beside them; the standard style.

    Args:
        places: of `pairs`, by position. attributes: (len(pairs), 11).
    """
    rows = np.flatnonzero(np.isin(pairs.place, places))
    changed, facts, start = [], [], 0
    for place in np.unique(pairs.place[rows]):
        shard = pairs.shards[place]
        changed.append(np.load(shard / _PICTURES))
        own = json.loads((shard / _FACTS).read_text("utf-8"))
        facts += [(start + row, kind, share) for row, kind, share in own]
        start += int((pairs.place == place).sum())
    return Pictures(
        pairs.aerial(rows.tolist()),
        pairs.map(rows.tolist(), [0] * len(rows)),
        np.concatenate(changed),
        _edits(facts),
        attributes[rows],
        np.ones(len(rows), np.bool_),
    )


def composed_pictures(
    aerial: Pixels, maps: Pixels, attributes: NDArray[np.uint8], seed: int, shares: Sequence[float] = PATCHES
) -> Pictures:
    """Pairs of rasters, and of each three composites more with their own mismatch: two patched, one moved.

    A composite match has the same seams as its mismatch (`training.patches`), so no seam gives a mismatch away. Where
    the two maps show the same, as on open water, there is no mismatch and neither is made.

    Args:
        aerial, maps: (n, h, w, 3) uint8. attributes: (n, 11); composites keep those of the pair they are of.
    """
    rng = np.random.default_rng([seed, 17])
    made: list[tuple[int, str, float, Pixels, Pixels, Pixels]] = []
    shape = aerial.shape[1:3]
    for row in range(len(aerial)):
        first, second, third = ((aerial[i], maps[i]) for i in (row, *_others(row, len(aerial), rng)))
        for share in shares:
            match, mismatch = quartet(first, second, third, patch(rng, share, shape))
            made.append((row, f"patch {round(100 * share)} %", share, *match, mismatch[1]))
        near, far = moved_windows(rng, shape)
        seen, drawn, away = (shrunk(window, shape[0]) for window in (*map(near.cut, first), far.cut(first[1])))
        made.append((row, "moved", 1.0, seen, drawn, away))
    made = [entry for entry in made if _differs(*entry[4:])]
    n = len(aerial)
    facts = [(n + i, kind, share) for i, (_, kind, share, *_) in enumerate(made)]
    return Pictures(
        np.concatenate([aerial, np.stack([entry[3] for entry in made])]),
        np.concatenate([maps, np.stack([entry[4] for entry in made])]),
        np.stack([entry[5] for entry in made]),
        _edits(facts),
        np.concatenate([attributes, attributes[[entry[0] for entry in made]]]),
        np.arange(n + len(made)) < n,
    )


def _differs(one: Pixels, other: Pixels) -> bool:
    far = np.abs(one.astype(np.int16) - other).max(axis=2) > _FAR
    return bool(far.mean() >= _LEAST)


def _others(row: int, n: int, rng: np.random.Generator) -> tuple[int, int]:
    """Two different rows that are not `row`."""
    one, two = rng.choice(n - 1, 2, replace=False)
    return int(one + (one >= row)), int(two + (two >= row))


def _edits(facts: Sequence[tuple[int, str, float]]) -> Edits:
    return Edits(
        row=np.array([row for row, _, _ in facts], np.int64),
        kind=np.array([kind for _, kind, _ in facts], np.str_),
        strength=np.array([share for _, _, share in facts], np.float32),
    )


def _tile(name: str) -> Tile:
    z, x, y = map(int, re.findall(r"\d+", name))
    return Tile(z, x, y)
