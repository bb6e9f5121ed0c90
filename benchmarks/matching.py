"""Maps told from one another by the shipped model: real pairs nothing learned from, and edits of an unseen town."""

from __future__ import annotations

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
DRAWN = f"SYNTHETIC, town {TOWN} of country {COUNTRY}"
_KS = ("R@1", "R@5", "R@10")


def run() -> dict[str, Any]:
    """Recall both ways, unmoved and moved; AUROC of each kind of wrong map, with the plain cosine beside it."""
    encoder = load_bundle("mini")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {}
        if not REAL.exists():
            figures["real pairs"] = f"{REAL} is not there"
        else:
            pairs = real_pairs(folder / "real")
            figures |= _recalls(encoder, folder / "real") | _told_apart("real", encoder, pairs)
        return figures | _told_apart(DRAWN, encoder, drawn_pairs(folder / "drawn"))


def real_pairs(folder: Path) -> Path:
    """Pairs to judge by, made of the validation tenth, as `pairs_of_pictures` writes them."""
    return pairs_of_pictures(REAL, read_pictures(REAL, "validation")[0], folder)


def drawn_pairs(folder: Path) -> Path:
    """Pairs to judge by, made of the town, as `pairs_of_tiles` writes them."""
    city = City(TOWN, COUNTRY)
    tiles = list(tiles_in(city.extent, 17))
    chosen = [tiles[row] for row in np.random.default_rng(0).choice(len(tiles), TILES, replace=False)]

    def aerial(tile: Tile) -> Pixels:
        return render_aerial(city, tile, 256, LOOKS[COUNTRY], TOWN)

    return pairs_of_tiles(city, chosen, aerial, folder)


def aurocs(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """AUROC of the matcher and of the plain cosine for each kind of wrong map, from what `evaluate_matching` found."""
    cosine = found["baselines"]["cosine"]["kinds"]
    return {kind: (own["auroc"], cosine[kind]["auroc"]) for kind, own in found["kinds"].items()}


def _recalls(encoder: Encoder, folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for title, file in (("real", "retrieval.csv"), ("real, moved up to 10 %", "retrieval-moved.csv")):
        found = evaluate_map_to_aerial(encoder, read_pairs(folder / file))
        figures[f"{title}: pairs"] = found["pairs"]
        for way in ("map_to_aerial", "aerial_to_map", "chance"):
            recall = found[way]["map_to_aerial"] if way == "chance" else found[way]
            figures[f"{title}: {way} R@1/5/10"] = "/".join(f"{recall[k]:.1f}" for k in _KS)
        figures[f"{title}: shift within 1 % of the side, % of the hits"] = found["offsets"]["of_top_10"]
    return figures


def _told_apart(title: str, encoder: Encoder, pairs: Path) -> dict[str, Any]:
    found = evaluate_matching(encoder, read_pairs(pairs))
    told = {kind: f"{own:.3f} ({cosine:.3f})" for kind, (own, cosine) in aurocs(found).items()}
    cosine = found["baselines"]["cosine"]["auroc"]
    return {
        **{f"{title}: AUROC {kind} (cosine)": value for kind, value in told.items()},
        f"{title}: AUROC of all {found['pairs']} (cosine)": f"{found['auroc']:.3f} ({cosine:.3f})",
        f"{title}: AUROC with the imagery swapped": f"{found['auroc_imagery_swapped']:.3f}",
        f"{title}: F1 of matches, of mismatches": f"{found['f1_match']:.3f}, {found['f1_mismatch']:.3f}",
    }
