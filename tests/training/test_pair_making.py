"""Pairs made from true ones: matches made like the mismatches, every edit, nothing written over."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoanchor.errors import UsageError
from geoanchor.tiling import tiles_in
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.city.looks import LOOKS
from training.pairlist import read_pairs
from training.pairs import pairs_of_pictures, pairs_of_tiles
from training.patches import quartet


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_pairs_of_pictures_have_matches_made_like_the_mismatches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{n}.png" for n in range(4)]
    for layer in ("aerial", "map"):
        (tmp_path / "source" / layer).mkdir(parents=True)
        for name in names:
            noise = rng.integers(0, 255, (60, 60, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "source" / layer / name)
    pairs = read_pairs(pairs_of_pictures(tmp_path / "source", names, tmp_path / "out"))
    counts = {(pair.kind, pair.label) for pair in pairs}
    assert counts == {("", 1), ("swap", 0)} | {
        (kind, label) for kind in ("patch50", "patch25", "mixed50", "mixed25", "moved") for label in (0, 1)
    }
    assert all(pair.aerial.is_file() and pair.map.is_file() for pair in pairs)
    mixed = [pair for pair in pairs if pair.kind == "mixed50"]
    assert [pair.aerial for pair in mixed if pair.label] == [pair.aerial for pair in mixed if not pair.label]
    assert len(read_pairs(tmp_path / "out" / "retrieval.csv")) == 4
    for pair in read_pairs(tmp_path / "out" / "retrieval-moved.csv"):
        seen, source = (
            np.asarray(Image.open(pair.map)),
            np.asarray(Image.open(tmp_path / f"source/map/{pair.map.stem[0]}.png")),
        )
        assert pair.dx is not None
        assert pair.dy is not None
        # The aerial picture shows the middle; the map's content lies dx, dy off that.
        top, left = 5 - round(pair.dy * 50), 5 - round(pair.dx * 50)
        assert np.array_equal(seen, source[top : top + 50, left : left + 50])


@pytest.mark.parametrize("count", [3, 4, 5])
def test_of_few_pictures_none_is_a_stranger_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A map that was put in the place of its own parts would be without seams, and a mismatch all the same."""
    for layer in ("aerial", "map"):
        (tmp_path / "source" / layer).mkdir(parents=True)
        for n in range(count):
            Image.fromarray(np.full((60, 60, 3), 20 * n + 9, np.uint8)).save(tmp_path / "source" / layer / f"{n}.png")
    asked: list[set[int]] = []

    def spied(own: Any, other: Any, third: Any, box: Any) -> Any:
        asked.append({int(pair[1][0, 0, 0]) for pair in (own, other, third)})
        return quartet(own, other, third, box)

    monkeypatch.setattr("training.pairs.quartet", spied)
    for seed in range(12):
        pairs_of_pictures(tmp_path / "source", [f"{n}.png" for n in range(count)], tmp_path / f"out{seed}", seed)
    assert len(asked) == 12 * 2 * count
    assert {len(colours) for colours in asked} == {3}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["x/a.png", "x/b.png", "y/a.png"], r"x/a\.png and y/a\.png would be written to one file"),
        (["a.png", "b.png"], "three pictures or more, and there are 2"),
    ],
)
def test_pictures_that_make_no_pairs_are_refused_before_any_is_written(
    tmp_path: Path, names: list[str], said: str
) -> None:
    for layer in ("aerial", "map"):
        for name in names:
            path = tmp_path / "source" / layer / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((60, 60, 3), 99, np.uint8)).save(path)
    with pytest.raises(UsageError, match=said):
        pairs_of_pictures(tmp_path / "source", names, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pairs_of_tiles_hold_every_edit_and_repeat_themselves(tmp_path: Path) -> None:
    city = City(3, "A")
    tiles = list(tiles_in(city.extent, 17))[240:243]

    def aerial(tile: Any) -> Any:
        return render_aerial(city, tile, 32, LOOKS["A"], 3)

    digests = []
    for run in ("one", "two"):
        path = pairs_of_tiles(city, tiles, aerial, tmp_path / run)
        files = sorted(file for file in path.parent.rglob("*.*") if file.is_file())
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    pairs = read_pairs(path)
    assert {"", "swap", "delete", "shift", "drop_road"} <= {pair.kind for pair in pairs}
    assert all(pair.changed and 0 < pair.changed < 1 for pair in pairs if pair.kind not in ("", "swap"))
    assert {row["label"] for row in read_csv(path)} == {"0", "1"}
