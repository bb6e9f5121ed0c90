"""Small rasters with a known value in every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import pyproj
import rasterio
import rasterio.shutil
import rasterio.warp
from PIL import Image
from rasterio.transform import Affine

from geoanchor.image import TileImage
from geoanchor.tiling import Tile
from indexer.sources.registry import SourceOptions, open_source

SIDE = 250
UTM = "EPSG:32614"
UTM_ORIGIN = Affine(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_200_000.0)


def ramp(side: int = SIDE) -> np.ndarray:
    """(3, side, side): column, row, 90 - a picture whose pixels say where they are."""
    rows, cols = np.mgrid[0:side, 0:side]
    return np.stack([cols, rows, np.full_like(cols, 90)]).astype(np.uint8)


def write(
    path: Path, values: np.ndarray, crs: str | None = UTM, transform: Affine = UTM_ORIGIN, **profile: Any
) -> Path:
    """Write (bands, h, w) as a raster."""
    colours = profile.pop("colorinterp", None)
    tags = profile.pop("tags", {})
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", **({"driver": "GTiff"} | profile), **shape, crs=crs, transform=transform) as file:
        file.write(values)
        file.update_tags(**tags)
        if colours:
            file.colorinterp = colours
    return path


def unplaced(path: Path) -> Path:
    """Write a TIFF that says nothing of where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.moveaxis(ramp(), 0, -1)).save(path)
    return path


def read_all(path: Path, **options: Any) -> list[TileImage]:
    source = open_source(str(path), SourceOptions(**options))
    try:
        return [source.read(ref) for ref in source.plan()]
    finally:
        source.close()


def only(images: list[TileImage]) -> TileImage:
    assert len(images) == 1
    return images[0]


def where_from(tile: Tile, crs: str, transform: Affine, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Raster column and row under the centre of every tile pixel, by pyproj alone."""
    left, bottom, right, top = mercantile.xy_bounds(mercantile.Tile(x=tile.x, y=tile.y, z=tile.z))
    steps = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(left + steps * (right - left), top - steps * (top - bottom))
    east, north = pyproj.Transformer.from_crs("EPSG:3857", crs, always_xy=True).transform(x, y)
    return ~transform * (np.asarray(east), np.asarray(north))
