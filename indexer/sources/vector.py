"""VectorTiles: any feature source as tile images, drawn as a map or given an aerial look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.protocols import TileRef
from geoanchor.tiling import MAX_ZOOM, Bounds, Tile, tile_at, wrap_lng
from indexer.captions import describe_tile
from indexer.render import drawable, find_style, render_map
from indexer.sources import identity
from indexer.sources.grid import MOST_TILES
from indexer.sources.registry import SourceOptions

if TYPE_CHECKING:
    from indexer.city.aerial import Look

DEFAULT_ZOOM = 17
WORLD = Bounds(-180.0, -90.0, 180.0, 90.0)
_LAST_LNG = 180.0 - 1e-9
"""The antimeridian as an eastern edge: the very meridian begins the first column again."""
_Addresses = NDArray[np.int64]
"""(n, 2) x and y of tiles at one zoom."""


class VectorTiles:
    """A `TileSource` over vector features.

    Args:
        uri: as named on the command line.
        features: what to draw.
        options: layer "map" draws a map in `options.style`, "aerial" the procedural aerial look; zoom defaults to 17.
        attribution: text that must be shown with the tiles.
        default_layer: where the options name none.
        look, seed: of the aerial rendering.
        stamp: changes when the features may have changed.
    """

    def __init__(
        self,
        uri: str,
        features: FeatureSource,
        options: SourceOptions,
        attribution: str = "",
        default_layer: Layer = "map",
        look: Look | None = None,
        seed: int = 0,
        stamp: str = "",
    ) -> None:
        self.uri = uri
        self.features = features
        self.attribution = attribution
        self.layer: Layer = options.layer or default_layer
        self.zoom: int = DEFAULT_ZOOM if options.zoom is None else options.zoom
        if not 0 <= self.zoom <= MAX_ZOOM:
            raise UsageError(f"{uri}: zoom must be 0..{MAX_ZOOM}, not {self.zoom}")
        if self.layer == "ground":
            raise UsageError(f"{uri}: vector features can be drawn as layer map or aerial, not ground")
        self._options = options
        self._style = find_style(options.style)
        self._look = look
        self._seed = seed
        self._stamp = f"{stamp}@{options.size_px}"
        self._prefix = "/".join(self._id_parts())

    def _id_parts(self) -> Iterator[str]:
        yield self.layer
        yield source_name(self.uri)
        if self.layer == "map" and self._style.name != "standard":
            yield self._style.name

    def named(self) -> Iterable[Feature]:
        """The features of the options' box; their names are those that the index can be asked for."""
        within = self._options.within
        # A tile whose centre lies in the box may hold only things beside the box.
        return self.features.features(_padded(within, 360 / (1 << self.zoom)) if within else self.features.extent)

    def plan(self) -> Iterator[TileRef]:
        """Tiles that hold something to draw and whose centre lies within the options' box, in grid order.

        Raises UsageError when they are too many to be meant, and when no feature of the box is one that maps draw.
        """
        within = self._options.within
        there = list(self.named())
        shown = [f for f in there if drawable(f, self._style, self.zoom)]
        if there and not shown:
            raise UsageError(f"{self.uri}: {self._why_none_is_drawn(there)}")
        for tile in covered_tiles(shown, self.zoom, within or WORLD, self.uri):
            if within is None or within.holds(*tile.center):
                yield TileRef(id=f"{self._prefix}/{tile}", tile=tile, stamp=self._stamp)

    def _why_none_is_drawn(self, features: Sequence[Feature]) -> str:
        if any(drawable(feature, self._style, MAX_ZOOM) for feature in features):
            return f"none of its {len(features)} features is drawn at zoom {self.zoom} yet; take a larger --zoom"
        return (
            f"none of its {len(features)} features bears a tag that maps draw (building, highway, natural, landuse, "
            '...); say in its properties what they are, such as "building": "yes"'
        )

    def read(self, ref: TileRef) -> TileImage:
        """Draw one tile; its tags and caption come from the same features. Thread-safe."""
        tile = ref.tile
        if tile is None:
            raise UsageError(f"{self.uri}: {ref.id} names no tile")
        present = self.features.features(tile.bounds)
        tags, captions = describe_tile(present, tile)
        return TileImage(
            id=ref.id,
            pixels=self._pixels(tile),
            layer=self.layer,
            tile=tile,
            gsd_m=tile.gsd_m(self._options.size_px),
            crs="EPSG:3857",
            source=self.uri,
            attribution=self.attribution,
            tags=tags,
            caption=captions[0],
        )

    def _pixels(self, tile: Tile) -> Pixels:
        size = self._options.size_px
        if self.layer == "map":
            return render_map(self.features, tile, size, self._style.name)
        from indexer.city.aerial import LOOKS, render_aerial

        return render_aerial(self.features, tile, size, self._look or next(iter(LOOKS.values())), self._seed)

    def close(self) -> None:
        """Nothing is held open."""


def source_name(uri: str) -> str:
    """Short name of a source for tile ids: "city-7-B" of "city:7/B", "town-3f2a9c" of a file."""
    if re.match(r"[a-z]{2,}:", uri):
        return re.sub(r"[^\w.=+-]+", "-", uri)
    return identity.source_name(Path(uri))


def covered_tiles(features: Sequence[Feature], zoom: int, within: Bounds = WORLD, where: str = "") -> list[Tile]:
    """Tiles at `zoom` that at least one of the features touches, in grid order.

    Args:
        within: what lies wholly beside this box, degrees, is not walked and need not be listed.
        where: names the source in messages.

    Raises UsageError when they are too many to be meant.
    """
    asked = shapely.union_all([shapely.box(*part) for part in within.parts()])
    shapely.prepare(asked)
    found: set[Tile] = set()
    for feature in features:
        for part in shapely.get_parts(feature.geometry):
            tiles = _tiles_of(part, zoom, asked)
            if tiles is not None:
                found.update(tiles)
            if tiles is None or len(found) > MOST_TILES:
                raise UsageError(
                    f"{where}: covers more than {MOST_TILES:,} tiles at zoom {zoom}; take a smaller box (--within) or "
                    "a lower zoom (--zoom)"
                )
    return sorted(found, key=lambda tile: (tile.y, tile.x))


def _tiles_of(geometry: BaseGeometry, zoom: int, asked: BaseGeometry) -> list[Tile] | None:
    """Quartering from few tiles that hold the geometry, None where the tiles become too many.

    Only quarters on an edge are looked into: not those beside the geometry or the asked area, nor those wholly inside.
    """
    west, south, east, north = geometry.bounds
    first, last = tile_at(min(west, _LAST_LNG), north, zoom), tile_at(min(east, _LAST_LNG), south, zoom)
    if first == last:
        return [first]
    shapely.prepare(geometry)
    steps = max(0, max(last.x - first.x, last.y - first.y).bit_length() - 2)
    edge = _rectangle(first.parent(zoom - steps), last.parent(zoom - steps))
    inside = edge[:0]
    for left in range(steps, -1, -1):
        boxes = _boxes(edge, zoom - left)
        met = shapely.intersects(geometry, boxes) & shapely.intersects(asked, boxes)
        whole = met & shapely.contains_properly(geometry, boxes) & shapely.covers(asked, boxes)
        inside, edge = np.concatenate((inside, edge[whole])), edge[met & ~whole]
        if (len(inside) << 2 * left) + len(edge) > MOST_TILES:
            return None
        if left:
            inside, edge = _quarters(inside), _quarters(edge)
    return [Tile(zoom, x, y) for x, y in np.concatenate((inside, edge)).tolist()]


def _rectangle(first: Tile, last: Tile) -> _Addresses:
    x, y = np.meshgrid(np.arange(first.x, last.x + 1), np.arange(first.y, last.y + 1))
    return np.column_stack((x.ravel(), y.ravel()))


def _quarters(tiles: _Addresses) -> _Addresses:
    return np.concatenate([tiles * 2 + corner for corner in ((0, 0), (1, 0), (0, 1), (1, 1))])


def _boxes(tiles: _Addresses, zoom: int) -> NDArray[np.object_]:
    west, north = _corners(tiles, zoom)
    east, south = _corners(tiles + 1, zoom)
    boxes: NDArray[np.object_] = shapely.box(west, south, east, north)
    return boxes


def _corners(tiles: _Addresses, zoom: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of the north-western corners."""
    x, y = (tiles / (1 << zoom)).T
    return x * 360.0 - 180.0, np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * y))))


def _padded(bounds: Bounds, degrees: float) -> Bounds:
    south, north = max(bounds.south - degrees, -90.0), min(bounds.north + degrees, 90.0)
    if (bounds.east - bounds.west) % 360.0 + 2 * degrees >= 360.0 or bounds.east - bounds.west == 360.0:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(wrap_lng(bounds.west - degrees), south, wrap_lng(bounds.east + degrees), north)
