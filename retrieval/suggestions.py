"""Texts to try on an index, from its own vocabulary."""

from __future__ import annotations

from collections import Counter

from retrieval.gazetteer import Gazetteer
from retrieval.serving import Serving


def suggestions(serving: Serving, gazetteer: Gazetteer, k: int = 6) -> tuple[str, ...]:
    """Up to k texts, each of which has a true hit."""
    tags = Counter(tag for tags in serving.rows.column("tags").to_pylist() for tag in tags or ())
    return tuple(tag.partition("=")[2].replace("_", " ") for tag, _ in tags.most_common(k))
