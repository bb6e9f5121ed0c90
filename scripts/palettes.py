"""Write models/palettes.json: the colours of our own styles, and of a map service seen in published pairs.

python scripts/palettes.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from indexer.styles import STRUCTURE_OF, STYLES, Style
from models.palette import PALETTES

WEB = {
    "other": ["#e8e5de", "#dfd9d3", "#d3cabe", "#e8ddbd", "#ebd7d2", "#f0dede"],
    "green": ["#cbdfac", "#bbd3bb", "#bed996"],
    "water": ["#b2d0fe", "#a5bffd"],
    "building": ["#f3f0ea", "#f5efdc", "#eeece6"],
    "minor_road": ["#fefefd"],
    "major_road": ["#fa9e25", "#ffe18c", "#fdd880", "#e6963c"],
    "rail": ["#bebcb9", "#a5a5a5"],
}
"""A web map of about 2014, as in the aerial and map pairs of Isola et al. 2017; read off the pictures."""
_ALIKE = 8
_STEP = 4
"""Colours of which every channel differs by less are one to the look-up table."""
_ORDER = ("building", "minor_road", "major_road", "rail", "water", "green", "other")
"""Who keeps a colour that several classes are painted with."""


def colors_of(style: Style) -> dict[str, list[str]]:
    """Colours by class of structure, each once."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    found["other"][style.background] = None
    for name, area in style.areas.items():
        found[STRUCTURE_OF.get(name, "other")][area.fill] = None
    for name, line in style.lines.items():
        if name in STRUCTURE_OF:
            found[STRUCTURE_OF[name]][line.color] = None
    taken: list[str] = []
    for kind in _ORDER:
        found[kind] = dict.fromkeys(color for color in found[kind] if _distance(color, taken) >= _STEP)
        taken += found[kind]
    return {kind: list(found[kind]) for kind in _ORDER if found[kind]}


def _apart(color: str, kind: str) -> bool:
    """Whether a colour is new, and not one that the web map uses for another class."""
    return all(_distance(color, colors) > (0 if other == kind else _ALIKE) for other, colors in WEB.items())


def _distance(color: str, others: Iterable[str]) -> int:
    """To the nearest of other colours, in the channel that differs most; 255 where there are none."""
    rgb = bytes.fromhex(color[1:])
    return min((max(abs(a - b) for a, b in zip(rgb, bytes.fromhex(c[1:]), strict=True)) for c in others), default=255)


def palettes_json() -> str:
    """The file's text."""
    known = {name: colors_of(style) for name, style in STYLES.items()}
    # Two looks of one family, too alike to be told apart and the better for being read together.
    google = known.pop("google")
    known["google"] = {kind: WEB[kind] + [c for c in google.get(kind, []) if _apart(c, kind)] for kind in WEB}
    return json.dumps(known, indent=1) + "\n"


if __name__ == "__main__":
    PALETTES.write_text(palettes_json(), "utf-8")
