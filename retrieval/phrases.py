"""Reads a search box: a text becomes a Query and chips that say which words became what."""

from __future__ import annotations

from geoanchor.phrase import Chip, Phrase
from geoanchor.query import Query, TextPart
from retrieval.gazetteer import Gazetteer


def understand(text: str, gazetteer: Gazetteer) -> Phrase:
    """What a text asks of an index with these names; never refuses a text."""
    words = text.strip()
    if not words:
        return Phrase(text=text, query=None)
    start = text.index(words)
    chip = Chip(kind="words", text=words, label=words, start=start, end=start + len(words))
    return Phrase(text=text, query=Query(parts=(TextPart(text=words),)), chips=(chip,))
