"""How much "stadium by the river" gains from scoring stadium and river apart, over cities that no model has seen."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

import geoanchor
from geoanchor.query import Hit
from geoanchor.tiling import Bounds
from indexer.city.city import City

SEEDS = range(20)
SENTENCE = "stadium by the river"
WITHIN_M = 300.0
TOP = 5
_DEGREE_M = 111_195.0


class Truth:
    """Where the stadiums of a town by its river are, in metres on a local plane."""

    def __init__(self, town: City) -> None:
        lng, lat = town.extent.center
        self._origin = np.array([lng, lat])
        self._scale = np.array([math.cos(math.radians(lat)) * _DEGREE_M, _DEGREE_M])
        features = town.features(town.extent)
        shapes = {
            kind: [self._metres(f.geometry) for f in features if f.tags.get(key) == kind]
            for key, kind in (("leisure", "stadium"), ("waterway", "river"), ("water", "river"))
        }
        self.stadiums = shapes["stadium"]
        river = shapely.union_all(shapes["river"])
        self.by_the_river = [stadium for stadium in self.stadiums if stadium.distance(river) <= WITHIN_M]

    def holds(self, bounds: Bounds) -> bool:
        """Whether a box in degrees shows some of a stadium that lies by the river."""
        tile = self._metres(shapely.box(*bounds))
        return any(tile.intersects(stadium) for stadium in self.by_the_river)

    def _metres(self, geometry: shapely.Geometry) -> shapely.Geometry:
        return shapely.transform(geometry, self._on_plane)

    def _on_plane(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points - self._origin) * self._scale


def share_right(hits: Sequence[Hit], truth: Truth) -> float:
    """Share of the first five hits that show a stadium by the river."""
    return sum(hit.bounds is not None and truth.holds(hit.bounds) for hit in hits[:TOP]) / TOP


def run(model: str = "mini", seeds: Sequence[int] = SEEDS) -> dict[str, float]:
    """Mean share of right hits among the first five, per layer: with relations, and by the plain sentence."""
    shares: dict[str, list[float]] = {}
    for seed in seeds:
        truth = Truth(City(seed))
        with tempfile.TemporaryDirectory() as folder:
            for layer in ("aerial", "map"):
                geoanchor.build(f"city:{seed}", Path(folder) / layer, model=model, layer=layer)
                index = geoanchor.open(Path(folder) / layer)
                for name, relations in (("relations", True), ("plain sentence", False)):
                    hits = index.search(SENTENCE, k=TOP, relations=relations)
                    shares.setdefault(f"{layer}, {name}: share of top 5", []).append(share_right(hits, truth))
    return {name: round(float(np.mean(values)), 3) for name, values in shares.items()}
