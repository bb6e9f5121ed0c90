"""Sixty uploads and forty parameters that mean no good, made here so that none lies about as a file."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(kind: str = "PNG", size: tuple[int, int] = (32, 24), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes = b"", *, depth: int = 8, colour: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    data = bytearray(picture("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _bmp_of(width: int, height: int) -> bytes:
    data = bytearray(picture("BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _gif_of(width: int, height: int) -> bytes:
    data = bytearray(picture("GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def _tiff_of(width: int, height: int) -> bytes:
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 8)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", 0)


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escape.png", b"0" * 1_000_000)
    return buffer.getvalue()


def _tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("/etc/passwd"))
    return buffer.getvalue()


def _pickled() -> bytes:
    return (
        b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85R."
    )


def _claims() -> Iterator[tuple[str, bytes]]:
    """Small files that claim to be huge."""
    for width, height in ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (65_535, 65_535), (1, 2**31 - 1)):
        yield f"PNG of {width} x {height}", png(width, height)
    for width, height in ((65_535, 65_535), (65_500, 60_000)):
        yield f"JPEG of {width} x {height}", _jpeg_of(width, height)
    for width, height in ((100_000, 100_000), (2**31 - 1, 1), (-5, 2**30)):
        yield f"BMP of {width} x {height}", _bmp_of(width, height)
    for width, height in ((200_000, 200_000), (2**32 - 1, 2**32 - 1), (0, 0)):
        yield f"TIFF of {width} x {height}", _tiff_of(width, height)
    yield "GIF of 65535 x 65535", _gif_of(65_535, 65_535)
    yield "bits of 20000 x 20000", png(20_000, 20_000, bytes(2501 * 20_000), depth=1, colour=0)
    yield "PNG of no size", png(0, 0)
    yield "PNG of no height", png(10, 0)
    yield "PPM of 99999 x 99999", b"P6 99999 99999 255\n"
    yield "PPM of letters", b"P6 wide high 255\n" + bytes(90)


def _cut() -> Iterator[tuple[str, bytes]]:
    """Files that end early."""
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000"):
        whole = picture(kind)
        yield f"{kind} cut in its middle", whole[: len(whole) // 2]
        yield f"{kind} cut in its head", whole[:12]


def _broken() -> Iterator[tuple[str, bytes]]:
    """Files that lie within."""
    whole = picture()
    yield "PNG with a wrong checksum", whole.replace(b"IHDR", b"IHDS")
    yield "PNG with a chunk of 4 GB", SIGNATURE + struct.pack(">I", 2**32 - 1) + b"IHDR" + bytes(40)
    yield "PNG without pixels", SIGNATURE + whole[8:33] + chunk(b"IEND", b"")
    yield "PNG with rubbish for pixels", SIGNATURE + whole[8:33] + chunk(b"IDAT", b"rubbish" * 9) + chunk(b"IEND", b"")
    yield "PNG of an unknown kind", png(8, 8, bytes(200), depth=77, colour=99)
    yield "PNG of no colour", png(8, 8, bytes(200), colour=5)
    yield "JPEG of nothing but its mark", b"\xff\xd8\xff\xe0" + bytes(64)
    yield "JPEG without a frame", b"\xff\xd8\xff\xd9"
    yield "JPEG full of restarts", b"\xff\xd8" + b"\xff\xd0" * 500 + b"\xff\xd9"
    yield "WebP of nothing", b"RIFF" + struct.pack("<I", 4) + b"WEBP"
    yield "WebP longer than it is", b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBPVP8 " + bytes(40)
    yield "TIFF that points at itself", b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "TIFF that points beyond its end", b"II*\0" + struct.pack("<I", 2**31)
    yield "TIFF of 65535 entries", b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65_535) + bytes(400)
    yield "AVIF of nothing", struct.pack(">I", 24) + b"ftypavif" + bytes(40)


def _others() -> Iterator[tuple[str, bytes]]:
    """What is no picture, or one that would be handed to another program."""
    yield "nothing", b""
    yield "a nought byte", b"\0"
    yield "words", b"not a picture at all " * 20
    yield "HTML", b"<html><script>alert(1)</script></html>"
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "XML that asks for a file", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n%%EOF\n"
    yield "PDF", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"
    yield "a ZIP with a way out", _zipped()
    yield "a tar with a way out", _tarred()
    yield "a pickle", _pickled()
    yield "a program", b"\x7fELF" + bytes(60)
    yield "a gzip bomb", zlib.compress(bytes(10_000_000))
    yield (
        "a VRT that names a file",
        b'<VRTDataset rasterXSize="9" rasterYSize="9"><SourceFilename>/etc/passwd</SourceFilename>',
    )
    yield "too many bytes", bytes(np.random.default_rng(1).integers(0, 255, 60_000, np.uint8))
    yield "a picture of too many bytes", picture("BMP", (128, 120))


def uploads() -> list[tuple[str, bytes]]:
    return [*_claims(), *_cut(), *_broken(), *_others()]


HUGE = 10**30
TEXT = {"kind": "text", "text": "red"}


def queries() -> list[dict[str, Any]]:
    """Bodies of POST /api/search."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    polygons = [
        {"type": "Polygon"}, {"type": "Polygon", "coordinates": "everywhere"}, {"type": "Polygon", "coordinates": deep},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, None], [0, 1], [0, 0]]]},
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "MultiPolygon", "coordinates": [ring]}, {"type": ["Polygon"], "coordinates": [ring]}, {},
    ]  # fmt: skip
    return [
        *({"parts": [TEXT], "region": {"kind": "polygon", "geometry": geometry}} for geometry in polygons),
        {"parts": [TEXT], "region": {"kind": "cells", "cells": ["../../etc/passwd"]}},
        {"parts": [TEXT], "region": {"kind": "bounds", "bounds": [0, 60, 1, 50]}},
        {"parts": [TEXT], "region": {"kind": "radius", "lng": 900, "lat": 0, "radius_m": 5}},
        {"parts": [TEXT], "region": {"kind": "file", "path": "/etc/passwd"}},
        {"parts": [TEXT], "k": HUGE},
        {"parts": [TEXT], "k": 0},
        {"parts": [TEXT], "offset": HUGE},
        {"parts": [TEXT], "offset": -1},
        {"parts": [TEXT], "spaces": ["'; DROP TABLE tiles; --"]},
        {"parts": [TEXT], "rerank": "os:system"},
        {"parts": [TEXT], "since": "99999-01-01"},
        {"parts": [TEXT | {"text": ""}]},
        {"parts": [TEXT | {"text": "x" * 5000}]},
        {"parts": [TEXT | {"weight": "much"}]},
        {"parts": [TEXT | {"weight": -1}]},
        {"parts": [TEXT] * 5000},
        {"parts": [{"kind": "like", "id": "../../manifest.json"}]},
        {"parts": [{"kind": "like", "id": "x", "segment": HUGE}]},
        {"parts": [{"kind": "point", "lng": 1e308, "lat": 0}]},
        {"parts": [{"kind": "image", "layer": "map", "data": "file:///etc/passwd"}]},
        {"parts": [{"kind": "image", "layer": "map", "path": "/etc/passwd"}]},
        {"parts": deep},
    ]


PATHS = (
    "/api/search?q=red&within=/etc/passwd", "/api/search?q=red&near=nan,inf,-1", "/api/search?q=red&since=yesterday",
    "/api/search?q=red&k=1e9", "/api/search?q=red&suppress=-inf", "/api/search?q=red&suppress=nan",
    "/api/search?at=91,181", "/api/search?like=%00", "/api/similar/..%2f..%2fmanifest.json",
    "/api/thumbnails/%2e%2e/%2e%2e/manifest.json", "/api/rows/'%20OR%201=1", "/tiles/map/99999999999999999999/0/0.png",
    "/tiles/..%2f..%2f/1/0/0.png", "/tiles/map/1/-1/0.png", "/api/coverage?resolution=99", "/api/changes?k=-1",
    "/api/changes/..%2f..%2fx/heat.png", "/static/..%2f..%2fpyproject.toml", "/api/rows.exe", "/api/jobs/0",
)  # fmt: skip
