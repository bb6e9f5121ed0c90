"""What a tile shows, told at length: several sentences that name its tags, where they lie and how much is built.

Models of UrbanCross's kind learn from captions of some fifty words; `indexer.captions` has the short ones.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from geoanchor.feature import Feature
from indexer.captions import main_pair
from indexer.scene import Footprint, Scene, Thing, presence, scene_of
from indexer.wording import TOUCH_M, Choice, definite, direction, phrase, place, relation

_NAMED = 7
"""Things that get a clause of their own, subject and mate among them."""
_WIDE = 0.08
"""What covers a larger share of the ground is told by that share where it is on no one side."""
_TRIVIAL = 2.5
"""Concepts of less weight are told together, in the last sentence."""

_OPENINGS = (
    "The picture shows", "This aerial view shows", "Seen from above, this place has", "An overhead view of",
    "The image captures", "In this view from above there can be seen",
)  # fmt: skip
_STREAMS = ("river", "canal", "stream", "ditch")
_COUNTS = ((6, "several"), (13, "about twenty"), (30, "about fifty"), (70, "about a hundred"), (150, "hundreds of"))
_SHARES = (
    (0.0, "a small part"), (0.08, "about a tenth"), (0.15, "about a fifth"), (0.22, "about a quarter"),
    (0.29, "about a third"), (0.4, "about half"), (0.6, "most"),
)  # fmt: skip
_FEW = ("no", "a single", "two", "three", "four", "five")


def rich_captions(features: Sequence[Feature], ground: Footprint, count: int = 5, seed: int = 0) -> tuple[str, ...]:
    """Up to `count` paraphrases of several sentences each, the plainest first; the same for the same arguments.

    They differ in words and in the order of what is told, never in what is true.

    Args:
        features: those that meet the ground, unclipped, degrees.
        seed: of the choice of words, from the second paraphrase on.
    """
    scene = _distinct(scene_of(presence(features, ground)))
    plain = Choice(ground)
    rounds = (1 + seed * 1000 + n for n in range(3 * count))
    told = dict.fromkeys([_told(scene, plain)])
    for number in rounds:
        if len(told) >= count:
            break
        told[_told(scene, plain.again(number))] = None
    return tuple(told)


def _distinct(scene: Scene) -> Scene:
    """A scene with one thing of each plain name: small buildings are buildings, too."""
    first: dict[str, Thing] = {}
    for thing in scene.things:
        first.setdefault(thing.concept.nouns[0].singular, thing)
    return replace(scene, things=tuple(first.values()))


def _told(scene: Scene, choice: Choice) -> str:
    sentences = [f"{choice.of(_OPENINGS)} open land" if not scene.things else _opening(scene, choice)]
    sentences += _rotated(_clauses(scene, choice), choice)
    sentences += [sentence for sentence in (_built(scene, choice), _trifles(scene, choice)) if sentence]
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def _opening(scene: Scene, choice: Choice) -> str:
    subject, mate = main_pair(scene)
    text = phrase(scene, subject, choice)
    if mate is not None:
        text += f" {relation(subject, mate, choice)} {definite(mate, choice)}"
    elif subject.concept.kind == "water" and choice.noun(subject).mass:
        text = f"the {text}"
    where = place(subject, choice)
    joint = ", " if mate is not None else " "
    return f"{choice.of(_OPENINGS)} {text}{joint}{where}" if where else f"{choice.of(_OPENINGS)} {text}"


def _clauses(scene: Scene, choice: Choice) -> list[str]:
    """A clause for each further thing worth one, two to a sentence."""
    if not scene.things:
        return []
    subject, mate = main_pair(scene)
    rest = [thing for thing in scene.things if thing not in (subject, mate) and thing.concept.weight >= _TRIVIAL]
    clauses = [_clause(scene, thing, subject, choice) for thing in rest[: _NAMED - 2]]
    joint = choice.of((", and ", ", while ", "; ", ", and "))
    return [joint.join(clauses[at : at + 2]) for at in range(0, len(clauses), 2)]


def _rotated(sentences: list[str], choice: Choice) -> list[str]:
    first = choice.number(len(sentences)) if sentences else 0
    return sentences[first:] + sentences[:first]


def _clause(scene: Scene, thing: Thing, subject: Thing, choice: Choice) -> str:
    noun = phrase(scene, thing, choice)
    mass = any(known.mass and known.singular == noun for known in thing.concept.nouns)
    many = thing.count > 1 and not mass and noun.split()[-1].endswith("s")
    where = place(thing, choice)
    if thing.concept.kind == "extra":
        return f"there {'are' if many else 'is'} {noun} {where}".rstrip()
    if not where and thing.concept.kind in ("cover", "water") and thing.share >= _WIDE:
        verb = choice.of(("cover", "take up")) if many else choice.of(("covers", "takes up"))
        return f"{noun} {verb} {_share(thing.share)} of the ground"
    if not where and thing.concept.kind in ("landmark", "group") and thing.distance_m(subject) <= TOUCH_M:
        how = relation(thing, subject, choice)
        where = "" if how == "with" else f"{how} {_the(subject, choice)}"
    return f"{noun} {_verb(thing, many, choice)} {where or _everywhere(thing, choice)}"


def _the(thing: Thing, choice: Choice) -> str:
    """A thing that was named before."""
    noun = choice.noun(thing)
    return f"the {noun.plural if thing.count > 1 and not noun.mass else noun.singular}"


def _verb(thing: Thing, many: bool, choice: Choice) -> str:
    s, found = ("", "are found") if many else ("s", "is found")
    if thing.concept.name in _STREAMS:
        return choice.of((f"flow{s}", f"run{s}"))
    if thing.concept.kind == "line":
        return choice.of((f"run{s}", "pass" if many else "passes"))
    if thing.concept.kind == "group":
        return choice.of((f"stand{s}", found, "can be seen"))
    return choice.of((f"lie{s}", found, "can be seen"))


def _everywhere(thing: Thing, choice: Choice) -> str:
    """Of what is on no one side: which way it runs, or that it is in many places."""
    if thing.concept.kind == "line" or thing.concept.name in _STREAMS:
        if thing.count <= 2:
            return f"from {_far_end(thing, -1)} to {_far_end(thing, 1)}"
        return choice.of(("through the place", "across the area", "through it"))
    return choice.of(("in several places", "here and there", "across the area", "all around"))


def _far_end(thing: Thing, sign: int) -> str:
    """The side at which the long axis of its largest piece ends; the western or southern one for -1."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(thing.largest))
    edges = np.diff(corners[:3], axis=0) if len(corners) > 2 else np.diff(corners, axis=0)
    east, north = edges[int(np.argmax(np.hypot(*edges.T)))]
    if (round(east), round(north)) < (0, 0):
        east, north = -east, -north
    return direction(sign * float(east), sign * float(north))


def _built(scene: Scene, choice: Choice) -> str:
    if not scene.buildings:
        return choice.of(("there are no buildings", "nothing is built here", "no building stands here"))
    number = scene.buildings
    words = _FEW[number] if number < len(_FEW) else _COUNTS[bisect(_COUNTS, (number, "~")) - 1][1]
    cover = "covers" if number == 1 else choice.of(("cover", "take up", "stand on"))
    return f"{words} building{'s' * (number > 1)} {cover} {_share(scene.built)} of the ground"


def _share(share: float) -> str:
    return _SHARES[bisect(_SHARES, (share, "~")) - 1][1]


def _trifles(scene: Scene, choice: Choice) -> str:
    subject = main_pair(scene) if scene.things else ()
    small = [thing for thing in scene.things if thing.concept.weight < _TRIVIAL and thing not in subject][:4]
    names = [phrase(scene, thing, choice) for thing in small]
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return choice.of((f"there can also be seen {listed}", f"besides, the place has {listed}", f"around it: {listed}"))
