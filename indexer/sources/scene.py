"""One georeferenced raster file: what it says of itself before its pixels are read."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine

from geoanchor.errors import BadInput
from geoanchor.exif import exif_time
from indexer.sources.georeference import Georeference, georeference
from indexer.sources.identity import file_stamp, joint_stamp
from indexer.sources.sidecar import projection
from indexer.sources.vrt import fenced, refuse_network, require_parts

_DRIVERS = ["GTiff", "VRT", "JP2OpenJPEG", "JPEG", "PNG", "WEBP", "BMP", "GIF"]
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_CMYK = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\2(\d\d)(?:[0-2]\d[0-5]\d[0-5]\d)?(?!\d)")
"""20150701, 2015-07-01 or 20150701101112, of which the day is taken."""

Inks = Literal["grey", "rgb", "cmyk", "palette"]
Rgba = NDArray[np.uint8]
"""(4, h, w): red, green, blue, and 255 where there is data."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is known of one raster file before its pixels are read.

    Attributes:
        path: what GDAL opens; stamp: changes with any of the files that it is made of.
        width, height: pixels; placed: where it lies, None where it says nothing of that.
        bands: 1-based bands that are read; inks: what they show.
        dtype: as numpy names it; bits: of a value, where fewer are used than the type has.
        palette: uint8 (n, 4) where inks are "palette".
        nodata: by band read; masked: whether an alpha band or a mask tells where there is data.
        overviews: decimations that lie ready in the file.
        block_bytes: what the largest block of it unpacks to.
        acquired: by its TIFF tag, else by a date in its name.
        offline: whether its pixels, too, are to be read without the network.
    """

    path: str
    stamp: str
    width: int
    height: int
    placed: Georeference | None
    bands: tuple[int, ...]
    inks: Inks
    dtype: str
    bits: int
    palette: Rgba | None
    nodata: tuple[float | None, ...]
    masked: bool
    overviews: tuple[int, ...]
    block_bytes: int
    acquired: datetime | None
    offline: bool

    @property
    def is_stretched(self) -> bool:
        """Whether values must be stretched to become colours."""
        return self.dtype != "uint8" and self.inks != "palette"


def open_scene(path: Path, bands: tuple[int, ...] | None, *, name: str | None = None, offline: bool = False) -> Scene:
    """Read what a raster says of itself.

    Args:
        bands: 1-based bands to show as red, green, blue, or one as grey; None picks them by their colours, else the
            first three, else the first.
        name: of the picture, where `path` is only a name in memory.
        offline: whether GDAL may open no connection, now and when the pixels are read.
    Raises BadInput when it is no raster, its values are complex, it lacks a band, or its georeference makes no sense.
    """
    try:
        hush()
        if offline:
            refuse_network(path)
        require_parts(path)
        with fenced(str(path), offline=offline), opened(str(path)) as dataset:
            if dataset.driver not in _DRIVERS:
                raise BadInput(str(path), f"is a {dataset.driver} file, whatever its name says; convert it to GeoTIFF")
            return _describe(path, dataset, bands, path.name if name is None else name, offline)
    except (RasterioError, OSError) as error:
        raise BadInput(str(path), f"cannot be read as a raster ({first_line(error)}); restore or convert it") from error


def _describe(path: Path, dataset: Any, bands: tuple[int, ...] | None, name: str, offline: bool) -> Scene:
    inks, chosen = _choose(str(path), dataset, bands)
    dtype = str(np.result_type(*(dataset.dtypes[band - 1] for band in chosen)))
    if np.dtype(dtype).kind not in "uif":
        raise BadInput(str(path), f"holds {dtype} values, which have no colour; convert it to real numbers")
    flags = {flag for band in chosen for flag in dataset.mask_flag_enums[band - 1]}
    return Scene(
        path=str(path),
        stamp=joint_stamp(
            f"{Path(file).name} {file_stamp(Path(file).stat())}" for file in dataset.files if Path(file).exists()
        ),
        width=dataset.width,
        height=dataset.height,
        placed=_place(path, dataset),
        bands=chosen,
        inks=inks,
        dtype=dtype,
        bits=int(dataset.tags(chosen[0], ns="IMAGE_STRUCTURE").get("NBITS", 0)) or 8 * np.dtype(dtype).itemsize,
        palette=_palette(dataset) if inks == "palette" else None,
        nodata=tuple(dataset.nodatavals[band - 1] for band in chosen),
        masked=MaskFlags.per_dataset in flags or MaskFlags.alpha in flags,
        overviews=tuple(dataset.overviews(chosen[0])),
        block_bytes=_block_bytes(dataset),
        acquired=exif_time(dataset.tags().get("TIFFTAG_DATETIME")) or _date_in(name),
        offline=offline,
    )


def _choose(where: str, dataset: Any, asked: tuple[int, ...] | None) -> tuple[Inks, tuple[int, ...]]:
    """What to read and what it means."""
    if asked is not None:
        if missing := [band for band in asked if not 1 <= band <= dataset.count]:
            raise BadInput(where, f"has {dataset.count} bands and no band {missing[0]}; choose others")
        return ("rgb" if len(asked) == 3 else "grey"), asked
    colours = tuple(dataset.colorinterp)
    plain = tuple(band for band, colour in enumerate(colours, 1) if colour != ColorInterp.alpha)
    if not plain:
        raise BadInput(where, "holds nothing but an alpha band; choose a band to show")
    if colours[0] == ColorInterp.palette:
        return "palette", (1,)
    if colours[:4] == _CMYK:
        return "cmyk", (1, 2, 3, 4)
    if all(colour in colours for colour in _RGB):
        return "rgb", tuple(colours.index(colour) + 1 for colour in _RGB)
    return ("rgb", plain[:3]) if len(plain) >= 3 else ("grey", plain[:1])


def _block_bytes(dataset: Any) -> int:
    together = dataset.dtypes if dataset.interleaving != Interleaving.band else dataset.dtypes[:1]
    values = max(height * width for height, width in dataset.block_shapes)
    return int(values * sum(np.dtype(dtype).itemsize for dtype in together))


def _palette(dataset: Any) -> Rgba:
    colours = dataset.colormap(1)
    table = np.zeros((max(colours) + 1, 4), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table


def _place(path: Path, dataset: Any) -> Georeference | None:
    """Where it lies, None without a transform."""
    # rasterio gives the identity where the file says nothing.
    if dataset.transform == Affine.identity():
        return None
    crs = dataset.crs.to_wkt() if dataset.crs else None
    if crs is None and path.parent.is_dir():
        beside = {file.name for file in path.parent.iterdir() if file.stem == path.stem}
        crs = projection(path.name, beside, lambda name: (path.parent / name).read_bytes())
    return georeference(str(path), tuple(dataset.transform)[:6], crs, dataset.width, dataset.height)


def _date_in(name: str) -> datetime | None:
    for year, _, month, date in _DATE.findall(name):
        try:
            day = datetime.strptime(year + month + date, "%Y%m%d")
        except ValueError:
            continue
        if day.year <= datetime.now().year:
            return day
    return None


def opened(path: str) -> Any:
    """rasterio's dataset of a path."""
    # Without the option GDAL lists the whole folder for each of its files.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"):
        return rasterio.open(path, sharing=False)


def hush() -> None:
    """Keep rasterio from warning of files, even its own in memory, that say nothing of where they lie: we say so.

    A filter for one call only would not do: Python's filters are shared by all threads.
    """
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def first_line(error: Exception) -> str:
    """What a library's error says, in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
