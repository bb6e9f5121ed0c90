"""Trees: mapped ones, woods, gardens and parks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import shapely
import skia
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from indexer.city.canvas import Sheet
from indexer.city.frame import Points
from indexer.city.hashing import field
from indexer.city.roofs import sun_vector
from indexer.city.textures import CROWN_PX, CROWNS, SMOOTH, crowns_image, leaf_colors

# material: (spacing in metres, share of places taken, (least, most) radius in metres)
STANDS: Mapping[str, tuple[float, float, tuple[float, float]]] = {
    "forest": (5.6, 0.97, (3.0, 5.6)), "garden": (8.5, 0.26, (1.3, 4.6)), "grass": (17.0, 0.12, (2.2, 4.4)),
    "scrub": (7.5, 0.4, (0.8, 2.2)), "orchard": (8.0, 0.92, (1.8, 2.4)),
}  # fmt: skip


def lattice(sheet: Sheet, spacing_m: float, key: int, jitter: float = 0.9) -> tuple[Points, NDArray[np.int64]]:
    """Places fixed in the world, (n, 2) sheet metres and their (n, 2) whole numbers, over the sheet and 15 m around."""
    step = spacing_m * round(sheet.scale, 1)
    reach = 15 * sheet.scale
    left, top = sheet.corner
    i = np.arange(math.floor((left - reach) / step), math.ceil((left + sheet.side + reach) / step) + 1)
    j = np.arange(math.floor((-top - reach) / step), math.ceil((-top + sheet.side + reach) / step) + 1)
    ij = np.stack(np.meshgrid(i, j), -1).reshape(-1, 2)
    stray = np.column_stack([field(ij[:, 0], ij[:, 1], key), field(ij[:, 0], ij[:, 1], key + 1)]) * jitter
    return (ij + stray) * step - np.array([left, -top]), ij


def draw_stand(sheet: Sheet, kind: str, area: BaseGeometry, seed: int) -> None:
    """Fill an area with the trees of its kind."""
    spacing, share, radii = STANDS[kind]
    if (sheet.gsd > 2.0 and kind != "forest") or sheet.gsd > 3.5:
        return
    points, ij = lattice(sheet, spacing, seed * 7 + 3, 0.15 if kind == "orchard" else 0.9)
    key = seed * 7 + 11
    keep = field(ij[:, 0], ij[:, 1], key) < share
    points, ij = points[keep], ij[keep]
    left, top, right, bottom = area.bounds
    near = (points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > top) & (points[:, 1] < bottom)
    points, ij = points[near], ij[near]
    shapely.prepare(area)
    inside = shapely.contains_xy(area, points[:, 0], points[:, 1])
    points, ij = points[inside], ij[inside]
    size = field(ij[:, 0], ij[:, 1], key + 1)
    radius = (radii[0] + (radii[1] - radii[0]) * size) * sheet.scale
    draw_trees(sheet, points, radius, field(ij[:, 0], ij[:, 1], key + 2), shadow=1.0 if kind == "forest" else 1.5)


def draw_trees(sheet: Sheet, points: Points, radius: Points, pick: Points, shadow: float = 1.6) -> None:
    """Trees at (n, 2) sheet metres with (n,) radii; `pick` in [0, 1) chooses crown and leaf colour."""
    if not len(points):
        return
    canvas, sun = sheet.canvas, sun_vector(sheet.look, 1.0)
    shade = skia.Path()
    for (x, y), r in zip((points + radius[:, None] * shadow * sun).tolist(), radius.tolist(), strict=True):
        shade.addCircle(x, y, r * 0.92)
    canvas.drawPath(shade, skia.Paint(AntiAlias=True, Color=skia.Color(16, 22, 26, 112)))
    leaves = [skia.Color(*color) for color in leaf_colors(sheet.look)]
    crown = (pick * CROWNS * 7).astype(int) % CROWNS
    leaf = (pick * len(leaves) * 31).astype(int) % len(leaves)
    scale = radius * 2 / CROWN_PX
    forms = [skia.RSXform(s, 0.0, x - r, y - r) for (x, y), r, s in zip(points.tolist(), radius.tolist(),
                                                                      scale.tolist(), strict=True)]  # fmt: skip
    cuts = [skia.Rect.MakeXYWH(n * CROWN_PX, 0, CROWN_PX, CROWN_PX) for n in range(CROWNS)]
    canvas.drawAtlas(crowns_image(sheet.look.sun_azimuth), forms, [cuts[n] for n in crown.tolist()],
                     [_bright(leaves[n]) for n in leaf.tolist()], skia.BlendMode.kModulate, SMOOTH, None,
                         None)  # fmt: skip


def _bright(color: int) -> int:
    """Crowns are greys around 0.7: leaf colours are raised so that their middle comes out right."""
    r, g, b = ((color >> s) & 255 for s in (16, 8, 0))
    return int(skia.Color(*(min(255, round(c * 1.68)) for c in (r, g, b))))
