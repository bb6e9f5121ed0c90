"""Questions to a gallery, each once with its right answers in the index and once with all of them taken out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.words import stems
from indexer.concepts import CONCEPTS, Concept, Noun
from training.relevance.galleries import Gallery
from training.relevance.truth import THINGS, Thing, caption_shows, concept_shows, tells

Mask = NDArray[np.bool_]

_LEAST_WEIGHT = 3.0
"""Concepts that people care less for are not asked for."""
_COMMONEST = 0.35
"""What more of the pictures show is no question."""
_NOUNS = 2
"""Of each concept so many of its names are asked for."""
_ASKED = 100
"""Questions to pictures that people have captioned: every thing, then sentences."""
_BY_NAME_ONLY = {
    "park": frozenset({
        "baseball", "car_park", "commercial", "container_yard", "parking_garage", "retail", "theme_park", "zoo",
    }),
    "station": frozenset({"fuel", "power_station", "substation"}),
}  # fmt: skip
"""Noun -> concepts that are called so with a word before it, and are nothing of the kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One question.

    Attributes:
        text: what is asked. right: (n,) the gallery's pictures that are right. keep: (n,) those that the index has;
            pictures of which nobody can tell are never among them.
    """

    text: str
    right: Mask
    keep: Mask

    @property
    def answerable(self) -> bool:
        """Whether the index has a right answer."""
        return bool((self.right & self.keep).any())


def cases_of(gallery: Gallery) -> list[Case]:
    """All questions to a gallery, with and without right answers in equal number; the same each time."""
    asked = _of_city(gallery) if gallery.name == "city" else _of_captions(gallery)
    return [Case(text, right, keep) for text, right, certain in asked for keep in (certain, certain & ~right)]


def _of_city(gallery: Gallery) -> Iterator[tuple[str, Mask, Mask]]:
    for concept in CONCEPTS.values():
        if concept.weight < _LEAST_WEIGHT:
            continue
        for number, noun in enumerate(concept.nouns[:_NOUNS]):
            names = called(noun)
            right, certain = _masks([concept_shows(names, shown) for shown in gallery.shows])
            if right.any() and right.mean() <= _COMMONEST:
                yield _said(concept, noun, number), right, certain


def called(noun: Noun) -> frozenset[str]:
    """Concepts that a noun fits: a football pitch is a pitch too, though a car park is no park."""
    ending = f" {noun.singular}"
    fitting = frozenset(
        concept.name
        for concept in CONCEPTS.values()
        if any(f" {other.singular}".endswith(ending) for other in concept.nouns)
    )
    return fitting - _BY_NAME_ONLY.get(noun.singular, frozenset())


def _masks(told: Sequence[bool | None]) -> tuple[Mask, Mask]:
    """Which are right, and of which it can be told."""
    return np.array([shown is True for shown in told]), np.array([shown is not None for shown in told])


def _said(concept: Concept, noun: Noun, number: int) -> str:
    """The plain noun, or how one would say it in a sentence."""
    if number == 0:
        return noun.singular
    if noun.mass or concept.kind == "group":
        return noun.singular if noun.mass else noun.plural
    return f"{'an' if noun.singular[0] in 'aeiou' else 'a'} {noun.singular}"


def _of_captions(gallery: Gallery) -> Iterator[tuple[str, Mask, Mask]]:
    told = [frozenset().union(*map(stems, sentences)) for sentences in gallery.sentences]
    scenes = [next(iter(shown)) for shown in gallery.shows]
    truth = {
        thing.text: _masks([caption_shows(thing, words, scene) for words, scene in zip(told, scenes, strict=True)])
        for thing in THINGS.values()
    }
    asked = {text: masks for text, masks in truth.items() if masks[0].any() and masks[0].mean() <= _COMMONEST}
    for text, (right, certain) in asked.items():
        yield text, right, certain
    of_scene = {thing.scene: thing for thing in THINGS.values() if thing.scene and thing.text in asked}
    wanted = _ASKED - len(asked)
    for sentence, thing in _sentences(gallery, scenes, of_scene, wanted):
        yield sentence, *asked[thing.text]


def _sentences(
    gallery: Gallery, scenes: Sequence[str], things: dict[str, Thing], count: int
) -> Iterator[tuple[str, Thing]]:
    """Sentences of people, each another, that name what their picture's kind of scene is called by."""
    given: set[str] = set()
    for row in np.random.default_rng(5).permutation(len(gallery)).tolist():
        thing = things.get(scenes[row])
        naming = [sentence for sentence in gallery.sentences[row] if thing and tells(thing, sentence)]
        sentence = max(naming, key=len, default="").rstrip(" .")
        if thing and sentence and sentence not in given and len(given) < count:
            given.add(sentence)
            yield sentence, thing
