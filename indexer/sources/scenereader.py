"""Pixels of raster files: whole, sampled, or warped onto a tile."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_bounds
from rasterio.warp import reproject
from rasterio.windows import Window

from geoanchor.errors import BadInput
from geoanchor.image import filling
from geoanchor.picture import LARGE_PX, Picture, Stretch, interleaved, too_large
from geoanchor.tiling import Tile
from indexer.sources.georeference import Georeference
from indexer.sources.registry import SourceOptions
from indexer.sources.scene import Rgba, Scene, first_line, hush, open_scene, opened
from indexer.sources.vrt import fenced, refuse_network

_MERCATOR = CRS.from_epsg(3857)
_AVERAGED = 16
"""Beyond this decimation an average would read far more than it shows."""
_PADDING_PX = 2
"""Pixels around a tile that interpolation looks at."""
_BYTES_A_PIXEL = 8
"""Four bands of 16 bits; a block may unpack to as much as a picture within the limit has."""
_NEVER_MEASURED = -9998.0
"""No brightness is as low: -9999, -32768 and their like stand for no data, whether a file declares it or not."""
_OPEN_FILES = 16
"""Datasets kept open by each thread."""


def decode_raster(data: bytes, where: str, options: SourceOptions) -> tuple[Picture, Georeference | None]:
    """A whole raster from the bytes of its file, stretched by itself, and where it lies if it says so.

    Of one that is large the pixels are averaged, two by two, three by three, ..., as far as 1,024 are left either way.

    Raises BadInput, naming `where`, when it cannot be read or has more pixels than the settings allow.
    """
    limit, offline = options.settings.max_pixels, options.settings.offline
    if offline:
        refuse_network(Path(where), data)
    try:
        with MemoryFile(data) as memory, contextlib.closing(Reader()) as reader:
            scene = open_scene(Path(memory.name), options.bands, name=Path(where).name, offline=offline)
            if scene.width * scene.height > limit:
                raise BadInput(where, too_large(scene.width, scene.height, limit))
            if scene.block_bytes > _BYTES_A_PIXEL * limit:
                raise BadInput(where, f"unpacks in pieces of {scene.block_bytes} bytes; rewrite it in small tiles")
            rgba = reader.whole(scene)
    except BadInput as error:
        raise BadInput(where, error.reason) from error
    empty = rgba[3] == 0
    rgba[:3, empty] = np.array(filling(options.layer or "aerial"), np.uint8)[:, None]
    nodata = float(np.mean(empty))
    return Picture(interleaved(rgba), (scene.width, scene.height), nodata, None, scene.acquired, None), scene.placed


class Reader:
    """Reads pixels of scenes; each thread has its own few open files."""

    def __init__(self) -> None:
        hush()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: set[Any] = set()

    def tile(self, scene: Scene, tile: Tile, size_px: int, stretch: Stretch | None) -> Rgba | None:
        """A scene warped onto a tile, None where it does not reach; alpha 0 where it has no data.

        Raises BadInput when its pixels cannot be read.
        """
        assert scene.placed is not None
        box = scene.placed.pixel_box(tile)
        cut = _cut(box, scene, size_px)
        if cut is None:
            return None
        window, shape = cut
        rgba = self._colours(scene, window, shape, stretch)
        within = box[0] >= 0 and box[1] >= 0 and box[2] <= scene.width and box[3] <= scene.height
        return _warp(scene.placed, rgba, window, tile, size_px, opaque=within and bool(rgba[3].all()))

    def whole(self, scene: Scene) -> Rgba:
        """A whole scene as it lies, shrunk where it is large, stretched by itself.

        Raises BadInput when its pixels cannot be read.
        """
        step = max(1, min(scene.height, scene.width) // LARGE_PX)
        window, shape = Window(0, 0, scene.width, scene.height), (-(-scene.height // step), -(-scene.width // step))
        stretch = Stretch.of(self.sample(scene)) if scene.is_stretched else None
        return self._colours(scene, window, shape, stretch)

    def sample(self, scene: Scene) -> NDArray[np.float32]:
        """Values (bands, n) from all over a scene, those without data left out. Raises BadInput."""
        parts = []
        for window, shape in _sample_windows(scene):
            values, valid = self._read(scene, window, shape, Resampling.nearest)
            parts.append(values[:, valid].astype(np.float32))
        return np.concatenate(parts, axis=1)

    def close(self) -> None:
        """Close every file of every thread."""
        with self._lock:
            for dataset in self._open:
                dataset.close()
            self._open.clear()

    def _colours(self, scene: Scene, window: Window, shape: tuple[int, int], stretch: Stretch | None) -> Rgba:
        decimation = window.width / shape[1]
        coarse = decimation > _AVERAGED * max((step for step in scene.overviews if step <= decimation), default=1)
        nearest = coarse or scene.inks == "palette"
        values, valid = self._read(scene, window, shape, Resampling.nearest if nearest else Resampling.average)
        return _colour(scene, values, valid, stretch)

    def _read(
        self, scene: Scene, window: Window, shape: tuple[int, int], resampling: Resampling
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values (bands, h, w) of a window shrunk to `shape`, and (h, w) where they are data."""
        try:
            with fenced(scene.path, offline=scene.offline):
                dataset = self._dataset(scene.path)
                bands = list(scene.bands)
                values = dataset.read(bands, window=window, out_shape=(len(bands), *shape), resampling=resampling)
                valid = _is_data(values, scene.nodata)
                if scene.masked:
                    valid &= dataset.dataset_mask(window=window, out_shape=shape, resampling=resampling) >= 128
        except (RasterioError, OSError) as error:
            reason = f"is damaged or cut short ({first_line(error)}); restore it from its origin"
            raise BadInput(scene.path, reason) from error
        return values, valid

    def _dataset(self, path: str) -> Any:
        """This thread's own handle of a file."""
        mine: OrderedDict[str, Any] = self._local.__dict__.setdefault("datasets", OrderedDict())
        dataset = mine.pop(path, None)
        if dataset is None or dataset.closed:
            dataset = opened(path)
            with self._lock:
                self._open.add(dataset)
        mine[path] = dataset
        while len(mine) > _OPEN_FILES:
            _, oldest = mine.popitem(last=False)
            with self._lock:
                self._open.discard(oldest)
            oldest.close()
        return dataset


def _cut(box: tuple[float, float, float, float], scene: Scene, size_px: int) -> tuple[Window, tuple[int, int]] | None:
    """The window of a scene to read for a box in its pixels, and the (h, w) to shrink it to; None where they miss."""
    left, top, right, bottom = box
    pixel = max(right - left, bottom - top) / size_px
    # Scenes that join without a gap touch all their neighbours' tiles.
    if min(right, scene.width) - max(left, 0) < pixel / 2 or min(bottom, scene.height) - max(top, 0) < pixel / 2:
        return None
    # The tolerance keeps a ratio of 1.9999 from being read at twice the size.
    step = max(1, int(1.01 * min(right - left, bottom - top) / size_px))
    # Windows start and end on multiples of the step, so that neighbouring tiles average the same pixels.
    pad = _PADDING_PX * step
    first_col, first_row = (max(0, math.floor((edge - pad) / step) * step) for edge in (left, top))
    last_col = min(scene.width, math.ceil((right + pad) / step) * step)
    last_row = min(scene.height, math.ceil((bottom + pad) / step) * step)
    width, height = last_col - first_col, last_row - first_row
    return Window(first_col, first_row, width, height), (math.ceil(height / step), math.ceil(width / step))


def _sample_windows(scene: Scene, side: int = 512, grid: int = 16) -> list[tuple[Window, tuple[int, int]]]:
    """Where to look for the range of values: everything, decimated, or small windows all over a very large scene."""
    height, width = scene.height, scene.width
    if scene.overviews or height * width <= 4096**2:
        shape = (min(height, side), min(width, side))
        return [(Window(0, 0, width, height), shape)]
    edge = side // grid
    rows = np.linspace(0, max(0, height - edge), grid).astype(int)
    cols = np.linspace(0, max(0, width - edge), grid).astype(int)
    shape = (min(edge, height), min(edge, width))
    return [(Window(int(col), int(row), shape[1], shape[0]), shape) for row in rows for col in cols]


def _is_data(values: NDArray[Any], nodata: tuple[float | None, ...]) -> NDArray[np.bool_]:
    """(h, w): no value is NaN, inf or one that is never measured, and not every band holds its nodata value."""
    valid: NDArray[np.bool_] = np.ones(values.shape[1:], np.bool_)
    if values.dtype.kind in "fi":
        valid = (np.isfinite(values) & (values > _NEVER_MEASURED)).all(axis=0)
    blank = [_equals(band, value) for band, value in zip(values, nodata, strict=True) if value is not None]
    if blank and len(blank) == len(values):
        # A dark pixel may be 0 in one band and real; without data it is so in all.
        valid &= ~np.all(blank, axis=0)
    return valid


def _equals(band: NDArray[Any], value: float) -> NDArray[np.bool_]:
    if band.dtype.kind == "f":
        # Nodata such as -3.4028235e38 is often written with fewer digits than the values have.
        return np.asarray(np.isclose(band, value, rtol=1e-6, atol=0.0))
    return np.asarray(band == value)


def _colour(scene: Scene, values: NDArray[Any], valid: NDArray[np.bool_], stretch: Stretch | None) -> Rgba:
    rgba = np.empty((4, *valid.shape), np.uint8)
    rgba[3] = np.where(valid, 255, 0)
    if scene.palette is not None:
        colours = scene.palette[np.minimum(values[0], len(scene.palette) - 1)]
        rgba[:3] = np.moveaxis(colours[..., :3], -1, 0)
        rgba[3] = np.minimum(rgba[3], colours[..., 3])
    elif scene.inks == "cmyk":
        ink = 255 - values.astype(np.uint16)
        rgba[:3] = ink[:3] * ink[3] // 255
    elif stretch is not None:
        rgba[:3] = stretch.apply(values.astype(np.float32))
    else:
        rgba[:3] = values * np.uint8(255 // (2**scene.bits - 1))
    return rgba


def _warp(placed: Georeference, rgba: Rgba, window: Window, tile: Tile, size_px: int, *, opaque: bool) -> Rgba:
    """Warp a decimated window onto a tile; `opaque` says that it has data all over the tile."""
    a, b, c, d, e, f = placed.transform
    turn = float(placed.turn(np.array([tile.center[0]]))[0])
    at_window = Affine(a, b, c - turn, d, e, f) @ Affine.translation(window.col_off, window.row_off)
    shrunk = Affine.scale(window.width / rgba.shape[2], window.height / rgba.shape[1])
    out = np.zeros((4, size_px, size_px), np.uint8)
    bands = 3 if opaque else 4
    reproject(
        rgba[:bands],
        out[:bands],
        src_transform=at_window @ shrunk,
        src_crs=_crs(placed.crs),
        dst_transform=from_bounds(*tile.bounds_mercator, size_px, size_px),
        dst_crs=_MERCATOR,
        src_alpha=0 if opaque else 4,
        dst_alpha=0 if opaque else 4,
        resampling=Resampling.bilinear,
    )
    if opaque:
        out[3] = 255
    return out


@lru_cache(maxsize=256)
def _crs(text: str) -> CRS:
    return CRS.from_user_input(text)
