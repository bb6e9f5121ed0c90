"""A small still map of where hits lie, drawn as SVG from the index's own tiles; needs no network and no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from app.mosaic import Mosaic
from geoanchor.image import Layer
from geoanchor.query import Hit
from geoanchor.tiling import Bounds, Tile, from_mercator, tile_at, tiles_in, to_mercator

WIDTH_PX = 520
_MAX_BASE_TILES = 16
_MARGIN = 0.06
_SMALLEST_M = 400.0


def locator_svg(hits: Sequence[Hit], mosaic: Mosaic) -> str:
    """SVG markup with the hits' outlines and ranks over the index's tiles; "" when no hit has a position."""
    placed = [hit for hit in hits if hit.lng is not None and hit.lat is not None]
    frame = _frame(placed, mosaic.extent())
    if not placed or frame is None:
        return ""
    left, bottom, right, top = frame
    scale = WIDTH_PX / (right - left)
    height = (top - bottom) * scale
    parts = [
        f'<svg viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="map of the hits" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    parts += base_images(mosaic, frame, scale)
    # Best hits last, so that they lie on top.
    for hit in reversed(placed):
        parts.append(_mark(hit, left, top, scale))
    return "".join([*parts, "</svg>"])


def base_layer(mosaic: Mosaic) -> Layer | None:
    """The layer to draw under hits: the map where there is one, else any."""
    layers = mosaic.layers
    return "map" if "map" in layers else (layers[0] if layers else None)


Frame = tuple[float, float, float, float]
"""left, bottom, right, top in web-mercator metres."""


def _frame(hits: Sequence[Hit], extent: Bounds | None) -> Frame | None:
    """The whole index where it is small enough for its hits to be seen in it, else the hits and some air."""
    if not hits:
        return None
    boxes = [_mercator(_box(hit)) for hit in hits]
    left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
    bottom, top = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if extent is not None:
        whole = _mercator(extent)
        if whole[2] - whole[0] < 40 * (boxes[0][2] - boxes[0][0] + 1):
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
    if hit.bounds is not None and hit.bounds.west <= hit.bounds.east:
        return hit.bounds
    return Bounds(hit.lng, hit.lat, hit.lng, hit.lat)


def _mercator(bounds: Bounds) -> Frame:
    return *to_mercator(bounds.west, bounds.south), *to_mercator(bounds.east, bounds.north)


def base_images(mosaic: Mosaic, frame: Frame, scale: float) -> list[str]:
    """SVG images of the index's own tiles over a frame, `scale` pixels a metre."""
    layer = base_layer(mosaic)
    zooms = mosaic.zooms(layer) if layer else None
    if layer is None or zooms is None:
        return []
    tiles = _tiles(frame, zooms)
    images = []
    for tile in tiles:
        data = mosaic.tile(layer, tile)
        if data is not None:
            box = tile.bounds_mercator
            x, y, side = (box.left - frame[0]) * scale, (frame[3] - box.top) * scale, (box.right - box.left) * scale
            images.append(
                f'<image href="{data_uri(data)}" x="{x:.2f}" y="{y:.2f}" width="{side + 0.3:.2f}" '
                f'height="{side + 0.3:.2f}" preserveAspectRatio="none" opacity=".75"/>'
            )
    return images


def _tiles(frame: Frame, zooms: tuple[int, int]) -> list[Tile]:
    """Tiles of the deepest zoom at which few enough cover the frame; none where even the lowest has too many."""
    west, south = from_mercator(frame[0], frame[1])
    east, north = from_mercator(frame[2], frame[3])
    for z in range(zooms[1], zooms[0] - 1, -1):
        first, last = tile_at(west, north, z), tile_at(east, south, z)
        if (last.x - first.x + 1) * (last.y - first.y + 1) <= _MAX_BASE_TILES:
            return list(tiles_in(Bounds(west, south, east, north), z))
    return []


def _mark(hit: Hit, left: float, top: float, scale: float) -> str:
    west, south, east, north = _mercator(_box(hit))
    x, y = (west - left) * scale, (top - north) * scale
    width, height = (east - west) * scale, (north - south) * scale
    cx, cy = x + width / 2, y + height / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 3):.1f}" height="{max(height, 3):.1f}" fill="#e4572e" '
        'fill-opacity=".28" stroke="#c2410c" stroke-width="1.5"/>'
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="16" fill="#7c2d12"/>'
        f'<text x="{cx:.1f}" y="{cy + 6.5:.1f}" text-anchor="middle" font-size="18" font-family="sans-serif" '
        f'fill="#fff">{hit.rank}</text>'
    )


def data_uri(data: bytes) -> str:
    """A picture as a data URI."""
    kind = "png" if data[:4] == b"\x89PNG" else "webp" if data[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
