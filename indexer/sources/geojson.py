"""GeoJSON: collections, single features, bare geometries, and newline-delimited features."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import BadInput
from geoanchor.feature import Feature
from indexer.tagging import plain_tags

logger = logging.getLogger(__name__)

_ID_KEYS = ("@id", "id", "full_id", "osm_id", "fid")


def read_geojson(path: Path) -> Iterator[Feature]:
    """Features of a GeoJSON file, newline-delimited or not, in degrees whatever its "crs" member says.

    Raises BadInput when it is not GeoJSON; single features that are broken are counted and logged.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(str(path), "is not UTF-8 text, so not GeoJSON") from error
    try:
        documents = [json.loads(text)]
    except json.JSONDecodeError as error:
        documents = list(_lines(text, path, error))
    except RecursionError as error:
        raise BadInput(str(path), "is nested too deeply for GeoJSON") from error
    yield from _features(documents, path)


def _lines(text: str, path: Path, cause: json.JSONDecodeError) -> Iterator[Any]:
    """Documents of newline-delimited (RFC 8142) GeoJSON."""
    lines = [line.strip("\x1e \t\r") for line in text.split("\n")]
    lines = [line for line in lines if line]
    try:
        whole = len(lines) > 1 and isinstance(json.loads(lines[0]), dict)
    except json.JSONDecodeError:
        whole = False
    if not whole:
        raise BadInput(str(path), f"is not JSON (line {cause.lineno}: {cause.msg})") from cause
    broken = 0
    for line in lines:
        try:
            yield json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            broken += 1
    if broken:
        logger.warning("%s: %d of %d lines are not JSON", path, broken, len(lines))


def _features(documents: Sequence[Any], path: Path) -> Iterator[Feature]:
    broken = 0
    to_degrees: pyproj.Transformer | None = None
    for document in documents:
        if isinstance(document, dict) and "crs" in document:
            to_degrees = _transformer(document["crs"], path)
        items = _items(document)
        if items is None:
            if len(documents) == 1:
                kind = document.get("type") if isinstance(document, dict) else None
                raise BadInput(str(path), f"is JSON but not GeoJSON (type {kind!r})")
            broken += 1
        for number, item in enumerate(items or ()):
            try:
                yield _feature(item, number, to_degrees)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.errors.ShapelyError):
                broken += 1
    if broken:
        logger.warning("%s: %d features are broken and left out", path, broken)


def _items(document: Any) -> list[Any] | None:
    """Features of a document, None where it is no GeoJSON."""
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "FeatureCollection" and isinstance(document.get("features"), list):
        features: list[Any] = document["features"]
        return features
    if kind == "Feature":
        return [document]
    if kind is not None and ("coordinates" in document or "geometries" in document):
        return [{"geometry": document}]
    return None


def _feature(item: Mapping[str, Any], number: int, to_degrees: pyproj.Transformer | None) -> Feature:
    # Files have NaN for coordinates; such a geometry is counted later, with all that cannot be used.
    with np.errstate(invalid="ignore"):
        geometry = _shape(item["geometry"])
    if to_degrees is not None:
        geometry = shapely.transform(geometry, lambda xy: _degrees(to_degrees, xy))
    properties = item.get("properties") or {}
    return Feature(_id(item, properties, number), geometry, plain_tags(properties))


def _shape(geometry: Any) -> BaseGeometry:
    shape: BaseGeometry = shapely.Point() if geometry is None else shapely.geometry.shape(geometry)
    return shape


def _degrees(transformer: pyproj.Transformer, xy: Any) -> Any:
    lng, lat = transformer.transform(xy[:, 0], xy[:, 1])
    return list(zip(lng, lat, strict=True))


def _id(item: Mapping[str, Any], properties: Mapping[str, Any], number: int) -> str:
    if properties.get("osm_type") and properties.get("osm_id"):
        return f"{properties['osm_type']}/{properties['osm_id']}"
    for value in chain((item.get("id"),), (properties.get(key) for key in _ID_KEYS)):
        if value not in (None, ""):
            return str(value)
    return str(number)


def _transformer(crs: Any, path: Path) -> pyproj.Transformer | None:
    """From the "crs" member of GeoJSON 2008 to degrees; None where they are degrees already."""
    try:
        name = crs["properties"]["name"] if crs else "OGC:CRS84"
        source = pyproj.CRS.from_user_input(name)
    except (TypeError, KeyError, CRSError) as error:
        raise BadInput(str(path), f'has a "crs" member that cannot be understood: {crs!r}') from error
    if source.is_geographic and source.to_epsg() in (4326, None) and "84" in source.name:
        return None
    return pyproj.Transformer.from_crs(source, "OGC:CRS84", always_xy=True)
