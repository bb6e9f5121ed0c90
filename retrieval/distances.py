"""Distances as people write them: "within 500 m of", "within 2 miles from"."""

from __future__ import annotations

import re

_METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "km": 1000.0, "kilometre": 1000.0, "kilometer": 1000.0,
           "mi": 1609.344, "mile": 1609.344, "ft": 0.3048, "feet": 0.3048, "yd": 0.9144, "yard": 0.9144}  # fmt: skip
WITHIN = rf"within\s+(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>{'|'.join(_METRES)})s?\s+(?:of|from)"
"""Part of a pattern; `metres_of` reads what it matched."""


def metres_of(match: re.Match[str]) -> float | None:
    """The distance that `WITHIN` matched, in metres; None where the pattern matched by another part."""
    return float(match["number"]) * _METRES[match["unit"].lower()] if match["number"] else None
