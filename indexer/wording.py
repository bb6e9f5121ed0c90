"""Words for what lies in a tile: its number, its place, what it is next to; in one of many ways, never at random."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from indexer.concepts import Noun
from indexer.scene import Footprint, Scene, Thing

_NUMBERS = ("no", "a", "two", "three", "four", "five")
_MANY = 12
_DENSE, _SPARSE = 0.32, 0.06
_DIRECTIONS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
_BESIDE = {
    "water": ("by", "next to", "beside", "on", "along"),
    "line": ("by", "next to", "beside", "along", "close to"),
}
_NEXT_TO = ("next to", "beside", "by", "adjacent to", "right by")
_NEAR = ("near", "close to", "not far from", "in the vicinity of")
_INSIDE = ("in", "inside", "within")
_THROUGH = ("through", "across", "passing through")
TOUCH_M = 40.0
"""Things no further apart are next to each other."""


class Choice:
    """Picks among synonyms, always the same for one footprint and round."""

    def __init__(self, footprint: Footprint, round: int = 0) -> None:
        self._footprint, self._round, self._asked = footprint, round, 0

    def again(self, round: int) -> Choice:
        """Other choices for the same footprint; round 0 takes the plainest of everything."""
        return Choice(self._footprint, round)

    def of(self, options: Sequence[str]) -> str:
        """One of the options."""
        return options[self.number(len(options))]

    def number(self, count: int) -> int:
        """0..count-1."""
        if self._round == 0:
            return 0
        self._asked += 1
        seed = f"{self._footprint}:{self._round}:{self._asked}".encode()
        return int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest()) % count

    def noun(self, thing: Thing) -> Noun:
        """One of the thing's names."""
        return thing.concept.nouns[self.number(len(thing.concept.nouns))]


def phrase(scene: Scene, thing: Thing, choice: Choice) -> str:
    """A thing with its number: "a park", "two schools", "many houses", "woodland"."""
    noun = choice.noun(thing)
    if noun.mass:
        return noun.singular
    if thing.concept.kind == "group":
        return _group(scene, thing, noun, choice)
    if thing.count == 1 or (thing.concept.kind == "cover" and thing.share > 0.5):
        return f"{article(noun.singular)} {noun.singular}"
    return f"{number(thing.count, choice)} {noun.plural}"


def _group(scene: Scene, thing: Thing, noun: Noun, choice: Choice) -> str:
    if thing.count == 1:
        return f"{article(noun.singular)} {noun.singular}"
    built_up = thing.count > 4
    if built_up and scene.built >= _DENSE:
        return f"{choice.of(('dense', 'densely built', 'closely packed', 'tightly packed'))} {noun.plural}"
    if thing.concept.name == "terrace" and built_up:
        return f"{choice.of(('rows of ', 'lines of ', '', 'streets of '))}{noun.plural}"
    if scene.built < _SPARSE and thing.count > 2 and thing.concept.name != "tree":
        return f"{choice.of(('a few scattered', 'scattered', 'sparse', 'widely spaced'))} {noun.plural}"
    return f"{number(thing.count, choice)} {noun.plural}"


def number(count: int, choice: Choice) -> str:
    """How many, in a word: "two", "several", "many"."""
    if count < len(_NUMBERS):
        return _NUMBERS[count]
    return choice.of(("many", "numerous", "lots of")) if count >= _MANY else choice.of(("several", "a number of"))


def bare(thing: Thing, choice: Choice, the: bool = False) -> str:
    """A thing as one types it into a search box: "school", "houses"; with `the`, "the river"."""
    noun = choice.noun(thing)
    name = noun.plural if thing.count > 1 and thing.concept.kind in ("group", "landmark") else noun.singular
    return f"the {name}" if the and not noun.mass else name


def definite(thing: Thing, choice: Choice) -> str:
    """ "the river", "a park", "woodland": what one can be next to."""
    noun = choice.noun(thing)
    if noun.mass:
        return f"the {noun.singular}" if thing.concept.kind == "water" else noun.singular
    if thing.concept.kind == "group":
        return noun.plural if thing.count > 1 else f"{article(noun.singular)} {noun.singular}"
    if thing.concept.kind in ("water", "line") and thing.count <= 2:
        return f"{choice.of(('the', 'a', 'the'))} {noun.singular}".replace("a a", "an a")
    if thing.count > 1:
        return f"{number(thing.count, choice)} {noun.plural}"
    return f"{article(noun.singular)} {noun.singular}"


def article(noun: str) -> str:
    """ "a" or "an"."""
    if noun.startswith(("uni", "eu", "one")):
        return "a"
    return "an" if noun[0] in "aeiou" else "a"


def relation(subject: Thing, mate: Thing, choice: Choice) -> str:
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
    if gap <= TOUCH_M:
        return choice.of(_BESIDE.get(mate.concept.kind, _NEXT_TO))
    east, north = subject.bearing_from(mate)
    return choice.of((*_NEAR, f"{direction(east, north)} of", "near"))


def direction(east: float, north: float) -> str:
    """The side that a step leads to, one of eight."""
    return _DIRECTIONS[round(math.atan2(north, east) / (math.pi / 4)) % 8]


def place(thing: Thing, choice: Choice) -> str:
    """Where in the tile, "" where it is all over."""
    x, y = thing.center
    if thing.spread > 0.72 and math.hypot(x, y) < 0.25:
        return ""
    if math.hypot(x, y) < 0.13:
        return choice.of(("in the middle", "in the centre", "at the centre"))
    side = direction(x, y)
    return choice.of((f"to the {side}", f"in the {side}", f"on the {side} side", f"in the {side}ern part"))
