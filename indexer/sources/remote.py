"""Rasters on the web, read by windows through GDAL instead of being downloaded whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError

from geoanchor.errors import BadInput
from geoanchor.settings import Settings
from indexer.sources.grid import without_secrets
from indexer.sources.web import USER_AGENT, refuse_when_offline

_POLITE = {
    "GDAL_HTTP_USERAGENT": USER_AGENT,
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_TIMEOUT": "60",
    # Or GDAL asks for a listing of the folder and for sidecar files first.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}


def local_view(url: str, settings: Settings) -> Path:
    """A small VRT file in the cache folder that stands for a raster on the web, e.g. a Cloud Optimized GeoTIFF.

    Raises OfflineError when the network is off, BadInput when there is no raster at the URL.
    """
    refuse_when_offline(url, settings)
    folder = settings.cache_dir / "rasters"
    view = folder / (hashlib.sha256(url.encode()).hexdigest()[:24] + ".vrt")
    partial = view.with_suffix(f".{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with rasterio.Env(**_POLITE), rasterio.open(f"/vsicurl/{url}") as dataset:
            rasterio.shutil.copy(dataset, partial, driver="VRT")
        # An unchanged view keeps its time, so that an incremental build sees nothing new.
        if view.is_file() and view.read_bytes() == partial.read_bytes():
            partial.unlink()
        else:
            partial.replace(view)
    except (RasterioError, OSError) as error:
        raise BadInput(without_secrets(url), f"cannot be read as a raster ({type(error).__name__})") from error
    return view
