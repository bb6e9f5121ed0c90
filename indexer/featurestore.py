"""FeatureStore: the vector features of a place in memory, found by box through an R-tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from geoanchor.feature import Feature
from geoanchor.tiling import Bounds


class FeatureStore:
    """Features of a file, in input order; a `geoanchor.feature.FeatureSource`, safe to ask from many threads.

    Features without a geometry are left out.
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self._features = [feature for feature in features if not feature.geometry.is_empty]
        self._tree = shapely.STRtree([feature.geometry for feature in self._features])

    def __len__(self) -> int:
        return len(self._features)

    @property
    def extent(self) -> Bounds:
        """Smallest box in degrees around all features; (0, 0, 0, 0) where there are none."""
        if not self._features:
            return Bounds(0.0, 0.0, 0.0, 0.0)
        west, south, east, north = shapely.total_bounds(self._tree.geometries)
        return Bounds(float(west), float(south), float(east), float(north))

    def features(self, bounds: Bounds) -> Sequence[Feature]:
        """Features that intersect `bounds` (degrees; may cross the antimeridian), in input order, unclipped."""
        found = [self._tree.query(shapely.box(*part), predicate="intersects") for part in bounds.parts()]
        return [self._features[i] for i in np.unique(np.concatenate(found))]
