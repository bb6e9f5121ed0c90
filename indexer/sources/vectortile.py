"""Vector tiles (MVT 2.1) as features, and a store of them as map tiles."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import mapbox_vector_tile
import numpy as np
import shapely
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from geoanchor.errors import BadInput
from geoanchor.feature import Feature
from geoanchor.protocols import TileRef
from geoanchor.tiling import EARTH_RADIUS_M, Bounds, Tile, tile_at, tiles_in
from indexer.featurestore import FeatureStore
from indexer.sources.grid import MAX_TILE_BYTES, TileStore, boxes_meet, in_box, pick_zoom, without_secrets
from indexer.sources.registry import SourceOptions
from indexer.sources.tileschema import osm_tags
from indexer.sources.vector import VectorTiles, covered_tiles

_GZIP = b"\x1f\x8b"
_NOT_TILES = (DecodeError, ValueError, IndexError, KeyError, TypeError, AssertionError, shapely.errors.ShapelyError)
_TILES_KEPT = 64


def open_vector_tiles(
    uri: str, store: TileStore, options: SourceOptions, zooms: tuple[int, int], attribution: str
) -> VectorTiles:
    """Draw a store of vector tiles; beyond its deepest zoom from the deepest tiles there are.

    Raises UsageError for a zoom above the store's first one.
    """
    zoom = pick_zoom(uri, options.zoom, zooms, deeper=True)
    features = StoredFeatures(store, min(zoom, zooms[1]))
    return DrawnTiles(uri, features, replace(options, zoom=zoom), attribution)


class StoredFeatures:
    """The features of a store of vector tiles at one zoom, decoded as they are asked for; a FeatureSource."""

    def __init__(self, store: TileStore, zoom: int) -> None:
        self.store, self.zoom = store, zoom
        self._decoded = lru_cache(maxsize=_TILES_KEPT)(self._decode)

    @cached_property
    def extent(self) -> Bounds:
        """Box in degrees around all tiles of the store at this zoom."""
        corners = np.array([(tile.x, tile.y) for tile in self.store.tiles(self.zoom)] or [(0, 0)])
        first, last = corners.min(0), corners.max(0)
        top_left = Tile(self.zoom, int(first[0]), int(first[1])).bounds
        bottom_right = Tile(self.zoom, int(last[0]), int(last[1])).bounds
        return Bounds(top_left.west, bottom_right.south, bottom_right.east, top_left.north)

    def features(self, bounds: Bounds) -> Sequence[Feature]:
        """Features that intersect `bounds` (degrees), tile by tile; one cut by tile edges comes once for each piece.

        Raises BadInput when the tile at the middle of the box cannot be read; broken ones around it are left out.
        """
        middle = tile_at(*bounds.center, self.zoom)
        found: list[Feature] = []
        for tile in tiles_in(bounds, self.zoom):
            try:
                found += self._decoded(tile).features(bounds)
            except BadInput:
                # A drawing looks beyond its own edges: what lies there must not spoil it.
                if tile == middle:
                    raise
        return found

    def _decode(self, tile: Tile) -> FeatureStore:
        data = self.store.get(tile)
        return FeatureStore(decode_features(data, tile, self.store.name) if data else ())


class DrawnTiles(VectorTiles):
    """VectorTiles over a store: planned from its directory, so that a large archive need not be decoded first."""

    features: StoredFeatures

    def plan(self) -> Iterator[TileRef]:
        """Tiles of the store; deeper than its deepest zoom, those that hold at least one feature."""
        for tile in self.features.store.tiles(self.features.zoom):
            stamp = f"{self.features.store.stamp(tile)}@{self._options.size_px}"
            for part in self._parts(tile):
                if in_box(part.center, self._options.within):
                    yield TileRef(f"{self._prefix}/{part}", tile=part, stamp=stamp)

    def named(self) -> Iterator[Feature]:
        """The features of the options' box, tile by tile; tiles that cannot be read are passed over."""
        box = self._options.within or self.features.extent
        for tile in self.features.store.tiles(self.features.zoom):
            if boxes_meet(tile.bounds, box):
                with suppress(BadInput):
                    yield from self.features.features(tile.bounds)

    def close(self) -> None:
        """Close the store."""
        self.features.store.close()

    def _parts(self, tile: Tile) -> Sequence[Tile]:
        within = self._options.within
        if tile.z == self.zoom:
            return [tile]
        if within is not None and not boxes_meet(tile.bounds, within):
            return []
        try:
            found = covered_tiles(self.features.features(tile.bounds), self.zoom, within or tile.bounds, self.uri)
        except BadInput:
            # Named once in the plan, so that reading it reports what is wrong.
            steps = self.zoom - tile.z
            return [Tile(self.zoom, tile.x << steps, tile.y << steps)]
        return [part for part in found if part.parent(tile.z) == tile]


def decode_features(data: bytes, tile: Tile, where: str) -> list[Feature]:
    """Features of one vector tile.

    Args:
        data: MVT bytes, plain or packed with gzip.
        tile: its address, which puts its coordinates into degrees.
        where: names the store in messages and ids.
    Returns:
        features with OpenStreetMap tags (see `tileschema`), in the tile's order; those of layers that are not drawn are
        left out.
    Raises BadInput when the bytes are no vector tile.
    """
    where = f"{without_secrets(where)} tile {tile}"
    try:
        layers = mapbox_vector_tile.decode(unpack(data, where), default_options={"y_coord_down": True})
        return [f for name, layer in layers.items() for f in _layer_features(name, layer, tile)]
    except _NOT_TILES as error:
        raise BadInput(where, f"holds no vector tile that can be read ({type(error).__name__})") from error


def unpack(data: bytes, where: str) -> bytes:
    """Undo gzip where it was used. Raises BadInput for broken data and for more than MAX_TILE_BYTES."""
    if not data.startswith(_GZIP):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, MAX_TILE_BYTES)
    except zlib.error as error:
        raise BadInput(where, f"is packed with gzip and broken ({error})") from error
    if unpacker.unconsumed_tail:
        raise BadInput(where, f"unpacks to over {MAX_TILE_BYTES} bytes")
    if not unpacker.eof:
        raise BadInput(where, "is packed with gzip and cut short")
    return plain


def _layer_features(name: str, layer: Mapping[str, Any], tile: Tile) -> Iterator[Feature]:
    found: list[tuple[str, dict[str, str]]] = []
    shapes = []
    for number, feature in enumerate(layer["features"]):
        areal = feature["geometry"]["type"].endswith("Polygon")
        tags = osm_tags(name, feature["properties"], areal=areal)
        if tags and feature["geometry"]["coordinates"]:
            found.append((f"{tile}/{name}/{number}", tags))
            shapes.append(shapely.geometry.shape(feature["geometry"]))
    to_degrees = _Placement(tile, int(layer["extent"]) or 4096)
    for (id_, tags), shape in zip(found, shapely.transform(np.array(shapes, object), to_degrees), strict=True):
        valid = shape if shape.is_valid else shapely.make_valid(shape)
        if not valid.is_empty:
            yield Feature(id_, valid, tags)


class _Placement:
    """Tile coordinates (n, 2) of 0..extent, y down -> degrees (n, 2) lng, lat."""

    def __init__(self, tile: Tile, extent: int) -> None:
        self._box, self._extent = tile.bounds_mercator, extent

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = (self._box.right - self._box.left) / self._extent / EARTH_RADIUS_M
        x = self._box.left / EARTH_RADIUS_M + points[:, 0] * scale
        y = self._box.top / EARTH_RADIUS_M - points[:, 1] * scale
        degrees: NDArray[np.float64] = np.degrees(np.column_stack([x, np.arctan(np.sinh(y))]))
        return degrees
