"""Looks at one picture before it is encoded: is it worth a row, has it been seen, what is its thumbnail."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
from PIL import Image

from geoanchor.image import Pixels, TileImage

THUMBNAIL_PX = 256
KEPT_PX = 512
KEPT_BYTES = 64_000
"""A picture that its source holds coded, and that is no larger than this, is its own thumbnail."""
_BLANK_SPREAD = 4
"""Largest difference between the values of a channel that still counts as one colour; JPEG alone makes 1 to 3."""
_CODED = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
_LOOK_STEP = 16


def content_hash(image: TileImage) -> str:
    """BLAKE2b of the picture: of the source's own bytes where it has them, else of the pixels, else of the vectors."""
    digest = hashlib.blake2b(digest_size=16)
    if image.encoded is not None:
        digest.update(image.encoded)
    elif image.pixels.size:
        digest.update(str(image.pixels.shape).encode())
        digest.update(np.ascontiguousarray(image.pixels).data)
    for name in sorted(image.vectors):
        digest.update(image.vectors[name].tobytes())
    return digest.hexdigest()


def reason_to_skip(image: TileImage, max_nodata: float) -> str | None:
    """Why a picture is worth no row, whatever else there is: "nodata", "blank", or None.

    A map of one colour says that all of it is water, or that nothing stands there.
    """
    if image.nodata > max_nodata:
        return "nodata"
    return "blank" if image.layer != "map" and image.pixels.size and _is_blank(image.pixels) else None


def _is_blank(pixels: Pixels) -> bool:
    # Nearly every picture shows its colours on a coarse grid already.
    return _spread(pixels[::8, ::8]) <= _BLANK_SPREAD and _spread(pixels) <= _BLANK_SPREAD


def _spread(pixels: Pixels) -> int:
    return max(int(np.ptp(pixels[..., channel])) for channel in range(3))


def look(image: TileImage) -> str:
    """A hash that survives scaling and recompression: which way brightness runs on a 9 x 8 grid, and the coarse colour.

    The difference hash of N. Krawetz, "Kind of Like That" (2013), with the mean colour of four quarters beside it.
    """
    if not image.pixels.size:
        return content_hash(image)
    small = Image.fromarray(image.pixels).resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(small.convert("L"), np.int16)
    colour = np.asarray(small.resize((2, 2), Image.Resampling.BOX)) // _LOOK_STEP
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex() + colour.tobytes().hex()


def copy_key(image: TileImage, hashed: str) -> str:
    """Equal for pictures that are copies of each other, so that only one of them need get a row; 16 hex digits.

    Two tiles that look alike are two places, and both stay; nor is a place that hardly changed the same picture twice.
    So pictures without position are copies when they look the same, others when layer, place, time and content agree.

    Args:
        hashed: `content_hash` of the picture.
    """
    if image.point is None:
        same = look(image)
    else:
        same = f"{image.tile or image.bounds or image.point}/{image.acquired}/{hashed}"
    return hashlib.blake2b(f"{image.layer}/{same}".encode(), digest_size=8).hexdigest()


def thumbnail(image: TileImage) -> bytes:
    """JPEG of at most 256 x 256 px, or the source's own bytes where the picture is small; b"" without pixels."""
    height, width = image.pixels.shape[:2]
    coded = image.encoded
    if coded is not None and len(coded) <= KEPT_BYTES and max(height, width) <= KEPT_PX and coded.startswith(_CODED):
        return coded
    if not image.pixels.size:
        return b""
    picture = Image.fromarray(image.pixels)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2.0)
    out = BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
