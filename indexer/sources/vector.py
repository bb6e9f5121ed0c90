"""VectorTiles: any feature source as tile images, drawn as a map or given an aerial look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import shapely
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.protocols import TileRef
from geoanchor.tiling import MAX_ZOOM, Bounds, Tile, tile_at, wrap_lng
from indexer.captions import describe_tile
from indexer.render import drawable, find_style, render_map
from indexer.sources import identity
from indexer.sources.registry import SourceOptions

if TYPE_CHECKING:
    from indexer.city.aerial import Look

DEFAULT_ZOOM = 17


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
        """Tiles that hold something to draw and whose centre lies within the options' box, in grid order."""
        within = self._options.within
        shown = [f for f in self.named() if drawable(f, self._style, self.zoom)]
        for tile in covered_tiles(shown, self.zoom):
            if within is None or within.holds(*tile.center):
                yield TileRef(id=f"{self._prefix}/{tile}", tile=tile, stamp=self._stamp)

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


def covered_tiles(features: Sequence[Feature], zoom: int) -> list[Tile]:
    """Tiles at `zoom` that at least one of the features touches, in grid order."""
    found: set[Tile] = set()
    for feature in features:
        for part in shapely.get_parts(feature.geometry):
            found.update(_tiles_of(part, zoom))
    return sorted(found, key=lambda tile: (tile.y, tile.x))


def _tiles_of(geometry: BaseGeometry, zoom: int) -> Iterator[Tile]:
    """Quartering from the smallest tile that holds the geometry: empty quarters are never looked into."""
    west, south, east, north = geometry.bounds
    first, last = tile_at(west, north, zoom), tile_at(east, south, zoom)
    if first == last:
        yield first
        return
    shapely.prepare(geometry)
    steps = max(first.x ^ last.x, first.y ^ last.y).bit_length()
    yield from _quarter(geometry, first.parent(zoom - steps), zoom)


def _quarter(geometry: BaseGeometry, tile: Tile, zoom: int) -> Iterator[Tile]:
    if not geometry.intersects(shapely.box(*tile.bounds)):
        return
    if tile.z == zoom:
        yield tile
        return
    for child in tile.children():
        yield from _quarter(geometry, child, zoom)


def _padded(bounds: Bounds, degrees: float) -> Bounds:
    south, north = max(bounds.south - degrees, -90.0), min(bounds.north + degrees, 90.0)
    if (bounds.east - bounds.west) % 360.0 + 2 * degrees >= 360.0 or bounds.east - bounds.west == 360.0:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(wrap_lng(bounds.west - degrees), south, wrap_lng(bounds.east + degrees), north)
