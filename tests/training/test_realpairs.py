"""Real pairs in the tile cache are those of the recipe."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

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
