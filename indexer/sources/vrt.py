"""A VRT is a small text that may send GDAL to another machine: what keeps it from that while the network is off."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import rasterio
from rasterio.errors import RasterioError

from geoanchor.errors import BadInput
from indexer.sources.grid import without_secrets

_SWITCHED_OFF = "and the network is switched off; run without --offline"
_NOWHERE = "offline://offline"
_FENCE = {
    # The only name that GDAL may open on /vsicurl/, /vsis3/ and their like.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    # Plain addresses, WMS, WCS, ... go by a proxy whose scheme curl does not know, and so they never leave.
    "GDAL_HTTP_PROXY": _NOWHERE,
    "GDAL_HTTPS_PROXY": _NOWHERE,
    # Options are those of a thread; threads that GDAL starts for the parts of a VRT would not have them.
    "VRT_NUM_THREADS": "1",
}
_MARK, _HEAD = b"<VRTDataset", 4096
"""What GDAL knows a VRT by, and the bytes it may be looked for in."""
_SOURCE = re.compile(r"<Source(?:Filename|Dataset)\b[^>]*>([^<]*)<")
_PART = re.compile(r"<SourceFilename\b(?:[^>]*\brelativeToVRT=[\"']([01])[\"'])?[^>]*>([^<]*)<")
_STORES = r"/vsi(?:s3|gs|az|adls|oss|swift|hdfs|webhdfs)"
_ADDRESS = re.compile(rf"(?:{_STORES}|(?:https?|ftp)://)[^<\s\"']*")
_NETWORK = re.compile(rf"{_NOWHERE}|/vsicurl|{_STORES}|(?:https?|ftp)://")


@contextlib.contextmanager
def fenced(path: str, *, offline: bool) -> Iterator[None]:
    """With the network off, GDAL dials nowhere within, not even this machine. Raises BadInput when a file needs it."""
    if not offline:
        yield
        return
    with rasterio.Env(**_FENCE):
        try:
            yield
        except (RasterioError, OSError) as error:
            if _ran_against(error):
                raise BadInput(path, f"has parts that lie elsewhere, {_SWITCHED_OFF}") from error
            raise


def refuse_network(path: Path, data: bytes | None = None) -> None:
    """Raise BadInput when a VRT, or one that it is made of, reads over the network: before the fence has to stop it.

    Args:
        path: of any file; data: its bytes, where it is no file of its own.
    """
    for address in _addresses(path, _text(path) if data is None else _decoded(data)):
        raise BadInput(str(path), f"reads {without_secrets(address)}, {_SWITCHED_OFF}")


def require_parts(path: Path) -> None:
    """Raise BadInput when a VRT that this one is made of lacks a file: GDAL says so once at most and then reads black.

    What the VRT itself lacks GDAL says whenever it is wanted, so that the rest of it can be used.
    """
    seen, queue = {path}, [part for part in _local_parts(path, _text(path)) if _is_vrt(part)]
    while queue:
        inner = queue.pop()
        if inner in seen:
            continue
        seen.add(inner)
        for part in _local_parts(inner, _text(inner)):
            if not part.exists():
                raise BadInput(str(path), f"is made of {inner.name}, which lacks {part}; restore it or take it out")
            if _is_vrt(part):
                queue.append(part)


def _local_parts(path: Path, text: str) -> Iterator[Path]:
    """The plain files that a VRT names as its parts."""
    for beside, name in _PART.findall(text):
        part = unescape(name).strip()
        if part and not part.startswith("/vsi") and ":" not in part:
            yield path.parent / part if beside == "1" else Path(part)


def _is_vrt(part: Path) -> bool:
    return part.suffix.lower() == ".vrt"


def _addresses(path: Path, text: str) -> Iterator[str]:
    """What a VRT reads over the network, and what the VRTs that it is made of do."""
    seen, queue = {path}, [(path, text)]
    while queue:
        path, text = queue.pop()
        for part in map(unescape, _SOURCE.findall(text)):
            yield from _ADDRESS.findall(unquote(part))
            inner = path.parent / part.strip()
            if inner not in seen:
                seen.add(inner)
                queue.append((inner, _text(inner)))


def _text(path: Path) -> str:
    """The text of a VRT, whatever the name of its file; "" for all else."""
    # What cannot be read is for GDAL to tell.
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            with open(path, "rb") as file:
                head = file.read(_HEAD)
                return _decoded(head + file.read() if _MARK in head else head)
    return ""


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace") if _MARK in data[:_HEAD] else ""


def _ran_against(error: BaseException | None) -> bool:
    """Whether it was the fence that made GDAL fail."""
    while error is not None:
        if _NETWORK.search(str(error)):
            return True
        error = error.__cause__
    return False
