"""Words of tags, captions and queries, made comparable."""

from __future__ import annotations

import re
from functools import lru_cache

from geoanchor.places import fold

_WORD = re.compile(r"[^\W_]+")
_EMPTY = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "here", "in", "is", "it", "its",
    "many", "near", "next", "of", "on", "or", "other", "picture", "image", "several", "show", "shows", "some", "that",
    "the", "there", "this", "to", "two", "type", "very", "view", "with",
})  # fmt: skip
"""Words that say nothing of what is seen."""


@lru_cache(maxsize=8_192)
def tag_phrase(tag: str) -> str:
    """A tag as words: "leisure=sports_centre" -> "sports centre", "building=yes" -> "building"."""
    key, _, value = tag.partition("=")
    return (key if value in ("yes", "") else value).replace("_", " ").replace(":", " ")


@lru_cache(maxsize=8_192)
def stems(text: str) -> frozenset[str]:
    """The telling words of a text without case, accents and plural endings."""
    return frozenset(_singular(word) for word in _WORD.findall(fold(text)) if word not in _EMPTY)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
