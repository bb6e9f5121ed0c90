"""What a tile shows, in tags and in words."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

from geoanchor.feature import Feature
from geoanchor.tiling import Tile
from indexer.concepts import Noun
from indexer.scene import Scene, Thing, presence, scene_of

TAG_KEYS = frozenset({
    "aerialway", "aeroway", "amenity", "barrier", "bridge", "building", "craft", "generator:source", "golf", "harbour",
    "highway", "historic", "junction", "landuse", "leisure", "man_made", "military", "natural", "office", "place",
    "plant:source", "power", "railway", "shop", "sport", "tourism", "water", "waterway",
})  # fmt: skip
"""Keys whose values say what a thing is; names, addresses, sources and the like are left out."""

_FURNITURE = frozenset({
    "bench", "waste_basket", "waste_disposal", "toilets", "vending_machine", "drinking_water", "telephone", "recycling",
    "post_box", "atm", "bicycle_rental", "parking_entrance", "parking_space", "crossing", "give_way", "stop",
    "bus_stop", "traffic_signals", "street_lamp", "turning_circle", "elevator", "motorway_junction", "milestone",
    "gate", "bollard", "kerb", "lift_gate", "entrance", "block", "cycle_barrier", "stop_position", "platform", "switch",
    "level_crossing", "signal", "train_station_entrance", "subway_entrance", "buffer_stop", "information", "artwork",
    "manhole", "surveillance", "flagpole", "fire_hydrant", "boundary_stone",
})  # fmt: skip
"""Values too small to be seen from above."""
_SLUG = re.compile(r"[a-z0-9_:]+")
_NUMBERS = ("no", "a", "two", "three", "four", "five")
_MANY = 12
_DENSE, _SPARSE = 0.32, 0.06
_NAMED = 4
"""How many things the fullest sentence names."""

_DIRECTIONS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
_BESIDE = {
    "water": ("by", "next to", "beside", "on", "along"),
    "line": ("by", "next to", "beside", "along", "close to"),
}
_NEXT_TO = ("next to", "beside", "by", "adjacent to", "right by")
_NEAR = ("near", "close to", "not far from", "in the vicinity of")
_INSIDE = ("in", "inside", "within")
_THROUGH = ("through", "across", "passing through")
_TOUCH_M, _NEAR_M = 40.0, 300.0
_EMPTY = ("open land", "empty land", "open ground without buildings", "undeveloped land")


def tile_tags(features: Sequence[Feature], tile: Tile) -> tuple[str, ...]:
    """What has a meaningful presence in the tile, as "key=value", sorted, each once.

    Args:
        features: those that meet the tile, unclipped, degrees.
    """
    return _tags(presence(features, tile).features)


def tile_captions(features: Sequence[Feature], tile: Tile) -> tuple[str, ...]:
    """English sentences that say what the tile shows, the plainest first; the same for the same features and tile.

    The words after the first sentence vary with the tile's address, so that a training set hears many synonyms.

    Args:
        features: those that meet the tile, unclipped, degrees.
    """
    return _sentences(scene_of(presence(features, tile)), _Choice(tile))


def describe_tile(features: Sequence[Feature], tile: Tile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`tile_tags` and `tile_captions` for the price of one."""
    found = presence(features, tile)
    return _tags(found.features), _sentences(scene_of(found), _Choice(tile))


def _tags(features: Sequence[Feature]) -> tuple[str, ...]:
    tags = set()
    for feature in features:
        for key in TAG_KEYS & feature.tags.keys():
            tags |= {f"{key}={value}" for value in feature.tags[key].split(";") if _tells(key, value)}
    return tuple(sorted(tags))


def _tells(key: str, value: str) -> bool:
    if value == "yes":
        return key in ("building", "bridge", "harbour")
    return value != "no" and value not in _FURNITURE and _SLUG.fullmatch(value) is not None


class _Choice:
    """Picks among synonyms, always the same for one tile; `plain` picks the first."""

    def __init__(self, tile: Tile, round: int = 0) -> None:
        self._tile, self._round, self._asked = tile, round, 0

    def again(self, round: int) -> _Choice:
        """Other choices for the same tile; round 0 takes the plainest of everything."""
        return _Choice(self._tile, round)

    def of(self, options: Sequence[str]) -> str:
        """One of the options."""
        return options[self.number(len(options))]

    def number(self, count: int) -> int:
        """0..count-1."""
        if self._round == 0:
            return 0
        self._asked += 1
        seed = f"{self._tile}:{self._round}:{self._asked}".encode()
        return int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest()) % count

    def noun(self, thing: Thing) -> Noun:
        """One of the thing's names."""
        return thing.concept.nouns[self.number(len(thing.concept.nouns))]


# -- sentences --------------------------------------------------------------------------------------------------------


def _sentences(scene: Scene, choice: _Choice) -> tuple[str, ...]:
    if not scene.things:
        first = choice.again(1).number(len(_EMPTY))
        return tuple(_EMPTY[(first * (i > 0) + i) % len(_EMPTY)] for i in range(2))
    subject, mate = _pair(scene)
    rest = [thing for thing in scene.things if thing not in (subject, mate)][: _NAMED - 2]
    rest = [thing for thing in rest if thing.salience >= 0.25 * subject.salience]
    sentences = [
        _full(scene, subject, mate, rest, choice),
        _full(scene, subject, mate, rest, choice.again(1)),
        _short(subject, mate, choice.again(2)),
        _listing(scene, choice.again(3)),
        _there_is(scene, subject, mate, rest, choice.again(4)),
        _words(scene, choice.again(5)),
        _full(scene, subject, mate, rest[:1], choice.again(6)),
    ]
    return tuple(dict.fromkeys(sentences))


def _pair(scene: Scene) -> tuple[Thing, Thing | None]:
    """The subject of the sentence and what it is told in relation to."""
    subject = scene.things[0]
    for mate in scene.things[1:]:
        if mate.salience >= 0.3 * subject.salience and _related(subject, mate):
            # A building is by the river; the river is not "by a building".
            if subject.concept.kind in ("water", "line", "cover") and mate.concept.kind in (
                "landmark",
                "group",
                "extra",
            ):
                return mate, subject
            return subject, mate
    return subject, None


def _related(subject: Thing, mate: Thing) -> bool:
    if "extra" in (subject.concept.kind, mate.concept.kind):
        return subject.distance_m(mate) == 0.0
    return subject.distance_m(mate) <= _NEAR_M


def _full(scene: Scene, subject: Thing, mate: Thing | None, rest: Sequence[Thing], choice: _Choice) -> str:
    text = _phrase(scene, subject, choice)
    if mate is not None:
        text += f" {_relation(subject, mate, choice)} {_definite(mate, choice)}"
    for i, thing in enumerate(rest):
        joint = ", " if i or choice.number(2) == 0 else " with "
        text += joint + _phrase(scene, thing, choice)
        place = _place(thing, choice)
        text += f" {place}" if place else ""
    return text


def _short(subject: Thing, mate: Thing | None, choice: _Choice) -> str:
    """As one types into a search box: no articles."""
    text = _bare(subject, choice)
    if mate is not None:
        return f"{text} {_relation(subject, mate, choice)} {_bare(mate, choice, definite=mate.concept.kind == 'water')}"
    return text


def _listing(scene: Scene, choice: _Choice) -> str:
    names = [_phrase(scene, thing, choice) for thing in scene.things[:3]]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _there_is(scene: Scene, subject: Thing, mate: Thing | None, rest: Sequence[Thing], choice: _Choice) -> str:
    told = [subject, *([mate] if mate else []), *rest][:3]
    parts = []
    for thing in told:
        place = _place(thing, choice)
        parts.append(_phrase(scene, thing, choice) + (f" {place}" if place else ""))
    opening = "there are" if told[0].count > 1 and not choice.noun(told[0]).mass else "there is"
    opening = choice.of((opening, "a place with", "an area with", "a view of"))
    return f"{opening} {parts[0]}" + "".join(f" and {part}" for part in parts[1:])


def _words(scene: Scene, choice: _Choice) -> str:
    return ", ".join(_bare(thing, choice) for thing in scene.things[:3])


# -- phrases ----------------------------------------------------------------------------------------------------------


def _phrase(scene: Scene, thing: Thing, choice: _Choice) -> str:
    """A thing with its number: "a park", "two schools", "many houses", "woodland"."""
    noun = choice.noun(thing)
    if noun.mass:
        return noun.singular
    if thing.concept.kind == "group":
        return _group(scene, thing, noun, choice)
    if thing.count == 1 or (thing.concept.kind == "cover" and thing.share > 0.5):
        return f"{_article(noun.singular)} {noun.singular}"
    return f"{_number(thing.count, choice)} {noun.plural}"


def _group(scene: Scene, thing: Thing, noun: Noun, choice: _Choice) -> str:
    if thing.count == 1:
        return f"{_article(noun.singular)} {noun.singular}"
    built_up = thing.count > 4
    if built_up and scene.built >= _DENSE:
        return f"{choice.of(('dense', 'densely built', 'closely packed', 'tightly packed'))} {noun.plural}"
    if thing.concept.name == "terrace" and built_up:
        return f"{choice.of(('rows of ', 'lines of ', '', 'streets of '))}{noun.plural}"
    if scene.built < _SPARSE and thing.count > 2 and thing.concept.name != "tree":
        return f"{choice.of(('a few scattered', 'scattered', 'sparse', 'widely spaced'))} {noun.plural}"
    return f"{_number(thing.count, choice)} {noun.plural}"


def _number(count: int, choice: _Choice) -> str:
    if count < len(_NUMBERS):
        return _NUMBERS[count]
    return choice.of(("many", "numerous", "lots of")) if count >= _MANY else choice.of(("several", "a number of"))


def _bare(thing: Thing, choice: _Choice, definite: bool = False) -> str:
    noun = choice.noun(thing)
    name = noun.plural if thing.count > 1 and thing.concept.kind in ("group", "landmark") else noun.singular
    return f"the {name}" if definite and not noun.mass else name


def _definite(thing: Thing, choice: _Choice) -> str:
    """ "the river", "a park", "woodland": what one can be next to."""
    noun = choice.noun(thing)
    if noun.mass:
        return f"the {noun.singular}" if thing.concept.kind == "water" else noun.singular
    if thing.concept.kind == "group":
        return noun.plural if thing.count > 1 else f"{_article(noun.singular)} {noun.singular}"
    if thing.concept.kind in ("water", "line") and thing.count <= 2:
        return f"{choice.of(('the', 'a', 'the'))} {noun.singular}".replace("a a", "an a")
    if thing.count > 1:
        return f"{_number(thing.count, choice)} {noun.plural}"
    return f"{_article(noun.singular)} {noun.singular}"


def _article(noun: str) -> str:
    if noun.startswith(("uni", "eu", "one")):
        return "a"
    return "an" if noun[0] in "aeiou" else "a"


def _relation(subject: Thing, mate: Thing, choice: _Choice) -> str:
    """The preposition that holds between two things."""
    if subject.concept.name == "bridge":
        return choice.of(("over", "across", "crossing"))
    if subject.concept.kind == "extra":
        return choice.of(("on", "with"))
    gap = subject.distance_m(mate)
    if gap == 0.0 and mate.concept.kind in ("cover", "landmark", "group") and subject.within(mate):
        return choice.of(_THROUGH if subject.concept.kind == "line" else _INSIDE)
    if gap == 0.0 and mate.concept.kind not in ("water", "line") and mate.within(subject):
        return "with"
    if gap <= _TOUCH_M:
        return choice.of(_BESIDE.get(mate.concept.kind, _NEXT_TO))
    east, north = subject.bearing_from(mate)
    return choice.of((*_NEAR, f"{_direction(east, north)} of", "near"))


def _direction(east: float, north: float) -> str:
    return _DIRECTIONS[round(math.atan2(north, east) / (math.pi / 4)) % 8]


def _place(thing: Thing, choice: _Choice) -> str:
    """Where in the tile, "" where it is all over."""
    x, y = thing.center
    if thing.spread > 0.72 and math.hypot(x, y) < 0.25:
        return ""
    if math.hypot(x, y) < 0.13:
        return choice.of(("in the middle", "in the centre", "at the centre"))
    side = _direction(x, y)
    return choice.of((f"to the {side}", f"in the {side}", f"on the {side} side", f"in the {side}ern part"))
