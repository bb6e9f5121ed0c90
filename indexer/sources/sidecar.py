"""Georeferences that lie in small files beside a picture: world files with .prj, and GDAL's .aux.xml."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import PurePosixPath
from xml.etree import ElementTree

import pyproj

from geoanchor.errors import BadInput
from indexer.sources.georeference import Georeference, georeference

_WORLD_FILES = {
    ".jpg": (".jgw", ".jpgw", ".wld"),
    ".jpeg": (".jgw", ".jpegw", ".jpgw", ".wld"),
    ".png": (".pgw", ".pngw", ".wld"),
    ".webp": (".wpw", ".webpw", ".wld"),
    ".tif": (".tfw", ".tifw", ".wld"),
    ".tiff": (".tfw", ".tiffw", ".tifw", ".wld"),
    ".jp2": (".j2w", ".jp2w", ".wld"),
    ".bmp": (".bpw", ".bmpw", ".wld"),
    ".gif": (".gfw", ".gifw", ".wld"),
}

Read = Callable[[str], bytes]


def sidecars(name: str, names: Container[str]) -> tuple[str, ...]:
    """Which of the files beside a picture may say where it lies: .aux.xml first, then the world file."""
    path = PurePosixPath(name)
    possible = [name + ".aux.xml"]
    for suffix in _WORLD_FILES.get(path.suffix.lower(), ()):
        possible += [str(path.with_suffix(suffix)), str(path.with_suffix(suffix.upper()))]
    return tuple(candidate for candidate in possible if candidate in names)


def read_sidecars(name: str, names: Container[str], read: Read, size: tuple[int, int]) -> Georeference | None:
    """Where a picture lies by the files beside it.

    Args:
        name: the picture, a path below its source; names: what else lies there; read: gives a file's bytes.
        size: width and height of the picture, pixels.
    Raises BadInput when a sidecar is there and cannot be understood.
    """
    for sidecar in sidecars(name, names):
        if sidecar.endswith(".aux.xml"):
            placed = _from_aux_xml(sidecar, read(sidecar), size)
        else:
            placed = georeference(sidecar, _world_file(sidecar, read(sidecar)), projection(name, names, read), *size)
        if placed is not None:
            return placed
    return None


def projection(name: str, names: Container[str], read: Read) -> str | None:
    """WKT of the .prj file beside a picture, None where there is none. Raises BadInput when it is no CRS."""
    for suffix in (".prj", ".PRJ"):
        prj = str(PurePosixPath(name).with_suffix(suffix))
        if prj in names:
            return _checked_crs(prj, read(prj).decode("utf-8", "replace").strip("\ufeff\0 \r\n"))
    return None


def _from_aux_xml(where: str, data: bytes, size: tuple[int, int]) -> Georeference | None:
    """GDAL's persistent auxiliary metadata; None where it only keeps statistics."""
    try:
        root = ElementTree.fromstring(data)
        numbers = [float(part) for part in (root.findtext("GeoTransform") or "").split(",") if part.strip()]
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(where, f"is not a georeference ({error}); delete or repair it") from error
    if len(numbers) != 6:
        return None
    srs = (root.findtext("SRS") or "").strip()
    c, a, b, f, d, e = numbers
    return georeference(where, (a, b, c, d, e, f), _checked_crs(where, srs) if srs else None, *size)


def _world_file(where: str, data: bytes) -> tuple[float, ...]:
    try:
        a, d, b, e, x, y = (float(line.replace(b",", b".")) for line in data.split())
    except ValueError as error:
        raise BadInput(where, "is not a world file (six numbers); delete or repair it") from error
    # A world file speaks of the centre of the first pixel, everything else of its corner.
    return a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2


def _checked_crs(where: str, text: str) -> str:
    try:
        return str(pyproj.CRS.from_user_input(text).to_wkt())
    except (pyproj.exceptions.CRSError, UnicodeError) as error:
        raise BadInput(where, "names no coordinate reference system that PROJ knows; write it anew") from error
