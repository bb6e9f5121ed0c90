"""What is laid over a picture: where it speaks against the map, which part of it suits a query."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from geoanchor.protocols import Vectors

_FULL_NATS = 3.0
"""Evidence against the map that is drawn at full strength."""
_INK = (228, 32, 32)
_STRENGTH = 0.85
_SIDE_PX = 160


def evidence_png(evidence: Vectors) -> bytes:
    """A PNG, red and the less transparent the more the picture speaks against the map.

    Args:
        evidence: (cells, cells) nats, below 0 against the map; row 0 north.
    """
    against = np.clip(-evidence / _FULL_NATS, 0, 1) * _STRENGTH * 255
    layers = np.empty((*evidence.shape, 4), np.uint8)
    layers[..., :3], layers[..., 3] = _INK, against.astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(layers).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def outline_svg(ring: Sequence[Sequence[float]], picture: bytes) -> str:
    """SVG markup of a segment's outline, to be laid over a picture that covers its frame.

    Args:
        ring: corners as shares of the picture's width and height. picture: encoded.
    """
    with Image.open(BytesIO(picture)) as image:
        width, height = image.size
    points = " ".join(f"{x * width:.1f},{y * height:.1f}" for x, y in ring)
    frame = f'viewBox="0 0 {width} {height}" preserveAspectRatio="xMidYMid slice" aria-hidden="true"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}><polygon points="{points}"/></svg>'
