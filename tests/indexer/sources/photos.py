"""Small pictures with positions, alone and packed."""

from __future__ import annotations

import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from PIL import Image

from geoanchor.errors import BadInput
from geoanchor.image import TileImage
from indexer.sources.folder import open_file
from indexer.sources.registry import SourceOptions

GPS, EXIF = 0x8825, 0x8769


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    rows, cols = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([cols * 3, rows * 4, np.full_like(cols, 80)], -1).astype(np.uint8))


def save(path: Path, image: Image.Image | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or gradient()).save(path, **options)
    return path


def camera(lat: float = -33.5, lng: float = -70.25, **more: Any) -> Image.Exif:
    """EXIF as a camera writes it."""

    def parts(angle: float) -> tuple[float, float, float]:
        whole = int(abs(angle))
        return (float(whole), float(int((abs(angle) - whole) * 60)), (abs(angle) - whole) * 3600 % 60)

    exif = Image.Exif()
    exif[GPS] = {1: "NS"[lat < 0], 2: parts(lat), 3: "EW"[lng < 0], 4: parts(lng)} | more.get("gps", {})
    exif[EXIF] = more.get("details", {0x9003: "2020:02:29 10:20:30"})
    for tag, value in more.get("tags", {}).items():
        exif[tag] = value
    return exif


def read_all(source: Any) -> dict[str, TileImage | str]:
    """By the last part of the id: the picture, or the sentence why not."""
    results: dict[str, TileImage | str] = {}
    for ref in source.plan():
        name = ref.id.split("/", 2)[2]
        try:
            results[name] = source.read(ref)
        except BadInput as error:
            results[name] = str(error)
    return results


def read_one(path: Path, **options: Any) -> TileImage:
    source = open_file(str(path), SourceOptions(**options))
    (ref,) = source.plan()
    image = source.read(ref)
    assert image.id == ref.id
    return image


def pack(path: Path, folder: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, arcname=".")
    return path


def bomb() -> bytes:
    """A PNG of 50,000 x 50,000 pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def world(path: Path, suffix: str, numbers: tuple[float, ...], crs: str | None = None) -> Path:
    """A picture with a world file."""
    save(path)
    path.with_suffix(suffix).write_text("\n".join(map(str, numbers)) + "\n")
    if crs:
        path.with_suffix(".prj").write_text(pyproj.CRS(crs).to_wkt("WKT1_ESRI"))
    return path
