"""Real pairs in the tile cache are those of the recipe."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from geoanchor.feature import Feature
from training.anchorcache import FILE, annotate_places, annotated
from training.anchors.vectors import version_of
from training.realpairs import PLACE, cache_pairs
from training.recipe import Pairs
from training.runlog import silent
from training.structure.pairs import part_of


def test_the_cache_follows_the_settings(tmp_path: Path) -> None:
    names = [name for name in (f"{n}.png" for n in range(60)) if part_of(name) == "train"][:5]
    for layer in ("aerial", "map"):
        (tmp_path / "pairs" / layer).mkdir(parents=True)
        for name in names:
            Image.fromarray(np.full((32, 32, 3), 240, np.uint8)).save(tmp_path / "pairs" / layer / name)
    words = tmp_path / "tiles" / "train" / PLACE / "words.json"
    for limit, count in ((2, 2), (0, 5), (3, 3)):
        pairs = Pairs(path=tmp_path / "pairs", metres=80, limit=limit)
        cache_pairs(pairs, 16, tmp_path / "tiles", silent, ("train",))
        assert json.loads(words.read_text("utf-8"))["tiles"] == sorted(names)[:count]
        before = words.stat().st_mtime_ns
        cache_pairs(pairs, 16, tmp_path / "tiles", silent, ("train",))
        assert words.stat().st_mtime_ns == before


def test_anchors_of_an_older_annotator_are_made_anew(tmp_path: Path) -> None:
    name = next(name for name in (f"{n}.png" for n in range(60)) if part_of(name) == "train")
    for layer in ("aerial", "map"):
        (tmp_path / "pairs" / layer).mkdir(parents=True)
        Image.fromarray(np.full((32, 32, 3), 240, np.uint8)).save(tmp_path / "pairs" / layer / name)
    shard, pairs = tmp_path / "tiles" / "train" / PLACE, Pairs(path=tmp_path / "pairs", metres=80)
    cache_pairs(pairs, 16, tmp_path / "tiles", silent, ("train",))
    now = (shard / FILE).read_text("utf-8")
    assert annotated(shard)
    (shard / FILE).write_text(now.replace(version_of(), "metrics-1.rules-1"), "utf-8")
    assert not annotated(shard)
    cache_pairs(pairs, 16, tmp_path / "tiles", silent, ("train",))
    assert (shard / FILE).read_text("utf-8") == now


def test_a_place_of_an_older_annotator_is_annotated_anew(tmp_path: Path) -> None:
    class Town(NamedTuple):
        split: str = "train"
        name: str = "town"

        def open(self) -> list[Feature]:
            return []

    shard = tmp_path / "train" / "town"
    shard.mkdir(parents=True)
    (shard / "words.json").write_text(json.dumps({"tiles": ["17/70000/45000"]}), "utf-8")
    said: list[str] = []
    for _ in range(2):
        annotate_places([Town()], tmp_path, said.append)
    assert len(said) == 1
    file = shard / FILE
    now = file.read_text("utf-8")
    file.write_text(now.replace(version_of(), "metrics-1.rules-1"), "utf-8")
    annotate_places([Town()], tmp_path, said.append)
    assert (len(said), file.read_text("utf-8")) == (2, now)
