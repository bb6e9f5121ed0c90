"""What a camera wrote beside the pixels: where and when."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from PIL import Image
from PIL.Image import Transpose

_GPS_IFD, _EXIF_IFD = 0x8825, 0x8769
_LAT_REF, _LAT, _LNG_REF, _LNG, _STATUS = 1, 2, 3, 4, 9
_ORIENTATION, _DATETIME = 0x0112, 0x0132
_TAKEN = ((0x9003, 0x9011), (0x9004, 0x9012))
"""Original and digitised time, each with the tag of its offset from UTC."""
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip
"""What sets a picture of each orientation upright."""
_MALFORMED = (struct.error, SyntaxError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, OSError)
"""What Pillow raises over fields that are not what they should be."""


def read_exif(image: Image.Image) -> Image.Exif:
    """What the camera wrote; nothing where it cannot be read, which is no fault of the pixels."""
    try:
        return image.getexif()
    except _MALFORMED:
        return Image.Exif()


def gps_point(exif: Image.Exif) -> tuple[float, float] | None:
    """(lng, lat) in degrees; None where there is none, it is no number, or the receiver says that it is void."""
    gps = _fields(exif, _GPS_IFD)
    lng = _angle(gps.get(_LNG), gps.get(_LNG_REF), "W", 180.0)
    lat = _angle(gps.get(_LAT), gps.get(_LAT_REF), "S", 90.0)
    # Receivers without a fix write zeros.
    if lng is None or lat is None or (lng, lat) == (0.0, 0.0) or gps.get(_STATUS) == "V":
        return None
    return lng, lat


def taken_at(exif: Image.Exif) -> datetime | None:
    """When the picture was taken, else when the file says it was made; UTC where an offset is given, else naive."""
    details = _fields(exif, _EXIF_IFD)
    for tag, offset in _TAKEN:
        if moment := exif_time(details.get(tag), details.get(offset)):
            return moment
    return exif_time(exif.get(_DATETIME))


def turn_of(exif: Image.Exif) -> Transpose | None:
    """What sets the pixels upright, None where they lie as they should be seen."""
    try:
        return _TURNS.get(exif.get(_ORIENTATION, 1))
    except _MALFORMED:
        return None


def _fields(exif: Image.Exif, directory: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(directory)
    except _MALFORMED:
        return {}


def exif_time(text: Any, offset: Any = None) -> datetime | None:
    """A moment written as EXIF and TIFF do, "2009:08:18 12:30:00"; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
        if isinstance(offset, str) and offset.strip("\0 "):
            moment = datetime.fromisoformat(moment.isoformat() + offset.strip("\0 ")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1826 <= moment.year <= datetime.now().year + 1 else None


def _angle(parts: Any, ref: Any, negative: str, limit: float) -> float | None:
    """Degrees, minutes, seconds as one signed number."""
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes) or not 1 <= len(parts) <= 3:
        return None
    try:
        angle = math.fsum(float(part) * scale for part, scale in zip(parts, (1, 1 / 60, 1 / 3600), strict=False))
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(angle) or abs(angle) > limit:
        return None
    return -angle if isinstance(ref, str) and ref.strip("\0 ").upper() == negative else angle
