"""Anchors of whole sources: vectors measured as they are, pictures of maps through their colours, pairs by a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath

from geoanchor.errors import BadInput, OnBad, UsageError
from geoanchor.image import TileImage
from geoanchor.protocols import TileRef, TileSource
from geoanchor.tiling import Bounds
from indexer.sources.vector import VectorTiles
from models.palette import FOREIGN, foreignness, map_classes
from training.anchors.qwen import PairAnnotator
from training.anchors.raster import annotate_raster, square
from training.anchors.schema import Anchor
from training.anchors.vectors import annotate

_MAX_NODATA = 0.5
"""Share of a map without data beyond which what is left says nothing of the place."""
NamedRefs = Mapping[str, TileRef]
"""Refs of one source by the name of their anchor."""


def named_refs(sources: Sequence[TileSource], limit: int | None = None) -> list[NamedRefs]:
    """What each source lists, up to a limit. Raises UsageError where two anchors would have one name."""
    lister: dict[str, TileSource] = {}
    found: list[NamedRefs] = []
    for source in sources:
        refs: dict[str, TileRef] = {}
        for ref in islice(source.plan(), limit):
            name = name_of(ref)
            if name in lister:
                raise UsageError(_twice(name, lister[name], source))
            lister[name], refs[name] = source, ref
        found.append(refs)
    return found


def _twice(name: str, first: TileSource, second: TileSource) -> str:
    if first.uri == second.uri:
        return f"{first.uri}: {name} comes twice; name each source once, and no two pictures alike but for their ending"
    return f"{second.uri}: {name} comes from {first.uri} as well; rename one of the two, or write two files of anchors"


def name_of(ref: TileRef) -> str:
    """What an anchor is named by: the grid address, whatever the layer, else the path below the source, no ending."""
    return str(ref.tile) if ref.tile else str(PurePosixPath(ref.id.split("/", 2)[-1]).with_suffix(""))


def vector_anchors(source: TileSource, refs: NamedRefs) -> Iterator[Anchor]:
    """The anchor of each tile of a vector source. Raises UsageError for a source of pictures."""
    if not isinstance(source, VectorTiles):
        raise UsageError(f"{source.uri}: holds no vectors; use the annotator raster for pictures of maps")
    for name, ref in refs.items():
        if ref.tile is not None:
            yield annotate(source.features, ref.tile, name)


def raster_anchors(source: TileSource, refs: NamedRefs, gsd_m: float, on_bad: OnBad) -> Iterator[Anchor]:
    """The anchor of each map picture of a source.

    Args:
        gsd_m: metres a pixel, for pictures that do not know it themselves.
    """
    for name, ref in refs.items():
        try:
            yield _raster_anchor(source.read(ref), name, gsd_m)
        except BadInput as bad:
            on_bad(bad)


def pair_anchors(
    aerial: TileSource, map: TileSource, annotator: PairAnnotator, gsd_m: float, on_bad: OnBad, limit: int | None = None
) -> Iterator[Anchor]:
    """The anchor of each place that both sources show, matched by grid address or else by path.

    Raises UsageError when they have none in common.
    """
    (seen,), (drawn,) = named_refs([aerial]), named_refs([map])
    common = [name for name in seen if name in drawn]
    if not common:
        raise UsageError(f"{aerial.uri} and {map.uri} show no place in common; pairs need one address or one path")
    for name in common[:limit]:
        try:
            yield _pair_anchor(aerial.read(seen[name]), map.read(drawn[name]), name, map, annotator, gsd_m)
        except BadInput as bad:
            on_bad(bad)


def _pair_anchor(
    aerial: TileImage, map: TileImage, name: str, source: TileSource, annotator: PairAnnotator, gsd_m: float
) -> Anchor:
    def by_geometry() -> Anchor:
        if isinstance(source, VectorTiles) and map.tile is not None:
            return annotate(source.features, map.tile, name)
        return _raster_anchor(map, name, gsd_m)

    return annotator.annotate(aerial.pixels, map.pixels, name, by_geometry)


def _raster_anchor(image: TileImage, name: str, gsd_m: float) -> Anchor:
    if image.nodata > _MAX_NODATA:
        raise BadInput(f"{image.source}: {name}", f"{100 * image.nodata:.0f} % of the map has no data; leave it out")
    if (off := foreignness(image.pixels)) > FOREIGN:
        reason = f"its colours are those of no map style that is known ({off:.0f} off, {FOREIGN:.0f} at most)"
        raise BadInput(f"{image.source}: {name}", f"{reason}; a photograph? leave it out")
    to_scale = bool(image.bounds or image.gsd_m)
    return annotate_raster(map_classes(image.pixels), _bounds(image, gsd_m), name, to_scale=to_scale)


def _bounds(image: TileImage, gsd_m: float) -> Bounds:
    height, width = image.pixels.shape[:2]
    known = image.gsd_m or gsd_m
    box = image.bounds or square(width * known, height * known)
    if box.west <= box.east:
        return box
    # Nothing that is measured hangs on the longitude, and Greenwich lies far from the antimeridian.
    half = (box.east - box.west) % 360.0 / 2
    return Bounds(-half, box.south, half, box.north)
