"""Attribute tables to OpenStreetMap tags: text to text, nothing empty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_TRUTH = {True: "yes", False: "no"}
_NESTED = "tags"
"""The column in which many exports keep the tags as one map."""


def plain_tags(properties: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a row of attributes: numbers and truth as text, a map under "tags" unfolded, nothing empty."""
    return dict(_pairs(properties))


def _pairs(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in properties.items():
        if key == _NESTED and isinstance(value, Mapping):
            yield from _pairs(value)
        elif key == _NESTED and isinstance(value, list):
            yield from _pairs(dict(value))
        elif isinstance(value, bool):
            yield key, _TRUTH[value]
        elif isinstance(value, int | float):
            if math.isfinite(value):
                yield key, f"{value:.15g}"
        elif isinstance(value, str) and value:
            yield key, value
