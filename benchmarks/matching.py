"""Maps told from one another by the shipped model: real pairs nothing learned from, and edits of an unseen town."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from geoanchor.image import Pixels
from geoanchor.protocols import Encoder
from geoanchor.tiling import Tile, tiles_in
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.city.looks import LOOKS
from models.bundle import load_bundle
from training.evaluate import evaluate_map_to_aerial, evaluate_matching
from training.pairlist import read_pairs
from training.pairs import pairs_of_pictures, pairs_of_tiles
from training.structure.pairs import read_pictures

REAL = Path("../shared/data/maps/pairs.tar")
"""Aerial and map pairs; their validation tenth is judged."""
TOWN, COUNTRY, TILES = 901, "C", 40
"""An unseen town of the country that no recipe learns from."""
_KS = ("R@1", "R@5", "R@10")


def run() -> dict[str, Any]:
    """Recall both ways, unmoved and moved; AUROC of each kind of wrong map, with the plain cosine beside it."""
    encoder = load_bundle("mini")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = _real(encoder, folder / "real") if REAL.exists() else {"real pairs": f"{REAL} is not there"}
        return figures | _drawn(encoder, folder / "drawn")


def _real(encoder: Encoder, folder: Path) -> dict[str, Any]:
    names, _, _ = read_pictures(REAL, "validation")
    pairs = pairs_of_pictures(REAL, names, folder)
    figures: dict[str, Any] = {"real pairs": len(names)}
    for title, file in (("real", "retrieval.csv"), ("real, moved up to 10 %", "retrieval-moved.csv")):
        found = evaluate_map_to_aerial(encoder, read_pairs(folder / file))
        for way in ("map_to_aerial", "aerial_to_map", "chance"):
            recall = found[way]["map_to_aerial"] if way == "chance" else found[way]
            figures[f"{title}: {way} R@1/5/10"] = "/".join(f"{recall[k]:.1f}" for k in _KS)
        figures[f"{title}: shift within 1 % of the side, % of the hits"] = found["offsets"]["of_top_10"]
    return figures | _kinds("real", encoder, pairs)


def _drawn(encoder: Encoder, folder: Path) -> dict[str, Any]:
    city = City(TOWN, COUNTRY)
    tiles = list(tiles_in(city.extent, 17))
    chosen = [tiles[row] for row in np.random.default_rng(0).choice(len(tiles), TILES, replace=False)]

    def aerial(tile: Tile) -> Pixels:
        return render_aerial(city, tile, 256, LOOKS[COUNTRY], TOWN)

    return _kinds(f"SYNTHETIC, town {TOWN} of country {COUNTRY}", encoder, pairs_of_tiles(city, chosen, aerial, folder))


def _kinds(title: str, encoder: Encoder, pairs: Path) -> dict[str, Any]:
    found = evaluate_matching(encoder, read_pairs(pairs))
    cosine = found["baselines"]["cosine"]
    figures = {
        f"{title}: AUROC {kind} (cosine)": f"{own['auroc']:.3f} ({cosine['kinds'][kind]['auroc']:.3f})"
        for kind, own in found["kinds"].items()
    }
    with open(pairs, newline="", encoding="utf-8") as file:
        count = sum(1 for _ in csv.DictReader(file))
    return figures | {
        f"{title}: AUROC of all {count} (cosine)": f"{found['auroc']:.3f} ({cosine['auroc']:.3f})",
        f"{title}: AUROC with the imagery swapped": f"{found['auroc_imagery_swapped']:.3f}",
        f"{title}: F1 of matches, of mismatches": f"{found['f1_match']:.3f}, {found['f1_mismatch']:.3f}",
    }
