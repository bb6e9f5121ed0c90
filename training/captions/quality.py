"""How good a caption is, by rules: does it name what the map knows, nothing that is not there, in a sound sentence?

In the style of UrbanCross's PerceptionScore, but deterministic and without a further language model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from indexer.concepts import CONCEPTS, Concept
from training.captions.prompts import concepts_of_tag, telling

_TRIVIAL = 2.0
"""Tags of concepts that weigh less need not be named: footpaths, service roads, garages, single trees."""
_CERTAIN = 6.0
"""Landmarks, waters, roads and rails that weigh as much are on any map: a caption that names one that is not there made
it up. Lesser things a map may lack."""
_KIN = (
    "lake pond reservoir sea", "river canal stream ditch", "stadium athletics",
    "athletics football pitch sports_centre",
    "airport runway terminal hangar helipad", "port pier marina container_yard", "railway station",
    "motorway link", "school university", "church temple castle", "storage_tank power_station wastewater silo",
    "zoo theme_park", "quarry construction",
)  # fmt: skip
"""Concepts that are easily taken for each other; a caption that says one of them for another made nothing up."""
_SHORT, _ENOUGH, _LONG, _ENDLESS = 4, 15, 90, 160
_WORD = re.compile(r"[a-z][a-z'-]*")


@dataclass(frozen=True, slots=True)
class Quality:
    """What is good and bad about one caption; each 0..1.

    Attributes:
        coverage: share of the tags that it names, by weight; None without tags.
        support: share of the things it names for certain that the tags bear out; None without tags.
        variety: 1 less the share of three-word sequences that repeat an earlier one.
        length: 1 from 15 to 90 words, less outside.
        likeness: how well it suits its picture compared with other pairs of the run; None without an encoder.
        invented: concepts named that are not there.
    """

    coverage: float | None
    support: float | None
    variety: float
    length: float
    likeness: float | None = None
    invented: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """All in one: the mean of what is known, times variety."""
        parts = [part for part in (self.coverage, self.support, self.length, self.likeness) if part is not None]
        return self.variety * sum(parts) / len(parts)


def judge(caption: str, tags: Sequence[str], likeness: float | None = None) -> Quality:
    """The quality of a caption for a place with these "key=value" tags."""
    words = _WORD.findall(caption.lower())
    told = {concept.name: concept for tag in telling(tags) for concept in concepts_of_tag(tag)}
    named = _mentions(words)
    invented = _invented(named, told) if tags else ()
    checked = sum(any(_certain(CONCEPTS[name]) for name in names) for names in named)
    return Quality(
        coverage=_coverage(named, told) if tags else None,
        support=(1.0 - len(invented) / checked if checked else 1.0) if tags else None,
        variety=_variety(words),
        length=_length(len(words)),
        likeness=likeness,
        invented=invented,
    )


def concepts_named(text: str) -> tuple[str, ...]:
    """Plain nouns of what a text names, each once, sorted: "city park" is a park."""
    names = [min(found, key=lambda name: CONCEPTS[name].rank) for found in _mentions(_WORD.findall(text.lower()))]
    return tuple(sorted({CONCEPTS[name].nouns[0].singular for name in names}))


def is_sentence(text: str) -> bool:
    """Whether a text is words at all: a failing model gives fragments or the same word for ever."""
    tokens = text.lower().split()
    words = [token for token in tokens if re.fullmatch(r"[\w'-]*[aeiouy][\w'-]*[.,;:!?]*", token, re.ASCII)]
    known = [word for word in words if not re.search(r"[^aeiouy\W\d_]{6}|\d[a-z]", word)]
    return len(tokens) >= 3 and len(known) >= 0.7 * len(tokens) and _variety(_WORD.findall(text.lower())) >= 0.5


def _coverage(named: Sequence[frozenset[str]], told: dict[str, Concept]) -> float:
    said = set().union(*named)
    if any(CONCEPTS[name].kind == "group" and name != "tree" for name in said):
        # Who names houses has named what the map calls a building.
        said |= {"building", "small_building"}
    weights = {name: concept.weight for name, concept in told.items() if concept.weight >= _TRIVIAL}
    if not weights:
        return 1.0
    return sum(weight for name, weight in weights.items() if name in said) / sum(weights.values())


def _invented(named: Sequence[frozenset[str]], told: dict[str, Concept]) -> tuple[str, ...]:
    """The first concept of each mention that is certain to be on a map and is not."""
    there = set(told) | {other for kin in _KIN for other in kin.split() if set(kin.split()) & set(told)}
    made_up = [names for names in named if not names & there and all(_certain(CONCEPTS[name]) for name in names)]
    return tuple(dict.fromkeys(min(names, key=lambda name: CONCEPTS[name].rank) for names in made_up))


def _certain(concept: Concept) -> bool:
    return concept.kind in ("landmark", "water", "line") and concept.weight >= _CERTAIN


@cache
def _nouns() -> dict[tuple[str, ...], frozenset[str]]:
    """Words of a noun, singular or plural -> names of the concepts that are called so."""
    found: dict[tuple[str, ...], set[str]] = {}
    for concept in CONCEPTS.values():
        for noun in concept.nouns:
            for text in (noun.singular, noun.plural):
                found.setdefault(tuple(_WORD.findall(text)), set()).add(concept.name)
    return {words: frozenset(names) for words, names in found.items()}


def _mentions(words: Sequence[str]) -> list[frozenset[str]]:
    """Things named in a text, each once, the longest noun first where several fit; as the concepts it may be."""
    nouns, longest = _nouns(), max(map(len, _nouns()))
    found: dict[frozenset[str], None] = {}
    at = 0
    while at < len(words):
        length = next((n for n in range(longest, 0, -1) if tuple(words[at : at + n]) in nouns), 0)
        if length:
            found[nouns[tuple(words[at : at + length])]] = None
        at += length or 1
    return list(found)


def _variety(words: Sequence[str]) -> float:
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    total = sum(triples.values())
    return len(triples) / total if total else float(bool(words))


def _length(count: int) -> float:
    if count <= _SHORT or count >= _ENDLESS:
        return 0.0
    return min(1.0, (count - _SHORT) / (_ENOUGH - _SHORT), (_ENDLESS - count) / (_ENDLESS - _LONG))
