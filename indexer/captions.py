"""What a tile shows, in tags and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from geoanchor.feature import Feature
from indexer.scene import Footprint, Scene, Thing, presence, scene_of
from indexer.wording import Choice, bare, definite, phrase, place, relation

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
_NAMED = 4
"""How many things the fullest sentence names."""

_NEAR_M = 300.0
_EMPTY = ("open land", "empty land", "open ground without buildings", "undeveloped land")


def tile_tags(features: Sequence[Feature], tile: Footprint) -> tuple[str, ...]:
    """What has a meaningful presence in the tile, as "key=value", sorted, each once.

    Args:
        features: those that meet the tile, unclipped, degrees.
    """
    return _tags(presence(features, tile).features)


def tile_captions(features: Sequence[Feature], tile: Footprint) -> tuple[str, ...]:
    """English sentences that say what the tile shows, the plainest first; the same for the same features and tile.

    The words after the first sentence vary with the tile's address, so that a training set hears many synonyms.

    Args:
        features: those that meet the tile, unclipped, degrees.
    """
    return _sentences(scene_of(presence(features, tile)), Choice(tile))


def describe_tile(features: Sequence[Feature], tile: Footprint) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`tile_tags` and `tile_captions` for the price of one."""
    found = presence(features, tile)
    return _tags(found.features), _sentences(scene_of(found), Choice(tile))


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


def _sentences(scene: Scene, choice: Choice) -> tuple[str, ...]:
    if not scene.things:
        first = choice.again(1).number(len(_EMPTY))
        return tuple(_EMPTY[(first * (i > 0) + i) % len(_EMPTY)] for i in range(2))
    subject, mate = main_pair(scene)
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


def main_pair(scene: Scene) -> tuple[Thing, Thing | None]:
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


def _full(scene: Scene, subject: Thing, mate: Thing | None, rest: Sequence[Thing], choice: Choice) -> str:
    text = phrase(scene, subject, choice)
    if mate is not None:
        text += f" {relation(subject, mate, choice)} {definite(mate, choice)}"
    for i, thing in enumerate(rest):
        joint = ", " if i or choice.number(2) == 0 else " with "
        text += joint + phrase(scene, thing, choice)
        where = place(thing, choice)
        text += f" {where}" if where else ""
    return text


def _short(subject: Thing, mate: Thing | None, choice: Choice) -> str:
    """As one types into a search box: no articles."""
    text = bare(subject, choice)
    if mate is not None:
        return f"{text} {relation(subject, mate, choice)} {bare(mate, choice, the=mate.concept.kind == 'water')}"
    return text


def _listing(scene: Scene, choice: Choice) -> str:
    names = [phrase(scene, thing, choice) for thing in scene.things[:3]]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _there_is(scene: Scene, subject: Thing, mate: Thing | None, rest: Sequence[Thing], choice: Choice) -> str:
    told = [subject, *([mate] if mate else []), *rest][:3]
    parts = []
    for thing in told:
        where = place(thing, choice)
        parts.append(phrase(scene, thing, choice) + (f" {where}" if where else ""))
    opening = "there are" if told[0].count > 1 and not choice.noun(told[0]).mass else "there is"
    opening = choice.of((opening, "a place with", "an area with", "a view of"))
    return f"{opening} {parts[0]}" + "".join(f" and {part}" for part in parts[1:])


def _words(scene: Scene, choice: Choice) -> str:
    return ", ".join(bare(thing, choice) for thing in scene.things[:3])
