"""Where a VRT reads from: a small text file may send GDAL to another machine."""

from __future__ import annotations

import re
from pathlib import Path

from geoanchor.errors import BadInput
from geoanchor.settings import Settings

_STORES = re.compile(r"/vsi(?:s3|gs|az|adls|oss|swift|hdfs|webhdfs)(?:_streaming)?/[^<\s\"']*")
_URLS = re.compile(r"(?:https?|ftp)://[^<\s\"']+")


def refuse_remote_parts(path: Path, settings: Settings) -> None:
    """Raise BadInput when a VRT file reads from another machine and the network is switched off."""
    if not settings.offline or path.suffix.lower() != ".vrt":
        return
    from indexer.sources.web import may_dial  # brings an HTTP client, which other rasters never need

    text = path.read_text("utf-8", "replace")
    remote = _STORES.findall(text) + [url for url in _URLS.findall(text) if not may_dial(url, settings)]
    if remote:
        raise BadInput(str(path), f"reads {remote[0]}, and the network is switched off; run without --offline")
