"""Noise, ground textures, tree and car sprites; made once, tileable, anchored to the world."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import skia
from numpy.typing import NDArray

from indexer.city.looks import Look, Rgb

Grey = NDArray[np.float32]

SIDE = 256
"""Pixels of a texture; it repeats after SIDE * texel metres."""

SMOOTH = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)


@lru_cache(maxsize=64)
def noise(key: int, falloff: float, side: int = SIDE, floor: float = 1.0) -> Grey:
    """Tileable noise (side, side), mean 0 and deviation 1; a higher falloff is softer, long waves stop at `floor`."""
    white = np.fft.rfft2(np.random.default_rng([77, key]).standard_normal((side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]) * side
    white *= np.maximum(frequency, floor) ** -falloff * (frequency > 0)
    grey = np.fft.irfft2(white, (side, side))
    scaled: Grey = (grey / grey.std()).astype(np.float32)
    return scaled


GRAIN = {
    # material: (fine contrast, coarse contrast, warm tint) in grey levels
    "grass": (4.5, 5.0, 3.0), "garden": (7.0, 7.0, 4.0), "land": (6.0, 9.0, 5.0), "scrub": (10.0, 9.0, 5.0),
    "forest": (13.0, 8.0, 3.0), "water": (1.4, 2.6, 0.0), "pool": (2.0, 1.0, 0.0), "sand": (3.0, 5.0, 1.0),
    "soil": (6.0, 9.0, 2.0), "turf": (3.0, 4.0, 2.0), "ballast": (7.0, 4.0, 1.0),
}  # fmt: skip


@lru_cache(maxsize=256)
def ground_image(color: Rgb, grain: tuple[float, float, float]) -> skia.Image:
    """A colour with fine and coarse variation, as a repeating picture."""
    fine, coarse, warm = grain
    grey = noise(1, 0.35) * fine + noise(2, 1.3) * coarse
    tint = noise(3, 1.5) * warm
    rgb = np.stack([color[0] + grey + tint, color[1] + grey + tint * 0.2, color[2] + grey - tint * 0.6], -1)
    return _image(rgb)


@lru_cache(maxsize=1)
def furrows_image() -> skia.Image:
    """Lines along x with a little wear, as grey around the middle: to be laid over a field."""
    lines = np.sin(np.arange(SIDE) * (2 * math.pi * 32 / SIDE))[:, None] * 11 + noise(4, 0.9) * 5
    along = np.broadcast_to(noise(5, 1.2)[:, :1] * 6, (SIDE, SIDE))
    return _image(np.repeat((128 + lines + along)[..., None], 3, -1))


@lru_cache(maxsize=1)
def stain_image() -> skia.Image:
    """Grey around the middle: what wear and weather do to roofs and roads."""
    return _image(np.repeat((128 + noise(6, 0.8) * 13)[..., None], 3, -1))


@lru_cache(maxsize=1)
def tone_image() -> skia.Image:
    """Very soft light and dark: soil and moisture over hundreds of metres."""
    return _image(np.repeat((128 + noise(7, 1.6) * 11)[..., None], 3, -1))


def _image(rgb: NDArray[np.floating]) -> skia.Image:
    rgba = np.full((*rgb.shape[:2], 4), 255, np.uint8)
    rgba[..., :3] = np.clip(np.rint(rgb), 0, 255)
    return skia.Image.fromarray(rgba, skia.kRGBA_8888_ColorType)


CROWNS = 8
CROWN_PX = 32


@lru_cache(maxsize=16)
def crowns_image(azimuth: float) -> skia.Image:
    """Eight tree crowns side by side, lit from `azimuth` degrees; greys to be multiplied by a leaf colour."""
    y, x = np.mgrid[0:CROWN_PX, 0:CROWN_PX].astype(np.float32) - (CROWN_PX - 1) / 2
    lit = np.array([math.sin(math.radians(azimuth)), -math.cos(math.radians(azimuth))], np.float32)
    rgba = np.zeros((CROWN_PX, CROWNS * CROWN_PX, 4), np.uint8)
    for n in range(CROWNS):
        rgba[:, n * CROWN_PX : (n + 1) * CROWN_PX] = _crown(x, y, lit, np.random.default_rng([9, n]))
    return skia.Image.fromarray(rgba, skia.kRGBA_8888_ColorType, skia.AlphaType.kUnpremul_AlphaType)


def _crown(x: Grey, y: Grey, lit: Grey, draw: np.random.Generator) -> NDArray[np.uint8]:
    """A heap of leafy balls: each pixel belongs to the highest ball, shaded by its slope towards the sun."""
    height, shade = np.full(x.shape, -1.0, np.float32), np.zeros(x.shape, np.float32)
    for _ in range(16):
        r = float(draw.uniform(3.2, 6.0))
        turn, away = draw.uniform(0, 2 * math.pi), (15 - r) * math.sqrt(draw.random()) * 0.95
        dx, dy = x - away * math.cos(turn), y - away * math.sin(turn)
        inside = r * r - dx * dx - dy * dy
        top = np.sqrt(np.maximum(inside, 0)) + 9 - away * 0.55
        higher = (inside > 0) & (top > height)
        height[higher] = top[higher]
        shade[higher] = ((dx * lit[0] + dy * lit[1]) / r)[higher] * 0.26
    body = (x * lit[0] + y * lit[1]) / CROWN_PX * 0.5
    grey = np.clip(0.70 + shade + body + (height - 9) * 0.016, 0.25, 1.0) * 255
    rgba = np.repeat(grey[..., None], 4, -1)
    rgba[..., 3] = np.where(height > 0, 255, 0)
    return rgba.astype(np.uint8)


CAR_PX = (12, 6)


@lru_cache(maxsize=1)
def car_image() -> skia.Image:
    """A car from above, nose to +x, grey to be multiplied by its colour."""
    w, h = CAR_PX
    rgba = np.full((h, w, 4), 255, np.uint8)
    rgba[1:-1, 2:4, :3] = 90
    rgba[1:-1, 8:9, :3] = 60
    rgba[[0, 0, -1, -1], [0, -1, 0, -1], 3] = 60
    return skia.Image.fromarray(rgba, skia.kRGBA_8888_ColorType, skia.AlphaType.kUnpremul_AlphaType)


def leaf_colors(look: Look) -> tuple[Rgb, ...]:
    """Tree colours of the season."""
    turned: dict[str, tuple[Rgb, ...]] = {
        "autumn": ((142, 104, 50), (156, 122, 58), (120, 92, 48)), "winter": ((104, 96, 84), (92, 86, 76)),
        "spring": ((104, 118, 62), (120, 130, 76)),
    }  # fmt: skip
    return look.palette.trees + turned.get(look.season, ())


def ground_color(look: Look, material: str) -> Rgb:
    """Colour of a material in the season of the look."""
    r, g, b = look.palette.ground[material]
    if material in ("grass", "garden", "turf", "forest") and look.season != "summer":
        dr, dg, db = {"spring": (2, 8, -2), "autumn": (16, 2, 0), "winter": (26, 14, 18)}[look.season]
        return min(r + dr, 255), min(g + dg, 255), max(b + db, 0)
    return r, g, b
