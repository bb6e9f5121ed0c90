"""Semantic anchors of cached tiles: a JSONL file beside each place's pictures, and all of them as arrays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.settings import Settings
from geoanchor.tiling import Tile
from models.bundle import load_bundle
from models.text import SentenceEncoder
from training.anchors.schema import Anchor, Branch, listing, sentence
from training.anchors.vectors import annotate, version_of
from training.places import Place
from training.recipe import Anchors
from training.runlog import Log

FILE = "anchors.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class TileAnchors:
    """Anchors of n tiles.

    Attributes:
        attributes: (n, 11) numbers of the values. texts: distinct sentences; aerial, map: (n,) positions in them, each
            branch told only what it can see.
    """

    attributes: NDArray[np.uint8]
    texts: tuple[str, ...]
    aerial: NDArray[np.int64]
    map: NDArray[np.int64]

    def agreement(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, n) how many attributes of rows and rows are equal, 0..11."""
        own = self.attributes[rows]
        return np.asarray((own[:, None] == own[None]).sum(axis=2))


def annotate_places(places: Iterable[Place], folder: Path, log: Log) -> None:
    """Annotate every cached place from its vectors, once for each version of the annotator; a stopped run goes on with
    the place it was at."""
    for place in places:
        shard = folder / place.split / place.name
        if annotated(shard):
            continue
        features = place.open()
        tiles = json.loads((shard / "words.json").read_text("utf-8"))["tiles"]
        write_anchors(shard, [annotate(features, _tile(name)) for name in tiles])
        log(f"annotated {len(tiles)} tiles of {place.name}")


def annotated(shard: Path) -> bool:
    """Whether a place has anchors, and such as would be made of it now."""
    file = shard / FILE
    if not file.is_file():
        return False
    with file.open(encoding="utf-8") as lines:
        first = lines.readline()
    try:
        return not first or json.loads(first)["annotator_version"] == version_of()
    except (ValueError, KeyError, TypeError):
        return False


def write_anchors(shard: Path, anchors: Sequence[Anchor]) -> None:
    """Write a place's anchors in one step."""
    partial = shard / f"{FILE}.part"
    partial.write_text("".join(anchor.model_dump_json() + "\n" for anchor in anchors), "utf-8")
    partial.replace(shard / FILE)


def read_anchors(shards: Sequence[Path], form: Literal["sentence", "listing"]) -> TileAnchors:
    """Anchors of places one after another. Raises UsageError where a place has none."""
    bare = next((shard for shard in shards if not (shard / FILE).is_file()), None)
    if bare:
        raise UsageError(f"{bare}: has no {FILE}; annotate the places first")
    lines = [line for shard in shards for line in (shard / FILE).read_text("utf-8").splitlines()]
    anchors = [Anchor.model_validate_json(line) for line in lines]
    texts: dict[str, int] = {}
    aerial, maps = (
        np.array([texts.setdefault(_told(anchor, branch, form), len(texts)) for anchor in anchors], np.int64)
        for branch in ("aerial", "map")
    )
    codes = np.array([anchor.attributes.codes() for anchor in anchors], np.uint8)
    return TileAnchors(codes, tuple(texts), aerial, maps)


def text_vectors(texts: Sequence[str], anchors: Anchors, settings: Settings | None = None) -> NDArray[np.float32]:
    """(t, d) unit vectors of the frozen text encoder that the recipe names. Raises ModelNotFound, OfflineError."""
    if anchors.text == "minilm":
        return SentenceEncoder().encode(texts)
    vectors = load_bundle(anchors.text, settings).encode(list(texts), "text")
    return np.asarray(next(iter(vectors.values())), np.float32)


def _told(anchor: Anchor, branch: Branch, form: Literal["sentence", "listing"]) -> str:
    if form == "listing":
        return listing(anchor.attributes, branch)
    return sentence(anchor.attributes, anchor.id, branch, anchor.metrics.get("water_share", 0.0))


def _tile(name: str) -> Tile:
    z, x, y = map(int, re.findall(r"\d+", name))
    return Tile(z, x, y)
