"""OpenStreetMap and other vector files as map tiles."""

from __future__ import annotations

from pathlib import Path

import osmium
import shapely

from geoanchor.errors import BadInput, UsageError
from geoanchor.feature import Feature
from indexer.featurestore import FeatureStore
from indexer.sources.registry import SourceOptions
from indexer.sources.vector import VectorTiles

ATTRIBUTION = "© OpenStreetMap contributors"


def open_osm(uri: str, options: SourceOptions) -> VectorTiles:
    """Read a vector file whole and serve it as tiles."""
    path = Path(uri)
    if not path.is_file():
        raise UsageError(f"{uri}: no such file")
    return VectorTiles(uri, FeatureStore(read_features(path)), options, ATTRIBUTION)


def read_features(path: Path) -> list[Feature]:
    """Features of a file."""
    return list(_read_osm(path))


def _read_osm(path: Path):
    factory = osmium.geom.WKBFactory()
    try:
        for item in osmium.FileProcessor(str(path)).with_areas():
            try:
                if item.is_area():
                    wkb = factory.create_multipolygon(item)
                    id = f"{'way' if item.from_way() else 'relation'}/{item.orig_id()}"
                elif item.is_way() and len(item.tags) and not (item.is_closed() and is_area(item.tags)):
                    wkb = factory.create_linestring(item)
                    id = f"way/{item.id}"
                elif item.is_node() and len(item.tags):
                    wkb = factory.create_point(item)
                    id = f"node/{item.id}"
                else:
                    continue
            except (osmium.InvalidLocationError, RuntimeError):
                continue
            yield Feature(id, shapely.from_wkb(wkb), {t.k: t.v for t in item.tags})
    except RuntimeError as error:
        raise BadInput(str(path), str(error)) from error


def is_area(tags):
    return "highway" not in tags and "barrier" not in tags
