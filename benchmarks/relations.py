"""How much "stadium by the river" gains from scoring stadium and river apart, over cities that no model has seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import geoanchor
from geoanchor.query import Hit
from geoanchor.tiling import Tile
from indexer.city.city import City
from indexer.city.truth import Truth

SEEDS = range(20)
SENTENCE = "stadium by the river"
WITHIN_M = 300.0
TOP = 5


def share_right(hits: Sequence[Hit], right: Iterable[Tile]) -> float:
    """Share of the first five hits whose tile shows a stadium by the river."""
    return sum(hit.tile is not None and Tile(*hit.tile) in right for hit in hits[:TOP]) / TOP


def run(model: str = "mini", seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Mean share of right hits among the first five, on aerial tiles: with relations and by the plain sentence, both by
    looks alone, and with relations and map tags."""
    ways = {
        "with relations": {"tags": False},
        "plain sentence": {"tags": False, "relations": False},
        "with relations and tags": {"tags": True},
    }
    shares: dict[str, list[float]] = {name: [] for name in ways}
    chance = []
    for seed in seeds:
        right = Truth(City(seed)).tiles_by("stadium", "river", WITHIN_M)
        with tempfile.TemporaryDirectory() as folder:
            index_folder = Path(folder) / "town.index"
            report = geoanchor.build(f"city:{seed}", index_folder, model=model, layer="aerial")
            index = geoanchor.open(index_folder)
            for name, way in ways.items():
                shares[name].append(share_right(index.search(SENTENCE, k=TOP, **way), right))
        chance.append(len(right) / report.rows)
    return {
        "cities, tiles a city": f"{len(seeds)}, about {report.rows}",
        **{
            f"{name}: share right of the top {TOP}": round(float(np.mean(values)), 3) for name, values in shares.items()
        },
        "chance": round(float(np.mean(chance)), 3),
        "each city, with relations": " ".join(f"{share:.1f}" for share in shares["with relations"]),
    }
