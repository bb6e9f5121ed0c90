"""Questions to a gallery, each once with its right answers in the index and once with all of them taken out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.words import stems
from indexer.concepts import CONCEPTS, Concept, Noun
from training.relevance.galleries import Gallery

Mask = NDArray[np.bool_]

_LEAST_WEIGHT = 3.0
"""Concepts that people care less for are not asked for."""
_COMMONEST = 0.35
"""What more of the pictures show is no question."""
_NOUNS = 2
"""Of each concept so many of its names are asked for."""
_SENTENCES = 60
_SEEN_FROM_ABOVE = (
    "airplanes", "airport", "baseball field", "basketball court", "beach", "boats", "bridge", "cars", "church",
    "commercial buildings", "desert", "farmland", "football field", "forest", "harbor", "industrial area", "lake",
    "meadow", "mountains", "parking lot", "playground", "pond", "port", "railway station", "resort", "river", "school",
    "ships", "square", "stadium", "storage tanks", "swimming pool", "tennis courts", "trains", "viaduct", "waves",
)  # fmt: skip
"""What is asked of pictures that people have captioned."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One question.

    Attributes:
        text: what is asked. right: (n,) the gallery's pictures that are right. keep: (n,) those that the index has.
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
    everything = np.ones(len(gallery), bool)
    return [Case(text, right, keep) for text, right in asked for keep in (everything, ~right)]


def _of_city(gallery: Gallery) -> Iterator[tuple[str, Mask]]:
    for concept in CONCEPTS.values():
        if concept.weight < _LEAST_WEIGHT:
            continue
        for number, noun in enumerate(concept.nouns[:_NOUNS]):
            names = _concepts_called(noun)
            right = np.array([not names.isdisjoint(shown) for shown in gallery.shows])
            if right.any() and right.mean() <= _COMMONEST:
                yield _said(concept, noun, number), right


def _concepts_called(noun: Noun) -> frozenset[str]:
    """Concepts that a noun fits: a football pitch is a pitch too."""
    ending = f" {noun.singular}"
    return frozenset(
        concept.name
        for concept in CONCEPTS.values()
        if any(f" {other.singular}".endswith(ending) for other in concept.nouns)
    )


def _said(concept: Concept, noun: Noun, number: int) -> str:
    """The plain noun, or how one would say it in a sentence."""
    if number == 0:
        return noun.singular
    if noun.mass or concept.kind == "group":
        return noun.singular if noun.mass else noun.plural
    return f"{'an' if noun.singular[0] in 'aeiou' else 'a'} {noun.singular}"


def _of_captions(gallery: Gallery) -> Iterator[tuple[str, Mask]]:
    told = [[stems(sentence) for sentence in sentences] for sentences in gallery.sentences]
    for thing in _SEEN_FROM_ABOVE:
        wanted, scene = stems(thing), "".join(sorted(stems(thing)))
        right = np.array([_tells(wanted, scene, said, shown) for said, shown in zip(told, gallery.shows, strict=True)])
        if right.any() and right.mean() <= _COMMONEST:
            yield thing, right
    dice = np.random.default_rng(5)
    for row in dice.choice(len(gallery), min(_SENTENCES, len(gallery)), replace=False).tolist():
        right = np.array([shown == gallery.shows[row] for shown in gallery.shows])
        yield max(gallery.sentences[row], key=len).rstrip(" ."), right


def _tells(wanted: frozenset[str], scene: str, said: Sequence[frozenset[str]], shown: frozenset[str]) -> bool:
    return any(wanted <= words for words in said) or scene in {"".join(sorted(stems(name))) for name in shown}
