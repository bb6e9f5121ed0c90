"""Vector files (OpenStreetMap, GeoJSON, GeoParquet) as map tiles, and the reader of OpenStreetMap's own formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import osmium
import shapely
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import BadInput, UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Bounds
from indexer.coast import sea_of
from indexer.featurestore import FeatureStore
from indexer.repair import repaired
from indexer.sources.geojson import read_geojson
from indexer.sources.geoparquet import read_geoparquet
from indexer.sources.identity import file_stamp
from indexer.sources.registry import SourceOptions
from indexer.sources.vector import VectorTiles

logger = logging.getLogger(__name__)

ATTRIBUTION = "© OpenStreetMap contributors"

_AREA_KEYS: Mapping[str, frozenset[str]] = {
    "aeroway": frozenset({"taxiway"}),
    "amenity": frozenset(),
    "building": frozenset(),
    "building:part": frozenset(),
    "historic": frozenset({"citywalls"}),
    "landuse": frozenset(),
    "leisure": frozenset({"track", "slipway"}),
    "man_made": frozenset({"embankment", "cutline", "pipeline", "dyke", "groyne", "breakwater"}),
    "military": frozenset({"trench"}),
    "natural": frozenset({"coastline", "cliff", "ridge", "arete", "tree_row", "valley"}),
    "office": frozenset(),
    "place": frozenset(),
    "power": frozenset({"line", "minor_line", "cable"}),
    "public_transport": frozenset(),
    "shop": frozenset(),
    "tourism": frozenset(),
    "golf": frozenset({"cartpath", "hole", "path"}),
}
"""Keys that make a closed way an area -> their values that do not (after the OpenStreetMap wiki's area rules)."""
_AREA_VALUES = frozenset({
    ("highway", "services"), ("highway", "rest_area"), ("highway", "platform"), ("railway", "station"),
    ("railway", "platform"), ("railway", "turntable"), ("waterway", "riverbank"), ("waterway", "dock"),
    ("waterway", "dam"), ("waterway", "boatyard"), ("boundary", "administrative"), ("boundary", "protected_area"),
})  # fmt: skip

_WKB = osmium.geom.WKBFactory()


def open_osm(uri: str, options: SourceOptions) -> VectorTiles:
    """Open an OpenStreetMap (.osm.pbf, .osm, .osm.gz, .osm.bz2), GeoJSON or GeoParquet file as tiles.

    Raises UsageError when there is no such file, BadInput when it cannot be read or holds nothing usable.
    """
    path = Path(uri)
    if not path.is_file():
        raise UsageError(f"{uri}: no such file")
    features = read_features(path)
    from_osm = any(feature.id.startswith(("node/", "way/", "relation/")) for feature in features)
    attribution = ATTRIBUTION if from_osm else ""
    return VectorTiles(uri, FeatureStore(features), options, attribution, stamp=file_stamp(path.stat()))


def read_features(path: Path) -> list[Feature]:
    """Usable features of a vector file, in its order; what had to be left out is logged.

    Raises BadInput when the file cannot be read or holds no usable feature.
    """
    reader: Callable[[Path], Iterable[Feature]] = read_geojson
    if _is_osm(path):
        reader = _read_osm
    elif path.suffix.lower() in (".parquet", ".geoparquet"):
        reader = read_geoparquet
    try:
        features = repaired(reader(path), str(path))
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror or error})") from error
    if not features:
        raise BadInput(str(path), "holds no feature with a usable geometry; is it the right file?")
    return features


def is_area(tags: Mapping[str, str]) -> bool:
    """Whether a closed way with these tags bounds an area rather than being a line that returns to its start."""
    if "area" in tags:
        return tags["area"] != "no"
    if not _AREA_VALUES.isdisjoint(tags.items()):
        return True
    if "highway" in tags or ("barrier" in tags and "landuse" not in tags):
        return False
    return any(key in tags and tags[key] not in lines and tags[key] != "no" for key, lines in _AREA_KEYS.items())


def _is_osm(path: Path) -> bool:
    return path.name.lower().endswith((".osm.pbf", ".osm", ".osm.gz", ".osm.bz2"))


def _read_osm(path: Path) -> Iterator[Feature]:
    """Tagged nodes, open ways, areas of closed ways and of multipolygons, and the sea that coastlines bound."""
    coast: list[BaseGeometry] = []
    try:
        processor = osmium.FileProcessor(str(path)).with_areas().with_filter(osmium.filter.EmptyTagFilter())
        for item in processor:
            feature = _feature(item)
            if feature is None:
                continue
            if feature.tags.get("natural") == "coastline":
                coast.append(feature.geometry)
            yield feature
        box = processor.header.box()
    except RuntimeError as error:
        raise BadInput(str(path), f"is no readable OpenStreetMap file ({error})") from error
    if coast and not box.valid():
        # Coastlines that end before the edge of what a file covers do not tell which side of them is wet.
        logger.warning(
            "%s: its header names no box, so that no sea is drawn at its %d coastlines; give it one "
            "(osmium extract --set-bounds)",
            path, len(coast),
        )  # fmt: skip
    elif coast:
        frame = Bounds(box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
        for i, sea in enumerate(sea_of(coast, frame)):
            yield Feature(f"sea/{i}", sea, {"natural": "water", "water": "sea"})


def _feature(item: osmium.osm.OSMObject) -> Feature | None:
    tags = {tag.k: tag.v for tag in item.tags}
    if item.is_node():
        return Feature(f"node/{item.id}", shapely.Point(item.lon, item.lat), tags)
    if item.is_way():
        if item.is_closed() and is_area(tags):
            return None
        return Feature(f"way/{item.id}", _line(item), tags)
    if item.is_area() and (not item.from_way() or is_area(tags)):
        kind = "way" if item.from_way() else "relation"
        return Feature(f"{kind}/{item.orig_id()}", _multipolygon(item), tags)
    return None


def _line(way: osmium.osm.Way) -> BaseGeometry:
    """The way's line; nodes that the extract leaves out are passed over."""
    points = [(node.lon, node.lat) for node in way.nodes if node.location.valid()]
    return shapely.LineString(points) if len(points) > 1 else shapely.LineString()


def _multipolygon(area: osmium.osm.Area) -> BaseGeometry:
    """The area with its holes, a plain polygon where it is one, empty where its rings do not close."""
    try:
        shape: BaseGeometry = shapely.from_wkb(_WKB.create_multipolygon(area))
    except RuntimeError:
        return shapely.Polygon()
    parts = shapely.get_parts(shape)
    only: BaseGeometry = parts[0] if len(parts) == 1 else shape
    return only
