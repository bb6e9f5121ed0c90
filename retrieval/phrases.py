"""Reads a search box: a text becomes a Query and chips that say which words became what.

Pieces are taken out of the text from the surest to the vaguest: quotes, coordinates, layers, unwanted words, times,
names of places; what is left are the words sought, or a relation between two things. Taken characters are blanked, so
that no later reader sees them and every span stays where it was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from geoanchor.image import Layer
from geoanchor.phrase import Chip, Phrase
from geoanchor.places import SETTLEMENTS, Place
from geoanchor.query import (
    NEGATIVE_WEIGHT,
    BoundsRegion,
    Part,
    PointPart,
    Query,
    RadiusRegion,
    Region,
    TextPart,
)
from geoanchor.tiling import distance_m
from retrieval.coordinates import coordinates
from retrieval.distances import WITHIN, metres_of
from retrieval.gazetteer import Gazetteer
from retrieval.relations import parse_relation
from retrieval.times import spans

NEAR_M, AT_M = 1_000.0, 300.0
"""How far "near" and "at" reach from a coordinate."""
_SMALL_M = 400.0
"""A place that is narrower than this is looked for around, not inside: few tiles have their centre in it."""
_LONGEST = 6
"""Words of the longest name that is looked up."""
_BLANK = "\0"
_NEAR = r"near(?:by)?(?:\s+to)?|close\s+to|around|next\s+to|beside|not\s+far\s+from|in\s+the\s+vicinity\s+of|by"
_AT = r"inside|within|in|at|on|along"
_WHERE = rf"(?<![\w{_BLANK}-])(?:{WITHIN}|(?P<near>{_NEAR})|(?P<at>{_AT}))\s+(?:the\s+)?"
_BEFORE_NAME = re.compile(_WHERE, re.IGNORECASE)
_BEFORE_POINT = re.compile(rf"(?:{_WHERE})$", re.IGNORECASE)
_WORD = re.compile(rf"[^\s{_BLANK},;]+")
_TOWNISH = re.compile(r"\s+(?:bazaar|town|city|village|municipality|district|cent(?:re|er))\b", re.IGNORECASE)
"""What may follow the name of a place without being part of it."""
_QUOTED = re.compile(r'(?P<minus>(?<!\S)[-−–])?(?<!\w)["“”„](?P<words>[^"“”„]*[^\s"“”„][^"“”„]*)["“”„]')
_MINUS = re.compile(rf"(?<![^\s{_BLANK}])[-−–](?P<words>[^\W\d][^\s,;{_BLANK}]*)")
_WITHOUT = re.compile(
    r"(?:,\s*no|\b(?:without|but\s+no|with\s+no|and\s+no|except(?:\s+for)?))\s+(?:any\s+|an?\s+|the\s+)?"
    rf"(?P<words>(?:(?!(?:near|next|close|in|on|at|by|with|within|along|inside|around|beside|but)\b)[^\s,;{_BLANK}]+\s*)"
    r"{1,4})", re.IGNORECASE,
)  # fmt: skip
_NOR = re.compile(r"\s+(?:and|or|nor)\s+(?:an?\s+|the\s+)?", re.IGNORECASE)
_LAYERS: dict[str, Layer] = {"aerial": "aerial", "imagery": "aerial", "map": "map", "ground": "ground",
                             "street photo": "ground", "photo": "ground"}  # fmt: skip
_LAYER = re.compile(rf"(?<![\w:])(?:layer:\s*(?P<a>{'|'.join(_LAYERS)})\b|(?P<b>{'|'.join(_LAYERS)}):)", re.IGNORECASE)
_RUN = re.compile(rf"[^\s{_BLANK},;.!?][^{_BLANK}]*[^\s{_BLANK},;]|[^\s{_BLANK},;.!?]")


@dataclass
class Reading:
    """What a text asks, before it is put together with anything else.

    Attributes:
        words, unwanted: texts; point: (lng, lat) of the place that is sought by itself.
        chips: in order of the text.
        relations: whether a relation may be read in the words: not where they were quoted.
    """

    words: str = ""
    unwanted: list[str] = field(default_factory=list)
    point: tuple[float, float] | None = None
    region: Region | None = None
    layer: Layer | None = None
    since: datetime | None = None
    until: datetime | None = None
    relations: bool = True
    chips: list[Chip] = field(default_factory=list)

    def parts(self, weight: float = 1.0, unwanted_weight: float = NEGATIVE_WEIGHT) -> list[Part]:
        """The parts of a Query; none of them has a weight above 0 where only unwanted words were said."""
        parts: list[Part] = [TextPart(text=self.words, weight=weight)] if self.words else []
        if self.point is not None:
            parts.append(PointPart(lng=self.point[0], lat=self.point[1], weight=weight))
        return parts + [TextPart(text=text, weight=unwanted_weight) for text in self.unwanted]

    def query(self) -> Query | None:
        """The Query, None when nothing is sought."""
        if not self.words and self.point is None:
            return None
        return Query(
            parts=tuple(self.parts()), region=self.region, layer=self.layer, since=self.since, until=self.until,
            relations=self.relations,
        )  # fmt: skip


def understand(text: str, gazetteer: Gazetteer) -> Phrase:
    """What a text asks of an index with these names; no text is refused."""
    found = read(text, gazetteer)
    return Phrase(text=text, query=found.query(), chips=tuple(found.chips))


def read(text: str, gazetteer: Gazetteer) -> Reading:
    """What a text says, piece by piece; the same text over the same names always says the same."""
    # A text longer than a TextPart may be is read to where it may end.
    return _Reader(text[:2000].replace(_BLANK, " "), gazetteer).run()


class _Reader:
    def __init__(self, text: str, gazetteer: Gazetteer) -> None:
        self.text = self.free = text
        self.gazetteer = gazetteer
        self.out = Reading()
        self.said: list[tuple[int, str]] = []
        """Wanted words with their place in the text."""

    def run(self) -> Reading:
        for read_some in (self._quotes, self._coordinates, self._layer, self._minus, self._times, self._place,
                          self._without, self._bare_place, self._words):  # fmt: skip
            read_some()
        self.out.chips.sort(key=lambda chip: chip.start)
        return self.out

    def _take(self, kind: str, start: int, end: int, label: str, **facts: object) -> None:
        """Make a chip of some characters and blank them."""
        end = start + len(self.text[start:end].rstrip())
        chip = {"kind": kind, "text": self.text[start:end], "label": label, "start": start, "end": end}
        self.out.chips.append(Chip.model_validate(chip | facts))
        self.free = self.free[:start] + _BLANK * (end - start) + self.free[end:]

    def _quotes(self) -> None:
        for match in _QUOTED.finditer(self.free):
            words = " ".join(match["words"].split())
            if match["minus"]:
                self._unwanted(match, [words])
                continue
            self.said.append((match.start(), words))
            self.out.relations = False
            self._take("words", match.start(), match.end(), words)

    def _minus(self) -> None:
        for match in _MINUS.finditer(self.free):
            self._unwanted(match, [match["words"]])

    def _without(self) -> None:
        for match in _WITHOUT.finditer(self.free):
            self._unwanted(match, [part.strip() for part in _NOR.split(match["words"])])

    def _unwanted(self, match: re.Match[str], texts: list[str]) -> None:
        self.out.unwanted += [text for text in texts if text]
        self._take("not", match.start(), match.end(), f"not {', '.join(texts)}")

    def _layer(self) -> None:
        match = _LAYER.search(self.free)
        if match:
            self.out.layer = layer = _LAYERS[(match["a"] or match["b"]).lower()]
            self._take("layer", match.start(), match.end(), f"layer {layer}", layer=layer)

    def _times(self) -> None:
        span = next(spans(self.free), None)
        if span is not None:
            self.out.since, self.out.until = span.since, span.until
            days = [f"{moment:%Y-%m-%d}" if moment else "…" for moment in (span.since, span.until)]
            self._take("time", span.start, span.end, " to ".join(days))

    def _coordinates(self) -> None:
        """The first coordinate: sought by itself where nothing else is, else where to look."""
        spot = next(coordinates(self.free), None)
        if spot is None:
            return
        before = _BEFORE_POINT.search(self.free[: spot.start])
        start = before.start() if before else spot.start
        radius_m = (metres_of(before) or (AT_M if before["at"] else NEAR_M)) if before else NEAR_M
        if before or _RUN.search(self.free[: spot.start] + self.free[spot.end :]):
            self.out.region = RadiusRegion(lng=spot.lng, lat=spot.lat, radius_m=radius_m)
        self.out.point = spot.lng, spot.lat
        label = f"{spot.lat:.5f}, {spot.lng:.5f}" + (f" within {_length(radius_m)}" if self.out.region else "")
        self._take(
            "coordinate", start, spot.end, label, lng=spot.lng, lat=spot.lat,
            radius_m=radius_m if self.out.region else None,
        )  # fmt: skip

    def _place(self) -> None:
        """The first known name after a word that says where: "near Krems", "in Kampala", "within 500 m of Krems"."""
        for match in _BEFORE_NAME.finditer(self.free):
            for place, end in self._names_at(match.end()):
                if self.out.region is None and self.out.point is None:
                    self._settle(place, match.start(), end, _region(place, match))
                    return

    def _bare_place(self) -> None:
        """A name by itself is sought; a town's name beside other words says where to look."""
        if self.out.region is not None or self.out.point is not None or self.said:
            return
        words = list(_WORD.finditer(self.free))
        if not words:
            return
        whole = self._known(words)
        if whole is not None:
            self._settle(whole, words[0].start(), words[-1].end(), None)
            return
        for count in range(min(_LONGEST, len(words) - 1), 0, -1):
            for some in (words[-count:], words[:count]):
                place = self._known(some)
                if place is not None and place.kind in SETTLEMENTS:
                    self._settle(place, some[0].start(), some[-1].end(), _inside(place))
                    return

    def _known(self, words: list[re.Match[str]]) -> Place | None:
        """The place that words in a row name, unless they are everyday words."""
        name = self.free[words[0].start() : words[-1].end()]
        return None if _BLANK in name or self.gazetteer.common(name) else self.gazetteer.find(name)

    def _names_at(self, start: int) -> Iterator[tuple[Place, int]]:
        """The longest name that begins here and where it ends; an everyday word must be written with a capital."""
        words = list(islice(_WORD.finditer(self.free, start), _LONGEST))
        for count in range(len(words), 0, -1):
            end = words[count - 1].end()
            name = self.free[start:end]
            if _BLANK in name or (self.gazetteer.common(name) and not name[0].isupper()):
                continue
            if place := self.gazetteer.find(name):
                after = _TOWNISH.match(self.free, end)
                yield place, after.end() if after else start + len(name.rstrip(".!?"))
                return

    def _settle(self, place: Place, start: int, end: int, region: Region | None) -> None:
        self.out.region, self.out.point = region, (place.lng, place.lat)
        radius_m = region.radius_m if isinstance(region, RadiusRegion) else None
        reach = f" within {_length(radius_m)}" if radius_m else ""
        self._take("place", start, end, f"{place.name} ({_plain(place.kind)}){reach}", place=place, radius_m=radius_m)

    def _words(self) -> None:
        """Whatever is left is sought; a place or coordinate is then only where to look."""
        runs = list(_RUN.finditer(self.free))
        self.said += [(run.start(), " ".join(run[0].split())) for run in runs]
        self.out.words = " ".join(words for _, words in sorted(self.said))
        relation = parse_relation(self.out.words) if self.out.relations else None
        for run in runs:
            label = f"{relation.subject} near {relation.object}" if relation else " ".join(run[0].split())
            self._take("relation" if relation else "words", run.start(), run.end(), label)
        if self.out.words:
            self.out.point = None


def _region(place: Place, said: re.Match[str]) -> Region:
    metres = metres_of(said)
    if metres is not None:
        return RadiusRegion(lng=place.lng, lat=place.lat, radius_m=round(metres + _half_m(place), 1))
    if said["near"]:
        return RadiusRegion(lng=place.lng, lat=place.lat, radius_m=round(place.radius_m, 1))
    return _inside(place)


def _inside(place: Place) -> Region:
    """The place itself: its box, or its surroundings where it is too small to hold tiles or known as a point only."""
    box = place.bounds
    wide_m, high_m = (distance_m(box.west, box.south, *to) for to in ((box.east, box.south), (box.west, box.north)))
    if min(wide_m, high_m) >= _SMALL_M:
        return BoundsRegion(bounds=box)
    radius_m = place.radius_m if place.kind in SETTLEMENTS else _half_m(place) + AT_M / 2
    return RadiusRegion(lng=place.lng, lat=place.lat, radius_m=round(radius_m, 1))


def _half_m(place: Place) -> float:
    box = place.bounds
    return distance_m(box.west, box.south, box.east, box.north) / 2


def _length(metres: float) -> str:
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def _plain(kind: str) -> str:
    return kind.replace("_", " ")


Reader = Callable[[str], Reading]
"""`read` over the names of one index."""
