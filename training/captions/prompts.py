"""What a captioning model is asked about a picture, with its geo-tags, in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geoanchor.errors import UsageError
from geoanchor.words import tag_phrase
from indexer.concepts import Concept, concepts_of
from models.captioner import Form

_MOST_TAGS = 12
_TAGS = "{tags}"
_REFINED = {"sport": ("leisure", "pitch"), "water": ("natural", "water"), "religion": ("amenity", "place_of_worship")}
"""Key -> the tag that it says more of."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One way of asking.

    Attributes:
        name: for reports. asked: cut off from the answer. begun: words of the caption itself, which the model goes on
            with. Both may hold "{tags}".
    """

    name: str
    asked: str
    begun: str = ""

    @property
    def needs_tags(self) -> bool:
        """Whether it can only be put where something is known of the place."""
        return _TAGS in self.asked + self.begun

    def words(self, tags: Sequence[str]) -> tuple[str, str]:
        """All that the model is given for a place with these tags, and how the caption begins."""
        known = ", ".join(phrases(tags))
        asked, begun = self.asked.replace(_TAGS, known), self.begun.replace(_TAGS, known)
        return f"{asked} {begun}".strip(), begun


_TOLD = (
    Prompt("plain", "Describe this aerial picture in detail."),
    Prompt(
        "map",
        "The map of this place names: {tags}. Describe the aerial picture in detail: which of them can be seen, and "
        "where they lie.",
    ),
    Prompt(
        "known",
        "This picture was taken from above. Known to be there: {tags}. Write two or three sentences on what it shows, "
        "how its parts are arranged and what is around them.",
    ),
)
_BEGUN = (
    Prompt("plain", "an aerial picture of"),
    Prompt("tags", "an aerial picture of", "{tags} and"),
    Prompt("place", "a place with {tags}, seen from above:"),
)


def prompts_for(form: Form, names: Sequence[str] = ()) -> tuple[Prompt, ...]:
    """The variants for models of a form; those of some names, all for none. Raises UsageError for an unknown name."""
    known = _BEGUN if form == "continuation" else _TOLD
    unknown = set(names) - {prompt.name for prompt in known}
    if unknown:
        there = ", ".join(prompt.name for prompt in known)
        raise UsageError(f"no prompt {', '.join(sorted(unknown))} for this model; it can be asked by {there}")
    return tuple(prompt for prompt in known if not names or prompt.name in names)


def concepts_of_tag(tag: str) -> tuple[Concept, ...]:
    """What a "key=value" tag of a place stands for."""
    key, _, value = tag.partition("=")
    return concepts_of(dict([_REFINED[key]] if key in _REFINED else []) | {key: value})


def telling(tags: Sequence[str]) -> list[str]:
    """Tags without those that another one says more exactly: "natural=water" beside "water=river"."""
    vague = {"=".join(_REFINED[key]) for key in (tag.partition("=")[0] for tag in tags) if key in _REFINED}
    return [tag for tag in tags if tag not in vague]


def phrases(tags: Sequence[str]) -> list[str]:
    """What tags say, in words, what people care for first; at most twelve."""
    weighted = []
    for tag in telling(tags):
        concepts = concepts_of_tag(tag)
        weighted += [(concept.weight, concept.nouns[0].singular) for concept in concepts]
        weighted += [] if concepts else [(0.0, tag_phrase(tag))]
    ordered = sorted(weighted, key=lambda item: -item[0])
    return list(dict.fromkeys(text for _, text in ordered))[:_MOST_TAGS]
