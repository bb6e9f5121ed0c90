"""Cartographic styles as data: how each map class looks, by zoom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from geoanchor.structure import CLASS_OF
from indexer.cartography import MAP_CLASSES

Width = tuple[tuple[float, float], ...]
"""(zoom, pixels) stops for 256 px tiles; geometric between them, doubling per zoom (true to ground) beyond the last."""


@dataclass(frozen=True, slots=True)
class AreaSymbol:
    """How an area looks.

    Attributes:
        fill: colour "#rrggbb"; outline: colour of its edge or None; outline_px: width of the edge.
        min_zoom: below it the area is not drawn.
    """

    fill: str
    outline: str | None = None
    outline_px: float = 1.0
    min_zoom: float = 0


@dataclass(frozen=True, slots=True)
class LineSymbol:
    """How a line looks.

    Attributes:
        color: of the line; width: its whole width with casing.
        casing: colour of the edge or None; casing_px: width of the edge on each side.
        dash: lengths on and off in multiples of the width, or () for a solid line; min_zoom: below it nothing is drawn.
    """

    color: str
    width: Width
    casing: str | None = None
    casing_px: float = 1.0
    dash: tuple[float, ...] = ()
    min_zoom: float = 0

    def width_px(self, zoom: float) -> float:
        """Width in pixels at `zoom` (256 px tiles)."""
        stops = self.width
        if zoom >= stops[-1][0]:
            return stops[-1][1] * math.exp2(zoom - stops[-1][0])
        if zoom <= stops[0][0]:
            return max(0.4, stops[0][1] * math.exp2(zoom - stops[0][0]))
        above = next(i for i, stop in enumerate(stops) if stop[0] > zoom)
        (z0, w0), (z1, w1) = stops[above - 1], stops[above]
        return math.exp(math.log(w0) + (zoom - z0) / (z1 - z0) * math.log(w1 / w0))


Symbol = AreaSymbol | LineSymbol


@dataclass(frozen=True, slots=True)
class Style:
    """A map's look.

    Attributes:
        name: as asked for; background: colour of land without features.
        areas, lines, points: map class -> symbol; a class that is missing is not drawn, a point is a dot as wide as its
            symbol's line.
        smooth: False leaves every pixel one colour of the style, none between two.
    """

    name: str
    background: str
    areas: Mapping[str, AreaSymbol]
    lines: Mapping[str, LineSymbol]
    points: Mapping[str, LineSymbol]
    smooth: bool = True

    def symbol(self, name: str, dimension: int) -> Symbol | None:
        """How a map class looks as point (0), line (1) or area (2); None where it is not drawn."""
        if dimension == 2:
            return self.areas.get(name)
        return (self.lines if dimension == 1 else self.points).get(name)

    def reach_px(self, zoom: float) -> float:
        """How far from its geometry anything is painted at `zoom`, pixels."""
        widest = max(symbol.width_px(zoom) for symbol in (*self.lines.values(), *self.points.values()))
        return widest / 2 + 2.0


_WIDTHS: dict[str, Width] = {
    "motorway": ((8, 1.2), (10, 2), (12, 3.5), (13, 6), (15, 10), (17, 18), (18, 21), (19, 27)),
    "trunk": ((8, 1), (10, 1.8), (12, 3.5), (13, 6), (15, 10), (17, 18), (18, 21), (19, 27)),
    "link": ((10, 1), (12, 1.5), (13, 4), (15, 7.8), (17, 12), (18, 13), (19, 17)),
    "primary": ((9, 1), (12, 2.7), (13, 5), (15, 10), (17, 18), (18, 21), (19, 27)),
    "secondary": ((9, 0.8), (12, 2.5), (13, 5), (15, 9), (17, 18), (18, 21), (19, 27)),
    "tertiary": ((11, 0.9), (12, 2.2), (13, 4), (15, 9), (17, 18), (18, 21), (19, 27)),
    "residential_road": ((12, 0.7), (13, 2.2), (14, 3), (15, 5), (16, 6), (17, 12), (18, 13), (19, 17)),
    "pedestrian": ((13, 1.5), (15, 4), (16, 5), (17, 10), (18, 12), (19, 15)),
    "service": ((14, 1.2), (15, 2), (16, 3.5), (17, 7), (18, 8.5), (19, 11)),
    "track": ((13, 0.7), (15, 1.2), (17, 1.8), (19, 3)),
    "path": ((13, 0.6), (15, 1.0), (17, 1.5), (19, 2.6)),
    "rail": ((10, 0.8), (13, 1.4), (15, 1.9), (17, 2.8), (19, 4.5)),
    "tram": ((12, 0.7), (15, 1.2), (17, 2), (19, 3)),
    "aerialway": ((12, 0.8), (17, 1.2), (19, 2)),
    "river": ((8, 1), (12, 2), (14, 5), (16, 8), (18, 14)),
    "canal": ((11, 1), (14, 3), (16, 6), (18, 11)),
    "stream": ((12, 0.8), (15, 1.8), (17, 2.8), (19, 4.5)),
    "runway_line": ((10, 1.5), (12, 4), (14, 9), (16, 30)),
    "taxiway": ((11, 0.8), (14, 3), (16, 9)),
    "pier_line": ((12, 0.6), (15, 2), (17, 4), (19, 9)),
    "wall": ((15, 0.5), (17, 0.9), (19, 1.6)),
    "hedge": ((15, 1), (17, 2.2), (19, 5)),
    "cliff": ((14, 0.6), (17, 1.2), (19, 2)),
    "power_line": ((13, 0.5), (17, 0.8), (19, 1.3)),
    "tree": ((16, 1.2), (18, 4), (19, 7)),
    "mast": ((16, 1.2), (18, 2.5), (19, 4)),
}
_MIN_ZOOM = {
    "service": 14, "track": 13, "path": 14, "wall": 16.5, "hedge": 15.5, "power_line": 14, "cliff": 14, "tree": 16.5,
    "mast": 16.5, "residential_road": 12, "pedestrian": 13, "stream": 12, "aerialway": 12, "tram": 12, "taxiway": 11,
}  # fmt: skip


def _line(
    name: str, color: str, casing: str | None = None, dash: tuple[float, ...] = (), edge: float = 1.0
) -> LineSymbol:
    return LineSymbol(color, _WIDTHS[name], casing, edge, dash, _MIN_ZOOM.get(name, 0))


def _lines(**colors: str | tuple[str, str]) -> dict[str, LineSymbol]:
    return {name: _line(name, c) if isinstance(c, str) else _line(name, c[0], c[1]) for name, c in colors.items()}


def _areas(**colors: str | tuple[str, str]) -> dict[str, AreaSymbol]:
    symbols = {name: AreaSymbol(c) if isinstance(c, str) else AreaSymbol(*c) for name, c in colors.items()}
    for name in {"building", "tank", "panel"} & symbols.keys():
        symbols[name] = replace(symbols[name], min_zoom=13.5)
    return symbols


_STANDARD = Style(
    "standard",
    "#f2efe9",
    _areas(
        residential="#e0dfdf", commercial="#f2dad9", retail="#ffd6d1", industrial="#ebdbe8", military="#f7dcd2",
        education="#ffffe5", aerodrome="#e9e7e2", farmland="#eef0d5", farmyard="#f5dcba", orchard="#aedfa3",
        allotments="#c9e1bf", grass="#cdebb0", forest="#add19e", scrub="#c8d7ab", heath="#d6d99f", wetland="#d0e0c8",
        sand="#f5e9c6", rock="#dcd8d3", construction="#c7c7b4", park="#c8facc", cemetery="#aacbaf", golf="#def6c0",
        sport=("#dffce2", "#b0dcb8"), camp="#e4f6d8", playground="#dffce2", pitch=("#88e0be", "#7acbad"),
        parking=("#eeeeee", "#d6d0d0"), plaza=("#dddde8", "#bdbdc8"), apron="#dadae0", solar=("#d6c6d6", "#b8a6b8"),
        water="#aad3df", pier="#f2efe9", runway="#bbbbcc", building=("#d9d0c9", "#b9a99c"), tank=("#c9c3bd", "#a39a91"),
        panel=("#b4aebf", "#9a93a8"),
    ),
    _lines(
        river="#aad3df", canal="#aad3df", stream="#aad3df", runway_line="#bbbbcc", taxiway="#bbbbcc",
        pier_line="#f2efe9",
        wall="#8f8a85", hedge="#aed1a0", cliff="#9f978f", power_line="#999999",
        pedestrian=("#dddde8", "#999999"), service=("#ffffff", "#bbbbbb"), residential_road=("#ffffff", "#bbbbbb"),
        tertiary=("#ffffff", "#8f8f8f"), secondary=("#f7fabf", "#707d05"), primary=("#fcd6a4", "#a06b00"),
        link=("#f9b29c", "#c84e2f"), trunk=("#f9b29c", "#c84e2f"), motorway=("#e892a2", "#dc2a67"), tram="#6e6e6e",
        aerialway="#777777",
    ) | {
        "track": _line("track", "#996600", "#ffffff", (4, 2)),
        "path": _line("path", "#fa8072", "#ffffff", (2, 1.6)),
        "rail": _line("rail", "#ffffff", "#707070", (4, 4)),
    },
    _lines(tree="#a4cf97", mast="#6b6b6b"),
)  # fmt: skip

_LIGHT = Style(
    "light",
    "#f6f6f4",
    _areas(
        residential="#f2f2f0", commercial="#f2f2f0", retail="#f2f2f0", industrial="#eeeeec", education="#f0f0ec",
        aerodrome="#ececec", farmland="#f3f4ee", orchard="#e8ede2", allotments="#e8ede2", grass="#e9efe3",
        forest="#dfe8d9", scrub="#e6ece0", heath="#e9ede2", wetland="#e4ebe4", sand="#f3f0e4", rock="#ebebe9",
        park="#e1ebdb", cemetery="#e3eadd", golf="#e3ecdc", sport="#e6eee0", playground="#e6eee0", pitch="#dce8d6",
        parking="#eeeeee", plaza="#fafafa", apron="#e6e6e8", solar="#e4e4ea",
        water="#cad2d3", pier="#f6f6f4", runway="#dcdcde", building=("#e4e4e1", "#d8d8d4"), tank=("#e0e0dd", "#d2d2ce"),
        panel=("#d3d6da", "#c6c9ce"),
    ),
    _lines(
        river="#cad2d3", canal="#cad2d3", stream="#cad2d3", runway_line="#dcdcde", taxiway="#e0e0e2",
        pier_line="#f6f6f4",
        path="#e9e7e4", track="#e4e2de", pedestrian="#ffffff",
        service=("#ffffff", "#e8e8e6"), residential_road=("#ffffff", "#e2e2df"), tertiary=("#ffffff", "#dcdcd8"),
        secondary=("#ffffff", "#d4d4d0"), primary=("#ffffff", "#cfcfca"), link=("#ffffff", "#cfcfca"),
        trunk=("#fdfdfd", "#c8c8c2"), motorway=("#fafafa", "#c0c0ba"), tram="#dcdcd9",
    ) | {"rail": _line("rail", "#ffffff", "#d4d4d2", (3, 3))},
    {},
)  # fmt: skip

_GOOGLE = Style(
    "google",
    "#e8e4dc",
    _areas(
        residential="#e8e4dc", commercial="#eae6dd", retail="#ede7dc", industrial="#e3e0dc", education="#e6dfcf",
        aerodrome="#dfdfe2", farmland="#e6e5d6", orchard="#d5e3bd", allotments="#d5e3bd", grass="#d3e4b8",
        forest="#c9dfaf", scrub="#d3e2bd", heath="#d9e2c3", wetland="#cfdfc4", sand="#f2e9cc", rock="#dfdbd3",
        park="#c9dfab", cemetery="#cfdfba", golf="#c9dfab", sport="#d2e4b6", playground="#d0e3b4", pitch="#bfdc9c",
        parking="#e0e0e2", plaza="#efece4", apron="#d9d9de", solar="#dcdbe0", military="#dedad0",
        water="#a5bffd", pier="#e8e4dc", runway="#cfcfd6", building=("#f2efe8", "#dedad1"), tank=("#eeebe4", "#d8d4cb"),
        panel=("#d5d6dc", "#c4c6ce"),
    ),
    _lines(
        river="#a5bffd", canal="#a5bffd", stream="#a5bffd", runway_line="#cfcfd6", taxiway="#d6d6dc",
        pier_line="#e8e4dc",
        path="#d5d0c5", track="#d5d0c5", pedestrian="#f3f0ea", tram="#cfccc6", rail="#c4c1bb",
        service=("#ffffff", "#dcd7cd"), residential_road=("#ffffff", "#d8d3c9"), tertiary=("#ffffff", "#d2cdc2"),
        secondary=("#fffdf5", "#d9cfa9"), primary=("#ffe99b", "#dcc06a"), link=("#fed89f", "#e3b867"),
        trunk=("#fdc86b", "#dc9c36"), motorway=("#fa9e25", "#d67f13"),
    ),
    {},
)  # fmt: skip

_DARK = Style(
    "dark",
    "#171c23",
    _areas(
        residential="#191e25", commercial="#1c2129", retail="#1e222a", industrial="#1b1f26", education="#1d222a",
        aerodrome="#1a1f27", farmland="#171c20", orchard="#17231d", allotments="#17231d", grass="#18251e",
        forest="#173023", scrub="#16231c", wetland="#16242a", sand="#232219", rock="#1f2226", park="#1b3627",
        cemetery="#17261e", golf="#182a1f", sport="#1d3327", playground="#1a2a22", pitch="#23432f", parking="#1f242c",
        plaza="#232932", apron="#20252e", solar="#1c2638",
        water="#123a56", pier="#1b2027", runway="#2b313b", building=("#2c3542", "#3a4553"), tank=("#2c343f", "#38424f"),
        panel=("#2b3c58", "#364a6b"),
    ),
    _lines(
        river="#123a56", canal="#123a56", stream="#123a56", runway_line="#2b313b", taxiway="#272d36",
        pier_line="#1b2027",
        path="#2a323c", track="#2c3138", pedestrian="#2d3540", tram="#4a4f58", rail="#50565f",
        service=("#3d4654", "#15191f"), residential_road=("#4a5566", "#15191f"), tertiary=("#5b687c", "#15191f"),
        secondary=("#6b7789", "#15191f"), primary=("#8b8468", "#15191f"), link=("#94794b", "#15191f"),
        trunk=("#a5854a", "#15191f"), motorway=("#c2933c", "#15191f"),
    ),
    {},
)  # fmt: skip

_BY_STRUCTURE = {
    "green": "orchard allotments grass forest scrub heath wetland park cemetery golf playground pitch sport",
    "water": "water river canal stream",
    "building": "building tank",
    "minor_road": "pedestrian service residential_road tertiary secondary",
    "major_road": "primary link trunk motorway",
    "rail": "rail",
}
STRUCTURE_OF = {name: structure for structure, names in _BY_STRUCTURE.items() for name in names.split()}
"""Map class -> class of `geoanchor.structure`; a map class that is not here is no structure of its own."""


def structure_color(name: str) -> str:
    """The colour that stands for a class of structure: its number in the red channel."""
    return f"#{CLASS_OF[name]:02x}0000"


def _structure() -> Style:
    """Every pixel one class. Land of no class covers what lies below it, as it does on any map."""
    colors = {name: structure_color(STRUCTURE_OF.get(name, "other")) for name in MAP_CLASSES}
    ground = {name: color for name, color in colors.items() if name in STRUCTURE_OF or name in _STANDARD.areas}
    ways = {name: color for name, color in colors.items() if name in STRUCTURE_OF and name in _STANDARD.lines}
    return Style("structure", structure_color("other"), _areas(**ground), _lines(**ways), {}, smooth=False)


STRUCTURE = _structure()
"""Not a map to look at: the classes of structure as `render.render_structure` reads them."""

STYLES: dict[str, Style] = {style.name: style for style in (_STANDARD, _LIGHT, _GOOGLE, _DARK)}
"""Every style by name."""
