"""From the words of the command line and of Python to one Query: the same names, the same meaning."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from geoanchor.errors import BadInput, UsageError, first_fault, reason_of
from geoanchor.image import Layer, Pixels
from geoanchor.query import (
    NEGATIVE_WEIGHT,
    BoundsRegion,
    CellsRegion,
    ImagePart,
    LikePart,
    Part,
    PointPart,
    PolygonRegion,
    Query,
    RadiusRegion,
    Region,
    TextPart,
    picture_called,
)
from geoanchor.tiling import Bounds
from retrieval.phrases import Reader, Reading

KINDS = ("text", "image", "map", "ground", "at", "like", "not")
"""What a weight can be given to."""

Picture: TypeAlias = str | Path | bytes | Pixels | Image.Image
"""A picture file, its bytes, or pixels (h, w, 3) uint8."""
Where: TypeAlias = Region | Sequence[float] | Sequence[str] | Mapping[str, Any] | str | Path
"""Bounds (w, s, e, n), H3 cell names, a GeoJSON geometry, a vector file, or a Region."""
_GEOPARQUET = (".parquet", ".geoparquet")
_CELL = re.compile(r"[0-9a-f]{15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What may be asked, in the words of the command line; `query` makes it a Query.

    Attributes:
        text: words; not_: words that hits should be unlike.
        image, map, ground: pictures taken as aerial image, map image, street photo.
        at: (lat, lng) in degrees; like: id of a row, of which `segment` may take one part, by number.
        within: where to search; near: (lat, lng, metres); only one of the two.
        layer, since, until, k, offset, relations, tags, suppress, min_probability: as in Query.
        weights: kind -> weight, over the defaults 1 and -0.5 (not).
    """

    text: str | Sequence[str] | None = None
    image: Picture | Sequence[Picture] | None = None
    map: Picture | Sequence[Picture] | None = None
    ground: Picture | Sequence[Picture] | None = None
    at: Sequence[float] | str | None = None
    like: str | Sequence[str] | None = None
    segment: int | None = None
    not_: str | Sequence[str] | None = None
    within: Where | None = None
    near: Sequence[float] | str | None = None
    layer: Layer | None = None
    since: str | datetime | None = None
    until: str | datetime | None = None
    k: int = 10
    offset: int = 0
    relations: bool = True
    tags: bool = True
    suppress: float = 0.0
    spaces: Sequence[str] = ()
    rerank: str | None = None
    min_probability: float = 0.0
    weights: Mapping[str, float] | None = None

    def query(self, reader: Reader | None = None) -> Query:
        """The Query. Raises UsageError in one sentence when the words do not make one.

        Args:
            reader: reads the text as a search box does: places, coordinates, times, unwanted words become what they
                mean, and what is given in other words beside it goes first. None takes the text as it is.
        """
        readings = [reader(text) if reader else Reading(words=text) for text in _several(self.text)]
        parts = self._parts(readings)
        if not parts:
            raise UsageError("nothing is asked: give a text, --image, --map, --ground, --at, --like or --query")
        try:
            return Query(
                parts=tuple(parts),
                region=region_of(self.within, self.near)
                or next((said.region for said in readings if said.region), None),
                layer=self.layer or next((said.layer for said in readings if said.layer), None),
                since=moment(self.since) or next((said.since for said in readings if said.since), None),
                until=moment(self.until, end_of_day=True)
                or next((said.until for said in readings if said.until), None),
                k=self.k,
                offset=self.offset,
                spaces=tuple(self.spaces),
                relations=self.relations and all(said.relations for said in readings),
                tags=self.tags,
                suppress_m=self.suppress,
                rerank=self.rerank,
                min_probability=self.min_probability,
            )
        except ValidationError as error:
            raise UsageError(f"query: {first_fault(error)}") from error

    @contextmanager
    def naming_files(self) -> Iterator[None]:
        """Where a picture of the query turns out to be none while the query is answered, BadInput names its file."""
        try:
            yield
        except BadInput as error:
            files = [file for layer, given in self._pictures().items() for file in _several(given)
                     if error.where == picture_called(layer) and isinstance(file, (str, Path))]  # fmt: skip
            if not files:
                raise
            raise BadInput(" or ".join(map(str, files)), error.reason) from error

    def _pictures(self) -> dict[Layer, Any]:
        return {"aerial": self.image, "map": self.map, "ground": self.ground}

    def _parts(self, readings: Sequence[Reading]) -> list[Part]:
        weights = dict.fromkeys(KINDS, 1.0) | {"not": NEGATIVE_WEIGHT} | dict(self.weights or {})
        if self.segment is not None and len(_several(self.like)) != 1:
            raise UsageError("--segment takes a part of one row: name that row with --like")
        if unknown := set(weights) - set(KINDS):
            raise UsageError(f"no weight can be given to {unknown.pop()!r}; kinds: {', '.join(KINDS)}")
        try:
            parts: list[Part] = [part for said in readings for part in said.parts(weights["text"], weights["not"])]
            for layer, given in self._pictures().items():
                kind = "image" if layer == "aerial" else layer
                parts += [ImagePart(layer=layer, data=file_bytes(p), weight=weights[kind]) for p in _several(given)]
            if self.at is not None:
                lat, lng = _numbers(self.at, 2, "--at LAT,LNG")
                parts.append(PointPart(lng=lng, lat=lat, weight=weights["at"]))
            parts += [LikePart(id=name, segment=self.segment, weight=weights["like"]) for name in _several(self.like)]
            parts += [TextPart(text=text, weight=weights["not"]) for text in _several(self.not_)]
        except ValidationError as error:
            raise UsageError(f"query: {first_fault(error)}") from error
        return parts


def region_of(within: Where | None, near: Sequence[float] | str | None) -> Region | None:
    """A Region from `within` or `near` (lat, lng, metres), None where neither is given. Raises UsageError for both."""
    if near is None:
        return None if within is None else region(within)
    if within is not None:
        raise UsageError("--within and --near exclude each other: give one of the two")
    lat, lng, radius_m = _numbers(near, 3, "--near LAT,LNG,METRES")
    try:
        return RadiusRegion(lng=lng, lat=lat, radius_m=radius_m)
    except ValidationError as error:
        raise UsageError(f"query: {first_fault(error)}") from error


def region(where: Where) -> Region:
    """A Region from bounds, H3 cell names, a geometry or a vector file (any that GDAL reads; made WGS 84).

    Raises UsageError.
    """
    if isinstance(where, (BoundsRegion, PolygonRegion, RadiusRegion, CellsRegion)):
        return where
    if isinstance(where, Mapping):
        return PolygonRegion(geometry=_only_polygons(where, "the geometry"))
    if isinstance(where, Path) or (isinstance(where, str) and not _is_inline(where)):
        return PolygonRegion(geometry=_read_geometry(Path(where)))
    return inline_region(where)


def inline_region(where: str | Sequence[float] | Sequence[str]) -> Region:
    """A Region from bounds (w, s, e, n) or H3 cell names, or either as text; never a file. Raises UsageError."""
    items = [item.strip() for item in where.split(",")] if isinstance(where, str) else list(where)
    if all(isinstance(item, str) and _CELL.fullmatch(item) for item in items):
        return CellsRegion(cells=tuple(map(str, items)))
    try:
        return BoundsRegion(bounds=Bounds(*_numbers(items, 4, "--within WEST,SOUTH,EAST,NORTH")))
    except ValidationError as error:
        raise UsageError(f"--within {','.join(map(str, items))}: {first_fault(error)}") from error


def _is_inline(where: str) -> bool:
    return all(_CELL.fullmatch(item.strip()) or _is_number(item) for item in where.split(","))


def read_query(path: Path) -> Query:
    """A saved Query (the JSON that REST takes), from standard input where the path is "-". Raises UsageError."""
    try:
        return TypeAdapter(Query).validate_json(sys.stdin.read() if str(path) == "-" else path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot read the query ({error.strerror})") from error
    except ValidationError as error:
        raise UsageError(f"{path}: not a query: {first_fault(error)}") from error


def moment(when: str | datetime | None, *, end_of_day: bool = False) -> datetime | None:
    """A time with zone (UTC where none is given); a bare date is its start, or its last moment. Raises UsageError."""
    if when is None:
        return None
    if isinstance(when, str):
        try:
            parsed = datetime.fromisoformat(when)
        except ValueError as error:
            raise UsageError(f"{when!r} is no time; write it like 2024-05-31 or 2024-05-31T12:00:00Z") from error
        bare_date = re.fullmatch(r"\d{4}-?\d\d-?\d\d", when)
        when = datetime.combine(parsed, time.max) if end_of_day and bare_date else parsed
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def file_bytes(picture: Picture) -> bytes:
    """A picture as file bytes; pixels become PNG. Raises UsageError when the file cannot be read or is empty."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, Path)):
        try:
            data = Path(picture).read_bytes()
        except OSError as error:
            raise UsageError(f"{picture}: cannot read the picture ({error.strerror})") from error
        if not data:
            raise UsageError(f"{picture}: is empty, and no picture")
        return data
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _several(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(given: Sequence[Any], count: int, form: str) -> list[float]:
    items = given.split(",") if isinstance(given, str) else list(given)
    if len(items) != count or not all(_is_number(str(item)) for item in items):
        raise UsageError(f"{','.join(map(str, items))!r} is not of the form {form}")
    return [float(item) for item in items]


def _read_geometry(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UsageError(f"--within {path}: no such file, nor four numbers WEST,SOUTH,EAST,NORTH, nor H3 cells")
    import geopandas
    import pyarrow

    # GDAL reads GeoParquet only where it was built for it.
    read = geopandas.read_parquet if path.suffix.lower() in _GEOPARQUET else geopandas.read_file
    try:
        frame = read(path)
        if not isinstance(frame, geopandas.GeoDataFrame):
            raise UsageError(f"--within {path}: holds no geometries")
        frame = frame if frame.crs is None else frame.to_crs(4326)
    except (RuntimeError, ValueError, OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise UsageError(f"--within {path}: cannot read it as a vector file ({reason_of(error)})") from error
    return _only_polygons(frame.geometry.__geo_interface__, str(path))


def _only_polygons(geojson: Mapping[str, Any], where: str) -> dict[str, Any]:
    """One Polygon or MultiPolygon of all polygons in a GeoJSON object; several are joined into one area."""
    found = _polygons(geojson)
    if not found:
        raise UsageError(f"--within {where}: holds no Polygon or MultiPolygon")
    if len(found) == 1:
        return found[0]
    import shapely
    from shapely.geometry import mapping, shape

    return dict(mapping(shapely.union_all([shapely.make_valid(shape(geometry)) for geometry in found])))


def _polygons(geojson: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = geojson.get("type") if isinstance(geojson, Mapping) else None
    if kind == "FeatureCollection":
        return [geometry for feature in geojson.get("features") or [] for geometry in _polygons(feature)]
    if kind == "GeometryCollection":
        return [geometry for part in geojson.get("geometries") or [] for geometry in _polygons(part)]
    if kind == "Feature":
        return _polygons(geojson.get("geometry") or {})
    return [dict(geojson)] if kind in ("Polygon", "MultiPolygon") else []
