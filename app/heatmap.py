"""A still map of mismatch by H3 cell, drawn as SVG over the index's own tiles; needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence

from app.locator import WIDTH_PX, base_images
from app.mosaic import Mosaic
from geoanchor.change import Change, HeatCell
from geoanchor.tiling import Bounds, around, cell_outline, to_mercator, unwrap_lng

_FAINTEST = 0.06
_STRONGEST = 0.62
_AIR = 0.03


def heat_svg(cells: Sequence[HeatCell], changes: Sequence[Change], mosaic: Mosaic) -> str:
    """SVG markup: cells the redder the worse they are on average, and the ranks of the changes; "" without cells."""
    if not cells:
        return ""
    rings = [cell_outline(cell.cell) for cell in cells]
    # Everything is drawn on the turn of the globe that lies nearest to the cells' middle.
    middle = around(_box(ring) for ring in rings).center[0]
    outlines = [_placed(ring, middle) for ring in rings]
    xs, ys = [x for ring in outlines for x, _ in ring], [y for ring in outlines for _, y in ring]
    air = _AIR * max(max(xs) - min(xs), max(ys) - min(ys))
    left, bottom, right, top = min(xs) - air, min(ys) - air, max(xs) + air, max(ys) + air
    scale = WIDTH_PX / (right - left)

    def pixels(point: tuple[float, float]) -> str:
        return f"{(point[0] - left) * scale:.1f},{(top - point[1]) * scale:.1f}"

    parts = [
        f'<svg viewBox="0 0 {WIDTH_PX} {(top - bottom) * scale:.0f}" role="img" aria-label="mismatch by H3 cell" '
        'xmlns="http://www.w3.org/2000/svg">',
        *base_images(mosaic, (left, bottom, right, top), scale),
    ]
    for cell, ring in zip(cells, outlines, strict=True):
        strength = _FAINTEST + (_STRONGEST - _FAINTEST) * cell.mean
        words = f"{cell.cell}: mean {cell.mean:.2f}, worst {cell.max:.2f}, {cell.pairs} pairs"
        parts.append(
            f'<polygon points="{" ".join(map(pixels, ring))}" fill="#d81e1e" fill-opacity="{strength:.2f}" '
            f'stroke="#7c2d12" stroke-opacity=".35"><title>{words}</title></polygon>'
        )
    for change in reversed(changes):
        x, y = pixels(to_mercator(unwrap_lng(change.lng, middle), change.lat)).split(",")
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="11" fill="#7c2d12" stroke="#fff"/><text x="{x}" y="{float(y) + 4.5:.1f}" '
            f'text-anchor="middle" font-size="12" font-family="sans-serif" fill="#fff">{change.rank}</text>'
        )
    return "".join([*parts, "</svg>"])


def _box(ring: Sequence[tuple[float, float]]) -> Bounds:
    return around(Bounds(lng, lat, lng, lat) for lng, lat in ring)


def _placed(ring: Sequence[tuple[float, float]], middle: float) -> list[tuple[float, float]]:
    """Corners in metres, together on the turn of the globe nearest to a meridian."""
    own = unwrap_lng(ring[0][0], middle)
    return [to_mercator(unwrap_lng(lng, own), lat) for lng, lat in ring]
