"""Times as people write them: "in 2014", "since May 2019", "between 2014 and 2016", "before 2020-05-31"."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name} | {"sept": 9}
_WHEN = rf"(?:(?:(?:{'|'.join(_MONTHS)})\.?\s+)?(?:19|20)\d\d|(?:19|20)\d\d-\d\d(?:-\d\d)?)(?![\w-]|[.,]\d)"
_SPAN = re.compile(rf"\b(?:between|from)\s+({_WHEN})\s+(?:and|to|till|until)\s+({_WHEN})", re.IGNORECASE)
_SINGLE = re.compile(rf"\b(in|during|on|of|since|from|after|before|until|till|by)\s+({_WHEN})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """A time and the characters of the text that say it; since and until are both included, None where open."""

    since: datetime | None
    until: datetime | None
    start: int
    end: int


def spans(text: str) -> Iterator[Span]:
    """Times in a text, those with both ends first; what is no date ("in 2014-13") is none."""
    for match in _SPAN.finditer(text):
        first, last = _days(match[1]), _days(match[2])
        if first and last and first[0] <= last[1]:
            yield Span(_begin(first[0]), _end(last[1]), match.start(), match.end())
            return
    for match in _SINGLE.finditer(text):
        if days := _days(match[2]):
            yield Span(*_limits(match[1].lower(), *days), match.start(), match.end())


def _limits(word: str, first: date, last: date) -> tuple[datetime | None, datetime | None]:
    match word:
        case "since" | "from":
            return _begin(first), None
        case "after":
            return _begin(date.fromordinal(last.toordinal() + 1)), None
        case "before":
            return None, _end(date.fromordinal(first.toordinal() - 1))
        case "until" | "till" | "by":
            return None, _end(last)
        case _:
            return _begin(first), _end(last)


def _days(text: str) -> tuple[date, date] | None:
    """First and last day of a year, a month or a day; None where there is no such day."""
    words = text.replace(".", "").lower().split()
    if len(words) == 2:
        text = f"{words[1]}-{_MONTHS[words[0]]:02}"
    year, month, day = (int(part) if part else 0 for part in [*text.split("-"), "", ""][:3])
    try:
        first = date(year, month or 1, day or 1)
    except ValueError:
        return None
    last_month = month or 12
    return first, first if day else date(year, last_month, calendar.monthrange(year, last_month)[1])


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _end(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)
