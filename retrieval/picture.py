"""A query's picture: file bytes to pixels."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from geoanchor.errors import BadInput
from geoanchor.image import Pixels

MAX_PIXELS = 100_000_000


def read_picture(data: bytes, where: str) -> Pixels:
    """Pixels (h, w, 3) uint8 RGB of an image file's bytes; upright, transparency laid on white.

    Raises BadInput when the bytes are no picture, cut off, or of over 100 million pixels.
    """
    try:
        with warnings.catch_warnings():
            # Its warning comes at a size that we refuse by our own rule.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadInput(where, f"{image.width} x {image.height} pixels are too many; crop or shrink it")
                return np.asarray(_opaque(ImageOps.exif_transpose(image)))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise BadInput(
            where, f"cannot be read as a picture ({type(error).__name__}); give JPEG, PNG or WebP"
        ) from error


def _opaque(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    over = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
