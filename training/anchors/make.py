"""Anchors of whole sources: vectors measured as they are, pictures of maps through their colours, pairs by a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import TileImage
from geoanchor.protocols import TileRef, TileSource
from geoanchor.tiling import Bounds
from indexer.sources.vector import VectorTiles
from models.palette import map_classes
from training.anchors.qwen import PairAnnotator
from training.anchors.raster import annotate_raster, square
from training.anchors.schema import Anchor
from training.anchors.vectors import annotate

OnBad = Callable[[BadInput], None]
"""Told of every picture that cannot be used."""


def vector_anchors(source: TileSource, limit: int | None = None) -> Iterator[Anchor]:
    """The anchor of each tile of a vector source. Raises UsageError for a source of pictures."""
    if not isinstance(source, VectorTiles):
        raise UsageError(f"{source.uri}: holds no vectors; use the annotator raster for pictures of maps")
    for ref in islice(source.plan(), limit):
        if ref.tile is not None:
            yield annotate(source.features, ref.tile, name_of(ref))


def raster_anchors(source: TileSource, gsd_m: float, on_bad: OnBad, limit: int | None = None) -> Iterator[Anchor]:
    """The anchor of each map picture of a source.

    Args:
        gsd_m: metres a pixel, for pictures that do not know it themselves.
    """
    for ref in islice(source.plan(), limit):
        try:
            yield _raster_anchor(source.read(ref), name_of(ref), gsd_m)
        except BadInput as bad:
            on_bad(bad)


def pair_anchors(
    aerial: TileSource, map: TileSource, annotator: PairAnnotator, gsd_m: float, on_bad: OnBad, limit: int | None = None
) -> Iterator[Anchor]:
    """The anchor of each place that both sources show, matched by grid address or else by file name.

    Raises UsageError when they have none in common.
    """
    maps = {name_of(ref): ref for ref in map.plan()}
    pairs = ((ref, maps[name_of(ref)]) for ref in aerial.plan() if name_of(ref) in maps)
    found = False
    for seen, drawn in islice(pairs, limit):
        found = True
        try:
            yield _pair_anchor(aerial.read(seen), map.read(drawn), name_of(seen), map, annotator, gsd_m)
        except BadInput as bad:
            on_bad(bad)
    if not found:
        raise UsageError(f"{aerial.uri} and {map.uri} show no place in common; pairs need one address or one file name")


def name_of(ref: TileRef) -> str:
    """What an anchor is named by: the grid address, whatever the layer, else the picture's file name."""
    return str(ref.tile) if ref.tile else Path(ref.key or ref.id).stem


def _pair_anchor(
    aerial: TileImage, map: TileImage, name: str, source: TileSource, annotator: PairAnnotator, gsd_m: float
) -> Anchor:
    def by_geometry() -> Anchor:
        if isinstance(source, VectorTiles) and map.tile is not None:
            return annotate(source.features, map.tile, name)
        return _raster_anchor(map, name, gsd_m)

    return annotator.annotate(aerial.pixels, map.pixels, name, by_geometry)


def _raster_anchor(image: TileImage, name: str, gsd_m: float) -> Anchor:
    return annotate_raster(map_classes(image.pixels), _bounds(image, gsd_m), name)


def _bounds(image: TileImage, gsd_m: float) -> Bounds:
    height, width = image.pixels.shape[:2]
    known = image.gsd_m or gsd_m
    return image.bounds or square(width * known, height * known)
