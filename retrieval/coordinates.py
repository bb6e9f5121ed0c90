"""Coordinates as people write them: decimal, degrees and minutes, geo: URIs, addresses of web maps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NUMBER = r"[-+−]?\d{1,3}(?:\.\d+)?"
_DECIMAL = r"[-+−]?\d{1,3}\.\d+"
_ANGLE = (
    r"(?P<{0}h1>[NSEWO](?=[\s\d.+-]))?\s*(?P<{0}d>[-+−]?\d{{1,3}}(?:\.\d+)?)\s*[°º]?"
    r"(?:\s*(?P<{0}m>\d{{1,2}}(?:\.\d+)?)\s*['′’](?:\s*(?P<{0}s>\d{{1,2}}(?:\.\d+)?)\s*(?:\"|″|”|''))?)?"
    r"(?({0}h1)|\s*(?P<{0}h2>[NSEWO](?!\w))?)"
)
"""One angle with a letter before or after it; minutes and seconds may be left out."""
_ANGLES = re.compile(rf"(?<![\w.]){_ANGLE.format('a')}\s*[,;/]?\s*{_ANGLE.format('b')}(?![\w.]*\d)", re.IGNORECASE)
_DECIMALS = re.compile(
    rf"(?<![\w.])({_NUMBER}(?=\s*[,;])|{_DECIMAL}\d(?=\s))(?:\s*[,;]\s*|\s+)({_DECIMAL})(?![\w.]*\d)"
)
"""Without a comma between them, the first must be told to two places."""
_COMMAS = re.compile(r"(?<![\w.,])([-+−]?\d{1,2},\d{2,})\s*[;/\s]\s*([-+−]?\d{1,3},\d{2,})(?![\w,]*\d)")
_GEO = re.compile(rf"\bgeo:\s*({_NUMBER}),({_NUMBER})[^\s\x00]*", re.IGNORECASE)
_ADDRESS = re.compile(r"\bhttps?://[^\s\x00]+", re.IGNORECASE)
_IN_ADDRESS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"!3d({_NUMBER})!4d({_NUMBER})",
        rf"[?&#]mlat=({_NUMBER})&mlon=({_NUMBER})",
        rf"[?&](?:q|ll|center|destination|query)=(?:loc:)?({_NUMBER})(?:,|%2C)({_NUMBER})",
        rf"/@({_NUMBER}),({_NUMBER})",
        rf"#(?:map=)?\d+(?:\.\d+)?/({_NUMBER})/({_NUMBER})",
    )
)
"""A pin before the centre of the view."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A coordinate in degrees and the characters of the text that say it."""

    lng: float
    lat: float
    start: int
    end: int


def coordinates(text: str) -> Iterator[Coordinate]:
    """Every coordinate in a text, address of a web map or geo: URI first; numbers out of range are none.

    Two bare numbers are latitude and longitude; letters (N, S, E, W) say otherwise, and so does a first number beyond
    90. Nothing is fetched.
    """
    readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[float, float] | None]], ...] = (
        (_ADDRESS, _of_address), (_GEO, _of_numbers), (_ANGLES, _of_angles), (_DECIMALS, _of_numbers),
        (_COMMAS, _of_commas),
    )  # fmt: skip
    left = text
    for pattern, read in readers:
        for match in pattern.finditer(left):
            found = read(match)
            if found is not None:
                yield Coordinate(found[1], found[0], match.start(), match.end())
                left = left[: match.start()] + "\0" * len(match[0]) + left[match.end() :]


def _of_address(match: re.Match[str]) -> tuple[float, float] | None:
    found = next((inner for pattern in _IN_ADDRESS if (inner := pattern.search(match[0]))), None)
    return _of_numbers(found) if found else None


def _of_numbers(match: re.Match[str]) -> tuple[float, float] | None:
    return _plausible(_value(match[1]), _value(match[2]))


def _of_commas(match: re.Match[str]) -> tuple[float, float] | None:
    return _plausible(_value(match[1].replace(",", ".")), _value(match[2].replace(",", ".")))


def _of_angles(match: re.Match[str]) -> tuple[float, float] | None:
    """Two angles, one marked as latitude by its letter, the other as longitude."""
    first, second = _angle(match, "a"), _angle(match, "b")
    letters = first[1] + second[1]
    if len(letters) != 2 or (letters[0] in "NS") == (letters[1] in "NS"):
        return None
    if any(float(match[name + part] or "0") >= 60 for name in "ab" for part in "ms"):
        return None
    lat, lng = (first[0], second[0]) if first[1] in "NS" else (second[0], first[0])
    return (lat, lng) if abs(lat) <= 90 and abs(lng) <= 180 else None


def _angle(match: re.Match[str], name: str) -> tuple[float, str]:
    """Degrees, and the letter in capitals."""
    letter = (match[f"{name}h1"] or match[f"{name}h2"] or "").upper()
    degrees, minutes, seconds = (float((match[name + part] or "0").replace("−", "-")) for part in "dms")
    value = abs(degrees) + minutes / 60 + seconds / 3600
    return (-value if math.copysign(1, degrees) < 0 or letter in ("S", "W") else value), letter.replace("O", "E")


def _value(number: str) -> float:
    return float(number.replace("−", "-"))


def _plausible(lat: float, lng: float) -> tuple[float, float] | None:
    if abs(lat) > 90 >= abs(lng):
        lat, lng = lng, lat
    return (lat, lng) if abs(lat) <= 90 and abs(lng) <= 180 else None
