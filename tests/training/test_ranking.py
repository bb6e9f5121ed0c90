"""Maps of pairs that show less ground than the pictures, or more, are ranked and laid as a search does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoanchor.tiling import tiles_in
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.render import render_map
from models.bundle import load_bundle
from training.evaluate import evaluate_map_to_aerial
from training.pairlist import read_pairs

SIDE, PART = 240, 0.8
CITY = City(17)
TILES = tuple(list(tiles_in(CITY.extent, 17))[150:270:8])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of maps beside whole pictures, and how far the window's own frame lies off."""
    folder, rng = tmp_path_factory.mktemp("windows"), np.random.default_rng(0)
    lines, part = ["aerial,map,label,dx,dy"], round(PART * SIDE)
    for n, tile in enumerate(TILES):
        left, top = rng.integers(0, SIDE - part, 2).tolist()
        Image.fromarray(render_aerial(CITY, tile, SIDE, LOOKS["A"], 0)).save(folder / f"a{n}.png")
        window = render_map(CITY, tile, SIDE)[top : top + part, left : left + part]
        Image.fromarray(window).save(folder / f"m{n}.png")
        rim = (SIDE - part) / 2
        lines.append(f"a{n}.png,m{n}.png,1,{(rim - left) / SIDE},{(rim - top) / SIDE}")
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def test_windows_find_their_picture_and_their_place_in_it(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mini = load_bundle("mini")
    told = evaluate_map_to_aerial(mini, read_pairs(pairs))
    monkeypatch.setattr("training.ranking.SCALES", (1.0,))
    at_own_scale = evaluate_map_to_aerial(mini, read_pairs(pairs))
    for way in ("map_to_aerial", "aerial_to_map"):
        assert told[way]["R@1"] >= 90, told
        assert told[way]["R@1"] > at_own_scale[way]["R@1"] + 10, at_own_scale
    assert told["offsets"]["median"] < 0.015
    assert at_own_scale["offsets"]["median"] > 0.03


def test_the_blank_rim_of_a_map_is_judged_as_a_search_takes_it(tmp_path: Path) -> None:
    tables = []
    for fill in ({"mode": "constant", "constant_values": 255}, {"mode": "symmetric"}):
        lines = ["aerial,map,label,dx,dy"]
        for n, tile in enumerate(TILES[:4]):
            Image.fromarray(render_aerial(CITY, tile, SIDE, LOOKS["A"], 0)).save(tmp_path / f"a{n}.png")
            seen = render_map(CITY, tile, SIDE)[:, : SIDE - 20]
            Image.fromarray(np.pad(seen, [(0, 0), (20, 0), (0, 0)], **fill)).save(tmp_path / f"m{n}.png")
            lines.append(f"a{n}.png,m{n}.png,1,{20 / SIDE},0")
        (tmp_path / "pairs.csv").write_text("\n".join(lines))
        tables.append(evaluate_map_to_aerial(load_bundle("mini"), read_pairs(tmp_path / "pairs.csv")))
    blank, mirrored = tables
    assert blank["offsets"] == mirrored["offsets"]
    assert blank["map_to_aerial"] == mirrored["map_to_aerial"]
    assert blank["offsets"]["median"] < 0.01
