"""What a camera wrote beside the pixels: where and when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from PIL import Image

_GPS_IFD, _EXIF_IFD = 0x8825, 0x8769
_LAT_REF, _LAT, _LNG_REF, _LNG, _STATUS = 1, 2, 3, 4, 9
_ORIENTATION, _DATETIME = 0x0112, 0x0132
_TAKEN = ((0x9003, 0x9011), (0x9004, 0x9012))
"""Original and digitised time, each with the tag of its offset from UTC."""


def gps_point(exif: Image.Exif) -> tuple[float, float] | None:
    """(lng, lat) in degrees; None where there is none, it is no number, or the receiver says that it is void."""
    gps: Mapping[int, Any] = exif.get_ifd(_GPS_IFD)
    lng = _angle(gps.get(_LNG), gps.get(_LNG_REF), "W", 180.0)
    lat = _angle(gps.get(_LAT), gps.get(_LAT_REF), "S", 90.0)
    # Receivers without a fix write zeros.
    if lng is None or lat is None or (lng, lat) == (0.0, 0.0) or gps.get(_STATUS) == "V":
        return None
    return lng, lat


def taken_at(exif: Image.Exif) -> datetime | None:
    """When the picture was taken, else when the file says it was made; UTC where an offset is given, else naive."""
    details: Mapping[int, Any] = exif.get_ifd(_EXIF_IFD)
    for tag, offset in _TAKEN:
        if moment := exif_time(details.get(tag), details.get(offset)):
            return moment
    return exif_time(exif.get(_DATETIME))


def is_upright(exif: Image.Exif) -> bool:
    """Whether the pixels lie as they should be seen."""
    return exif.get(_ORIENTATION, 1) in (0, 1)


def exif_time(text: Any, offset: Any = None) -> datetime | None:
    """A moment written as EXIF and TIFF do, "2009:08:18 12:30:00"; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
        if isinstance(offset, str) and offset.strip("\0 "):
            moment = datetime.fromisoformat(moment.isoformat() + offset.strip("\0 ")).astimezone(UTC)
    except ValueError:
        return None
    return moment if 1826 <= moment.year <= datetime.now().year + 1 else None


def _angle(parts: Any, ref: Any, negative: str, limit: float) -> float | None:
    """Degrees, minutes, seconds as one signed number."""
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes) or not 1 <= len(parts) <= 3:
        return None
    try:
        angle = math.fsum(float(part) * scale for part, scale in zip(parts, (1, 1 / 60, 1 / 3600), strict=False))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(angle) or abs(angle) > limit:
        return None
    return -angle if isinstance(ref, str) and ref.strip("\0 ").upper() == negative else angle
