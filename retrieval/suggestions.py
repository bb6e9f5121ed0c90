"""Texts to try on an index, each with a true hit: from its own tags, captions and names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from geoanchor.places import SETTLEMENTS
from geoanchor.words import tag_phrase
from retrieval.gazetteer import Gazetteer
from retrieval.region import region_rows
from retrieval.relations import DEFAULT_DECAY_M
from retrieval.serving import Serving

_DULL = frozenset({"yes", "house", "residential", "service", "track", "footway", "path", "unclassified", "tree"})
"""Values that nobody looks for."""
_KEYS = ("leisure", "amenity", "tourism", "natural", "waterway", "railway", "aeroway", "landuse", "man_made",
         "building", "water", "historic", "sport", "military", "power")  # fmt: skip
"""Keys whose values are things to look for."""
_TOO_MANY = 0.3
"""A tag that more than this share of the rows bear finds nothing in particular."""
_LONGEST = 60
"""Characters of a caption that still reads at a glance."""


def suggestions(serving: Serving, gazetteer: Gazetteer, k: int = 6) -> tuple[str, ...]:
    """Up to k different texts: two things near each other, a thing near a named place, things, captions.

    The same index always suggests the same.
    """
    tags = [tag for tag, count in serving.vocabulary.items() if _worth(tag, count / max(len(serving), 1))]
    things = {tag_phrase(tag): tag for tag in _mixed(tags)}
    kinds = (_related(serving, things), _placed(serving, gazetteer, things), iter(things), _captions(serving))
    found: dict[str, None] = {}
    while len(found) < k:
        fresh = [text for kind in kinds if (text := next((t for t in kind if t not in found), None))]
        if not fresh:
            break
        found |= dict.fromkeys(fresh)
    return tuple(islice(found, k))


def _worth(tag: str, share: float) -> bool:
    key, _, value = tag.partition("=")
    return key in _KEYS and value not in _DULL and value.replace("_", "").isalpha() and share <= _TOO_MANY


def _mixed(tags: list[str]) -> list[str]:
    """Tags of different keys in turn, so that the first few are not all of one kind."""
    turn = {
        tag: sum(other.partition("=")[0] == tag.partition("=")[0] for other in tags[:n]) for n, tag in enumerate(tags)
    }
    return sorted(tags, key=lambda tag: (turn[tag], _KEYS.index(tag.partition("=")[0])))


def _related(serving: Serving, things: dict[str, str]) -> Iterator[str]:
    """ "A by the B" for things that do lie near each other."""
    places, names = serving.places, list(things)[:12]
    for first in names:
        for second in names:
            here, there = serving.bearing(things[first]), serving.bearing(things[second])
            if first == second or first in second or second in first or not len(here):
                continue
            lng, lat = float(places.lng[here[0]]), float(places.lat[here[0]])
            near = places.near(lng, lat, DEFAULT_DECAY_M) if not np.isnan(lng) else here[:0]
            if np.isin(near, np.setdiff1d(there, here)).any():
                yield f"{first} near a {second}"
                break


def _placed(serving: Serving, gazetteer: Gazetteer, things: dict[str, str]) -> Iterator[str]:
    """ "A near B" for the towns of the index."""
    from geoanchor.query import RadiusRegion

    for place in gazetteer.important(4):
        if place.kind in SETTLEMENTS:
            region = RadiusRegion(lng=place.lng, lat=place.lat, radius_m=place.radius_m)
            inside = region_rows(region, serving.places)
            thing = next((name for name in things if np.isin(serving.bearing(things[name]), inside).any()), None)
            if thing:
                yield f"{thing} near {place.name}"


def _captions(serving: Serving) -> Iterator[str]:
    """The first clause of captions of rows evenly spread over the index."""
    column = serving.rows.column("caption")
    for row in np.linspace(0, max(len(column) - 1, 0), min(len(column), 24), dtype=int).tolist():
        text = (column[row].as_py() or "").partition(",")[0].strip().rstrip(".")
        if len(text.split()) >= 3 and len(text) <= _LONGEST:
            yield text
