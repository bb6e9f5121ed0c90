"""Picks the reader for a source named on the command line: one line per kind, imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from geoanchor.errors import UsageError
from geoanchor.image import Layer
from geoanchor.protocols import TileSource
from geoanchor.settings import Settings
from geoanchor.tiling import TILE_SIZE_PX, Bounds


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        layer: None takes the source's own habit (rasters aerial, vectors map).
        zoom: tile zoom; None takes the one nearest the source's own GSD, or the deepest there is.
        size_px: side of the tiles made from rasters and vectors.
        style: cartographic style for vectors; one of `indexer.render.STYLES`.
        bands: 1-based bands to show as red, green, blue (or one, as grey); None picks them.
        within: only tiles whose centre lies in this box, degrees; needed where a source has no end of its own.
        settings: offline, cache folder, pixel limit.
    """

    layer: Layer | None = None
    zoom: int | None = None
    size_px: int = TILE_SIZE_PX
    style: str = "standard"
    bands: tuple[int, ...] | None = None
    within: Bounds | None = None
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    matches: Callable[[str], bool]
    opener: str
    """module:callable(uri, options) -> TileSource"""


def _suffix(*suffixes: str) -> Callable[[str], bool]:
    # A file may be called what an address would be cut at.
    return lambda uri: (uri if Path(uri).exists() else urlsplit(uri).path).lower().endswith(suffixes)


def _scheme(*names: str) -> Callable[[str], bool]:
    return lambda uri: uri.startswith(tuple(f"{name}:" for name in names))


def _template(uri: str) -> bool:
    return any(part in uri for part in ("{z}", "{q}", "{TileMatrix}"))


PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif")
"""How files of pictures without a grid of their own are called."""

_KINDS: tuple[_Kind, ...] = (
    _Kind("city", _scheme("city"), "indexer.sources.city:open_city"),
    _Kind("stac", _scheme("stac"), "indexer.sources.stac:open_stac"),
    _Kind("embeddings", _scheme("embeddings"), "indexer.sources.embeddings:open_embeddings"),
    _Kind("service", _scheme("service"), "indexer.sources.xyz:open_service"),
    _Kind("xyz", _template, "indexer.sources.xyz:open_xyz"),
    _Kind("mbtiles", _suffix(".mbtiles"), "indexer.sources.mbtiles:open_mbtiles"),
    _Kind("pmtiles", _suffix(".pmtiles"), "indexer.sources.pmtiles:open_pmtiles"),
    _Kind("osm", _suffix(
        ".osm.pbf", ".osm", ".osm.gz", ".osm.bz2", ".geojson", ".geojsonl", ".json", ".geoparquet", ".parquet"),
        "indexer.sources.osm:open_osm"),
    _Kind("raster", _suffix(".tif", ".tiff", ".vrt", ".jp2"), "indexer.sources.raster:open_raster"),
    _Kind("tar", _suffix(".tar", ".tar.gz", ".tgz"), "indexer.sources.folder:open_tar"),
    _Kind("folder", lambda uri: Path(uri).is_dir(), "indexer.sources.folder:open_folder"),
    _Kind("image", _suffix(*PICTURES), "indexer.sources.folder:open_file"),
)  # fmt: skip


def open_source(uri: str, options: SourceOptions) -> TileSource:
    """Open a source by name.

    Raises UsageError when no reader knows such a name or the file does not exist, BadInput when it cannot be read.
    """
    if uri.startswith("file:"):
        uri = unquote(urlsplit(uri).path)
    module, _, name = _kind(uri).opener.partition(":")
    source: TileSource = getattr(import_module(module), name)(uri, options)
    return source


def is_source(path: Path) -> bool:
    """Whether some reader takes files or folders of such a name; nothing is opened."""
    return any(kind.matches(str(path)) for kind in _KINDS)


def _kind(uri: str) -> _Kind:
    for kind in _KINDS:
        if kind.matches(uri):
            return kind
    if not urlsplit(uri).scheme and not Path(uri).exists():
        raise UsageError(f"{uri}: no such file or folder")
    known = ", ".join(kind.name for kind in _KINDS)
    raise UsageError(
        f"{uri}: no reader for this kind of source; readers: {known} (osm reads GeoJSON and GeoParquet too)"
    )
