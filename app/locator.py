"""A small still map of where hits lie, drawn as SVG from the index's own tiles; needs no network and no script."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence

from app.mosaic import Mosaic, media_type
from geoanchor.image import Layer
from geoanchor.query import Hit
from geoanchor.tiling import (
    EARTH_RADIUS_M,
    Bounds,
    Tile,
    around,
    from_mercator,
    tile_at,
    to_mercator,
    unwrap_lng,
)

WIDTH_PX = 520
_MAX_BASE_TILES = 16
_MARGIN = 0.06
_SMALLEST_M = 400.0
_EQUATOR_M = 2 * math.pi * EARTH_RADIUS_M


def locator_svg(hits: Sequence[Hit], mosaic: Mosaic) -> str:
    """SVG markup with the hits' outlines and ranks over the index's tiles; "" when no hit has a position."""
    placed = [hit for hit in hits if hit.lng is not None and hit.lat is not None]
    if not placed:
        return ""
    # Everything is drawn on the turn of the globe that lies nearest to the hits' middle.
    middle = around(map(_box, placed)).center[0]
    boxes = [_edges(_box(hit), middle) for hit in placed]
    extent = mosaic.extent()
    frame = left, bottom, right, top = _frame(boxes, _edges(extent, middle) if extent else None)
    scale = WIDTH_PX / (right - left)
    height = (top - bottom) * scale
    parts = [
        f'<svg viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="map of the hits" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    parts += base_images(mosaic, frame, scale)
    # Best hits last, so that they lie on top.
    for hit, box in zip(reversed(placed), reversed(boxes), strict=True):
        parts.append(_mark(hit.rank, box, left, top, scale))
    return "".join([*parts, "</svg>"])


def base_layer(mosaic: Mosaic) -> Layer | None:
    """The layer to draw under hits: the map where there is one, else any."""
    layers = mosaic.layers
    return "map" if "map" in layers else (layers[0] if layers else None)


Frame = tuple[float, float, float, float]
"""left, bottom, right, top in web-mercator metres; left and right run on beyond the antimeridian."""


def _frame(boxes: Sequence[Frame], whole: Frame | None) -> Frame:
    """The whole index where it is small enough for its hits to be seen in it, else the hits and some air."""
    left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
    bottom, top = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if whole is not None and whole[2] - whole[0] < 40 * (boxes[0][2] - boxes[0][0] + 1):
        left, bottom = min(left, whole[0]), min(bottom, whole[1])
        right, top = max(right, whole[2]), max(top, whole[3])
    air = _MARGIN * max(right - left, top - bottom, _SMALLEST_M)
    left, bottom, right, top = left - air, bottom - air, right + air, top + air
    # Neither a strip nor a tower.
    wanted = min(max(top - bottom, 0.5 * (right - left)), 2.0 * (right - left))
    grow_y, grow_x = (wanted - (top - bottom)) / 2, max(0.0, (top - bottom) / 2 - (right - left)) / 2
    return left - grow_x, bottom - max(0.0, grow_y), right + grow_x, top + max(0.0, grow_y)


def _box(hit: Hit) -> Bounds:
    assert hit.lng is not None
    assert hit.lat is not None
    return hit.bounds or Bounds(hit.lng, hit.lat, hit.lng, hit.lat)


def _edges(bounds: Bounds, middle: float) -> Frame:
    """A box on the turn of the globe nearest to a meridian."""
    own = unwrap_lng(bounds.center[0], middle)
    west, east = unwrap_lng(bounds.west, own), unwrap_lng(bounds.east, own)
    return *to_mercator(west, bounds.south), *to_mercator(east, bounds.north)


def base_images(mosaic: Mosaic, frame: Frame, scale: float) -> list[str]:
    """SVG images of the index's own tiles over a frame, `scale` pixels a metre."""
    layer = base_layer(mosaic)
    zooms = mosaic.zooms(layer) if layer else None
    if layer is None or zooms is None:
        return []
    images = []
    for tile, turns in _tiles(frame, zooms):
        data = mosaic.tile(layer, tile)
        if data is not None:
            box = tile.bounds_mercator
            x, y = (box.left + turns * _EQUATOR_M - frame[0]) * scale, (frame[3] - box.top) * scale
            side = (box.right - box.left) * scale
            images.append(
                f'<image href="{data_uri(data)}" x="{x:.2f}" y="{y:.2f}" width="{side + 0.3:.2f}" '
                f'height="{side + 0.3:.2f}" preserveAspectRatio="none" opacity=".75"/>'
            )
    return images


def _tiles(frame: Frame, zooms: tuple[int, int]) -> Iterator[tuple[Tile, int]]:
    """Tiles of the deepest zoom at which few enough cover the frame, each with its turn of the globe.

    None where even the lowest zoom has too many.
    """
    west, south = from_mercator(frame[0], frame[1])
    east, north = from_mercator(frame[2], frame[3])
    for z in range(zooms[1], zooms[0] - 1, -1):
        side = 1 << z
        # Columns go on counting beyond the antimeridian.
        columns = range(math.floor((west + 180) / 360 * side), math.ceil((east + 180) / 360 * side))
        rows = range(tile_at(0.0, north, z).y, tile_at(0.0, south, z).y + 1)
        if len(columns) * len(rows) <= _MAX_BASE_TILES:
            for y in rows:
                for x in columns:
                    yield Tile(z, x % side, y), x // side
            return


def _mark(rank: int, box: Frame, left: float, top: float, scale: float) -> str:
    west, south, east, north = box
    x, y = (west - left) * scale, (top - north) * scale
    width, height = (east - west) * scale, (north - south) * scale
    cx, cy = x + width / 2, y + height / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 3):.1f}" height="{max(height, 3):.1f}" fill="#e4572e" '
        'fill-opacity=".28" stroke="#c2410c" stroke-width="1.5"/>'
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="16" fill="#7c2d12"/>'
        f'<text x="{cx:.1f}" y="{cy + 6.5:.1f}" text-anchor="middle" font-size="18" font-family="sans-serif" '
        f'fill="#fff">{rank}</text>'
    )


def data_uri(data: bytes) -> str:
    """A picture as a data URI."""
    return f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"
