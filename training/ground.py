"""A tile's features on its own plane: metres on the ground about its centre, so that they can be moved and compared."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.feature import Feature, FeatureSource
from geoanchor.tiling import EARTH_RADIUS_M, Tile, to_mercator
from indexer.cartography import classify
from indexer.styles import STRUCTURE_OF

Shape = TypeVar("Shape", bound=BaseGeometry)
Rows = NDArray[np.intp]
"""(n,) positions in `Ground.features`."""

_LEAST_BLOCK_M2 = 600.0


class Plane:
    """Linear in web mercator, true to scale at the tile's centre; x east, y north."""

    def __init__(self, tile: Tile) -> None:
        self._origin = np.array(to_mercator(*tile.center))
        self._stretch = 1.0 / math.cos(math.radians(tile.center[1]))

    def metres(self, shape: Shape) -> Shape:
        """A geometry in degrees (EPSG:4326) on this plane."""
        moved: Shape = shapely.transform(shape, self._to_metres)
        return moved

    def degrees(self, shape: Shape) -> Shape:
        """A geometry of this plane in degrees."""
        moved: Shape = shapely.transform(shape, self._to_degrees)
        return moved

    def _to_metres(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        lat = np.radians(points[:, 1])
        mercator = np.column_stack([np.radians(points[:, 0]), np.arctanh(np.sin(lat))]) * EARTH_RADIUS_M
        plane: NDArray[np.float64] = (mercator - self._origin) / self._stretch
        return plane

    def _to_degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (points * self._stretch + self._origin).T / EARTH_RADIUS_M
        lng_lat: NDArray[np.float64] = np.degrees(np.column_stack([x, np.arctan(np.sinh(y))]))
        return lng_lat


class Ground:
    """A tile's features on its own plane, metres about the tile's centre.

    Attributes:
        features: in the tile; shapes: (n,) their geometries; classes: (n,) their class of structure, "" for none.
        frame: the tile's own square.
    """

    def __init__(self, source: FeatureSource, tile: Tile) -> None:
        self.plane = Plane(tile)
        self.frame = self.plane.metres(shapely.box(*tile.bounds))
        self.features = source.features(tile.bounds)
        shapes = [self.plane.metres(feature.geometry) for feature in self.features]
        self.shapes = shapely.make_valid(np.array(shapes, object))
        self.dimensions = shapely.get_dimensions(self.shapes) if shapes else np.zeros(0, int)
        pairs = zip(self.features, self.dimensions, strict=True)
        self.classes = np.array([_class_of(feature, int(dimension)) for feature, dimension in pairs], str)

    @property
    def buildings(self) -> Rows:
        """Footprints."""
        return np.flatnonzero((self.classes == "building") & (self.dimensions == 2))

    @property
    def roads(self) -> Rows:
        """Centre lines of what motor vehicles drive on."""
        return np.flatnonzero(np.isin(self.classes, ("minor_road", "major_road")) & (self.dimensions == 1))

    def standing(self, buildings: Rows) -> Rows:
        """Buildings and what lies on them: their parts, and panels on the roof."""
        if not len(buildings):
            return buildings
        tree = shapely.STRtree(self.shapes[buildings])
        return np.union1d(buildings, np.unique(tree.query(self.shapes, predicate="covered_by")[0]))

    def ids(self, chosen: Rows) -> tuple[str, ...]:
        """Of the features at some positions."""
        return tuple(self.features[i].id for i in chosen)

    def blocks(self) -> NDArray[np.object_]:
        """What the roads cut the tile into, large enough to hold a building, smallest first."""
        lines = shapely.union_all([self.frame.boundary, *self.shapes[self.roads]])
        cut = shapely.get_parts(shapely.polygonize([lines]))
        inside = cut[shapely.covers(self.frame.buffer(0.1), cut) & (shapely.area(cut) >= _LEAST_BLOCK_M2)]
        return np.asarray(inside[np.argsort(shapely.area(inside), kind="stable")])

    def content(self, block: shapely.Polygon) -> Rows:
        """What stands in a block of `blocks`, without its roads and without ground that spreads beyond it."""
        shared = shapely.area(shapely.intersection(self.shapes, block))
        mostly = (self.classes == "building") & (shared > 0.5 * shapely.area(self.shapes))
        inside = mostly | shapely.covers(block, self.shapes)
        inside[self.roads] = False
        return np.flatnonzero(inside)


def _class_of(feature: Feature, dimension: int) -> str:
    kind = classify(feature.tags, dimension) if dimension >= 0 else None
    return STRUCTURE_OF.get(kind.name, "") if kind else ""
