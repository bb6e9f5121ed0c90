"""How a place looks from the air: sun, season, colours and the camera's faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Rgb = tuple[int, int, int]
Season = Literal["spring", "summer", "autumn", "winter"]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of a country, RGB.

    Attributes:
        ground: by material, see `indexer.city.surfaces`.
        pitched, flat: roofs of small and of large buildings; repeated colours are likelier.
        trees, crops: to choose from.
    """

    ground: Mapping[str, Rgb]
    pitched: tuple[Rgb, ...]
    flat: tuple[Rgb, ...]
    trees: tuple[Rgb, ...]
    crops: tuple[Rgb, ...]


_GROUND: Mapping[str, Rgb] = {
    "land": (128, 126, 98), "grass": (101, 116, 68), "garden": (104, 113, 74), "forest": (52, 66, 38), "scrub": (122,
    117, 82), "water": (58, 80, 82), "pool": (92, 178, 196), "paved": (150, 147, 140), "yard": (141, 138, 131),
    "asphalt": (112, 112, 114), "parking": (104, 104, 106), "concrete": (172, 169, 162), "sand": (205, 188, 150),
    "soil": (150, 128, 98), "ballast": (122, 113, 104), "path": (176, 165, 142), "track": (164, 148, 118),
    "turf": (88, 122, 62), "tartan": (150, 84, 66), "clay": (178, 102, 70), "hard": (72, 104, 134), "kerb": (160, 157,
    151), "panel": (38, 48, 72), "apron": (158, 156, 151), "runway": (98, 98, 100),
}  # fmt: skip

_CENTRAL = Palette(
    _GROUND,
    pitched=((142, 80, 60), (150, 88, 66), (132, 74, 58), (158, 98, 74), (118, 76, 64), (98, 94, 96), (84, 82, 86)),
    flat=((162, 159, 153), (134, 132, 130), (182, 180, 176), (116, 114, 113), (150, 146, 138)),
    trees=((56, 74, 40), (64, 82, 44), (48, 66, 38), (74, 88, 48)),
    crops=((142, 136, 86), (168, 152, 100), (104, 116, 66), (122, 128, 74), (156, 136, 100), (186, 168, 112)),
)
_PRAIRIE = Palette(
    {**_GROUND, "land": (136, 132, 102), "grass": (108, 122, 74), "garden": (106, 122, 76), "asphalt": (122, 121, 120),
     "parking": (110, 110, 110), "water": (70, 84, 78), "paved": (162, 159, 152), "kerb": (178, 175, 168)},
    pitched=((112, 106, 100), (96, 92, 90), (128, 120, 110), (84, 82, 84), (118, 100, 88), (140, 132, 122)),
    flat=((206, 205, 202), (188, 186, 182), (222, 222, 220), (158, 156, 152), (128, 127, 126)),
    trees=((58, 80, 44), (68, 90, 50), (52, 72, 42)),
    crops=((110, 128, 66), (128, 136, 74), (98, 118, 60), (170, 150, 104), (150, 142, 92)),
)  # fmt: skip
_DRY = Palette(
    {**_GROUND, "land": (176, 154, 120), "grass": (122, 124, 78), "garden": (158, 142, 110), "forest": (74, 82, 50),
     "scrub": (162, 144, 108), "water": (72, 106, 104), "paved": (182, 168, 146), "yard": (176, 162, 138),
     "asphalt": (126, 121, 115), "parking": (128, 122, 114), "concrete": (192, 182, 164), "soil": (172, 142, 106),
     "kerb": (184, 172, 152), "path": (196, 178, 146), "track": (186, 164, 126), "turf": (104, 126, 66)},
    pitched=((186, 116, 80), (196, 134, 96), (172, 104, 74), (206, 190, 164), (190, 172, 146)),
    flat=((206, 194, 174), (190, 178, 158), (222, 214, 200), (174, 160, 140), (160, 150, 136)),
    trees=((72, 84, 50), (84, 94, 58), (62, 76, 46)),
    crops=((182, 156, 112), (158, 144, 96), (134, 136, 84), (196, 172, 126), (112, 122, 70)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """One way of taking the picture.

    Attributes:
        palette: colours; season: greens and crops follow it.
        sun_azimuth: degrees clockwise from north; sun_elevation: degrees above the horizon.
        noise: of the sensor, standard deviation in grey levels; blur: share of each neighbour pixel, 0..0.25.
        haze: 0..1; shift_m: (east, north) by which the picture is off its true place, metres.
    """

    palette: Palette = field(default_factory=lambda: _CENTRAL)
    season: Season = "summer"
    sun_azimuth: float = 148.0
    sun_elevation: float = 46.0
    noise: float = 3.0
    blur: float = 0.05
    haze: float = 0.05
    shift_m: tuple[float, float] = (0.0, 0.0)


LOOKS: Mapping[str, Look] = {
    "generic": Look(),
    "A": Look(shift_m=(0.6, -0.4)),
    "B": Look(palette=_PRAIRIE, sun_azimuth=165.0, sun_elevation=52.0, noise=2.4, blur=0.04, shift_m=(-0.5, 0.7)),
    "C": Look(palette=_DRY, sun_azimuth=128.0, sun_elevation=58.0, noise=3.2, blur=0.06, haze=0.09, shift_m=(0.8, 0.5)),
}


def later(look: Look) -> Look:
    """The same place on another day: a lower sun from the other side, another season."""
    return replace(look, season="autumn", sun_azimuth=360.0 - look.sun_azimuth, sun_elevation=look.sun_elevation - 10)
