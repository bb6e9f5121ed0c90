"""What a tile shows, in tags and in words."""

from __future__ import annotations

from collections.abc import Sequence

import shapely

from geoanchor.feature import Feature
from geoanchor.tiling import Tile

TAG_KEYS = frozenset(
    "aeroway aerialway amenity barrier bridge building highway historic landuse leisure man_made military natural office "
    "power public_transport railway shop sport tourism waterway".split()
)
"""Keys whose values say what a thing is; names, addresses, sources and the like are left out."""


def tile_tags(features: Sequence[Feature], tile: Tile) -> tuple[str, ...]:
    """ "key=value" of what has a meaningful presence in the tile, sorted.

    Args:
        features: those that meet the tile, unclipped.
    """
    box = shapely.box(*tile.bounds)
    shapely.prepare(box)
    tags = set()
    for feature in features:
        if box.intersects(feature.geometry):
            tags |= {f"{key}={feature.tags[key]}" for key in TAG_KEYS & feature.tags.keys()}
    return tuple(sorted(tags))


def tile_captions(features: Sequence[Feature], tile: Tile) -> tuple[str, ...]:
    """English sentences that say what the tile shows, the plainest first; the same for the same features and tile."""
    words = [tag.split("=")[1].replace("_", " ") for tag in tile_tags(features, tile)]
    return (", ".join(words[:4]) or "open land",)
