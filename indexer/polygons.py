"""Vector polygons as masks: what a map knows of a tile cuts it into parts for free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import shapely
from PIL import Image, ImageDraw

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import TileImage
from geoanchor.protocols import TileSource
from geoanchor.segment import Mask
from geoanchor.tiling import Tile, to_mercator

SIDE_PX = 128
_SMALLEST = 0.002
"""Share of the tile that a polygon's box must cover to be looked at."""


@runtime_checkable
class FeatureTiles(Protocol):
    """A source that draws its pictures from vector features."""

    features: FeatureSource


def require_features(sources: Sequence[TileSource]) -> None:
    """Raise UsageError unless every source has vector features to take polygons from."""
    for source in sources:
        if not isinstance(source, FeatureTiles):
            raise UsageError(f"{source.uri}: has no vector features to take segments from; use --segments regions")


def masks_of(source: TileSource, image: TileImage) -> list[Mask]:
    """Masks of the polygons that lie in a picture of a source with features; none where it lies on no tile."""
    if image.tile is None or not isinstance(source, FeatureTiles):
        return []
    return polygon_masks(source.features.features(image.tile.bounds), image.tile)


def polygon_masks(features: Sequence[Feature], tile: Tile) -> list[Mask]:
    """One mask (SIDE_PX, SIDE_PX) for each area, holes left out; a map's outlines are certain, so stability is 1."""
    frame = tile.bounds_mercator
    scale = SIDE_PX / (frame.right - frame.left)
    masks = []
    for feature in features:
        if feature.geometry.geom_type not in ("Polygon", "MultiPolygon"):
            continue
        placed = shapely.transform(
            feature.geometry,
            lambda points: np.array(
                [
                    ((x - frame.left) * scale, (frame.top - y) * scale)
                    for x, y in (to_mercator(*p) for p in points.tolist())
                ]
            ),
        )
        shape = shapely.clip_by_rect(placed, 0, 0, SIDE_PX, SIDE_PX)
        if shape.area >= _SMALLEST * SIDE_PX**2:
            masks.append(Mask(_filled(shape), 1.0))
    return [mask for mask in masks if mask.area]


def _filled(shape: shapely.Geometry) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Pixels whose middle lies in an area given in pixels."""
    filled = np.zeros((SIDE_PX, SIDE_PX), bool)
    for part in shapely.get_parts(shape):
        if part.geom_type != "Polygon":
            continue
        canvas = Image.new("1", (SIDE_PX, SIDE_PX))
        draw = ImageDraw.Draw(canvas)
        for ring, inside in ((part.exterior, 1), *((hole, 0) for hole in part.interiors)):
            # Pillow counts from the middle of pixels.
            draw.polygon([(x - 0.5, y - 0.5) for x, y in ring.coords], fill=inside)
        filled |= np.asarray(canvas)
    return filled
