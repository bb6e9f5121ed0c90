"""Turns the bytes of a JPEG, PNG, WebP, TIFF, ... into RGB pixels and what the camera knew."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from geoanchor.errors import BadInput
from geoanchor.exif import gps_point, read_exif, taken_at, turn_of
from geoanchor.image import BLACK, Layer, Pixels, Rgb, filling
from geoanchor.settings import MAX_PIXELS

# Formats that Pillow decodes itself; none that hands the file to another program (EPS) or guesses at raw bytes.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "PPM")
_KEEP_CODED = ("JPEG", "PNG", "WEBP")
LARGE_PX = 1024
"""A picture at least twice as large both ways is read smaller, and a JPEG so is many times faster to decode."""
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTER = "is a TIFF that no picture reader knows (16 bit, many bands, or cut short); make 8-bit RGB of it"
_FAILURES = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning)


class UnknownTiff(BadInput):
    """A TIFF that a raster reader may know."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: uint8 (h, w, 3) RGB, upright.
        size: width and height as stored, pixels.
        nodata: share of wholly transparent pixels, 0..1.
        point: (lng, lat) in degrees by the camera's GPS, or None; acquired: when it was taken, or None.
        encoded: the bytes themselves where any viewer shows them as `pixels` look.
    """

    pixels: Pixels
    size: tuple[int, int]
    nodata: float
    point: tuple[float, float] | None
    acquired: datetime | None
    encoded: bytes | None


def kept_rgb(data: bytes | None, name: str) -> Pixels | None:
    """Pixels (h, w, 3) uint8 of a picture that an index keeps of a row; None where it keeps none, or a damaged one."""
    try:
        return read_rgb(data, name) if data else None
    except BadInput:
        return None


def decode(data: bytes, where: str, max_pixels: int, background: Rgb = BLACK) -> Picture:
    """Decode one picture of any mode: RGB, grey, palette, 1-bit, 16-bit, float, CMYK, with alpha or without.

    Args:
        data: bytes of a whole file; where: names it in messages.
        max_pixels: more are refused before any is decoded.
        background: shows through where the picture is transparent.
    Raises BadInput when it is no picture, is cut short, or is too large, UnknownTiff when rasterio may know it.
    """
    with _opened(data, where, max_pixels) as image:
        size = image.size
        simple = image.mode in ("RGB", "L") and "transparency" not in image.info
        image.draft("RGB", (LARGE_PX, LARGE_PX))
        # Before EXIF: a PNG's may stand behind its pixels, and what is wrong with those is not to be passed over.
        image.load()
        exif = read_exif(image)
        turn = turn_of(exif)
        pixels, nodata = _to_rgb(image if turn is None else image.transpose(turn), background)
        keep = simple and turn is None and image.format in _KEEP_CODED
        return Picture(pixels, size, nodata, gps_point(exif), taken_at(exif), data if keep else None)


def read_rgb(data: bytes, where: str, max_pixels: int = MAX_PIXELS, layer: Layer = "map") -> Pixels:
    """Pixels (h, w, 3) uint8 of a picture somebody asks about: upright, what is transparent filled as when indexed.

    Raises BadInput as `decode` does.
    """
    return decode(data, where, max_pixels, background=filling(layer)).pixels


def measure(data: bytes, where: str, max_pixels: int) -> tuple[tuple[int, int], tuple[float, float] | None]:
    """Width and height of a picture and its GPS position, without decoding it. Raises BadInput as `decode` does."""
    with _opened(data, where, max_pixels) as image:
        return image.size, gps_point(read_exif(image))


@contextmanager
def _opened(data: bytes, where: str, max_pixels: int) -> Iterator[Image.Image]:
    if not data:
        raise BadInput(where, "the file is empty; restore it from its origin")
    # Pillow warns at a limit of its own, which may be below the one asked for.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise BadInput(where, too_large(image.width, image.height, max_pixels))
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(
            where, f"has far more than {max_pixels} pixels; raise max_pixels if it can be trusted"
        ) from error
    except UnidentifiedImageError as error:
        if data[:4] in _TIFF_HEADS:
            raise UnknownTiff(where, _RASTER) from error
        raise BadInput(where, "is not a picture, whatever its name says; convert or remove it") from error
    except _FAILURES as error:
        if "raw mode" in str(error):
            raise UnknownTiff(where, _RASTER) from error
        raise BadInput(where, f"is damaged or cut short ({error}); restore it from its origin") from error


def too_large(width: int, height: int, max_pixels: int) -> str:
    """The sentence for a picture over the limit."""
    return f"{width} x {height} pixels are over the limit of {max_pixels}; raise max_pixels if it can be trusted"


def _to_rgb(image: Image.Image, background: Rgb) -> tuple[Pixels, float]:
    if image.mode[0] in "IF":
        values = np.asarray(image)[None].astype(np.float32)
        grey = Stretch.of(values.reshape(1, -1)).apply(values)[0]
        return np.repeat(grey[..., None], 3, axis=2), 0.0
    if not image.has_transparency_data:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), 0.0
    rgba = image.convert("RGBA")
    nodata = rgba.getchannel("A").histogram()[0] / (rgba.width * rgba.height)
    ground = Image.new("RGBA", rgba.size, (*background, 255))
    return np.asarray(Image.alpha_composite(ground, rgba).convert("RGB")), nodata


def interleaved(rgba: NDArray[np.uint8]) -> Pixels:
    """The first three of (bands, h, w) as (h, w, 3)."""
    pixels = np.empty((*rgba.shape[1:], 3), np.uint8)
    for band in range(3):
        pixels[..., band] = rgba[band]
    return pixels


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A linear map of values onto 0..255, one for each band.

    Attributes:
        low, high: float32 (bands,), the values that become 0 and 255.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(cls, samples: NDArray[np.float32]) -> Stretch:
        """From the 2nd to the 98th percentile of samples (bands, n), NaN and inf left out."""
        finite = [band[np.isfinite(band)] for band in samples]
        cuts = [np.percentile(band, (2, 98)) if band.size else (0.0, 1.0) for band in finite]
        low, high = np.array(cuts, np.float32).T
        return cls(low, np.where(high > low, high, low + 1))

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Stretch (bands, h, w); what is no number becomes 0."""
        low, high = self.low[:, None, None], self.high[:, None, None]
        within = np.clip(np.where(np.isnan(values), low, values), low, high)
        return ((within - low) * (255.0 / (high - low)) + 0.5).astype(np.uint8)
