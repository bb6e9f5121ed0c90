"""Captions and tag phrases of all rows, each once, with their vectors: the gallery of image-to-text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from geoanchor.protocols import Encoder, Vectors
from indexer.store import IndexStore

_BATCH = 256
_Entry = tuple[str, str]
"""kind, text"""


def tag_phrase(tag: str) -> str:
    """A tag as words: "leisure=sports_centre" -> "sports centre", "building=yes" -> "building"."""
    key, _, value = tag.partition("=")
    return (key if value in ("yes", "") else value).replace("_", " ").replace(":", " ")


def refresh_texts(store: IndexStore, encoder: Encoder) -> int:
    """Make the texts those of the rows there are now, encoding only new ones; returns how many there are."""
    counts = _count(store)
    known = store.texts(["text", "kind", "count"])
    present = {(row["kind"], row["text"]): row["count"] for row in known.to_pylist()}
    if present == counts:
        return len(counts)
    entries = sorted(counts)
    vectors = _vectors(store, encoder, entries)
    kinds, texts = [kind for kind, _ in entries], [text for _, text in entries]
    store.replace_texts(texts, kinds, [counts[entry] for entry in entries], vectors)
    return len(entries)


def _count(store: IndexStore) -> dict[_Entry, int]:
    rows = store.columns(["caption", "tags"])
    captions = Counter(caption for caption in rows["caption"].to_pylist() if caption)
    phrases = Counter(phrase for tags in rows["tags"].to_pylist() for phrase in {tag_phrase(tag) for tag in tags or ()})
    counted: dict[_Entry, int] = {("caption", text): count for text, count in captions.items()}
    return counted | {("tag", text): count for text, count in phrases.items()}


def _vectors(store: IndexStore, encoder: Encoder, entries: Sequence[_Entry]) -> dict[str, Vectors]:
    """(n, d) by space, of every space that knows text; kept from the present gallery where the text is in it."""
    spaces = [name for name, space in encoder.spaces.items() if "text" in space.modalities and name in store.spaces]
    if not spaces or not entries:
        return {}
    kept = _present_vectors(store.texts(), spaces)
    missing = sorted({text for _, text in entries} - set(kept))
    for start in range(0, len(missing), _BATCH):
        texts = missing[start : start + _BATCH]
        encoded = encoder.encode(texts, "text", "gallery")
        for row, text in enumerate(texts):
            kept[text] = {name: encoded[name][row] for name in spaces}
    return {name: np.stack([kept[text][name] for _, text in entries]) for name in spaces}


def _present_vectors(table: pa.Table, spaces: Sequence[str]) -> dict[str, Mapping[str, Vectors]]:
    columns = {}
    for name in spaces:
        column = table[f"vector_{name}"].combine_chunks()
        if column.null_count:
            return {}
        columns[name] = (
            column.flatten().to_numpy().reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)
        )
    return {text: {name: columns[name][row] for name in spaces} for row, text in enumerate(table["text"].to_pylist())}
