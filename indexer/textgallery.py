"""Captions and tag phrases of all rows, each once, with their vectors: the gallery of image-to-text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from geoanchor.protocols import Encoder, Vectors
from geoanchor.words import tag_phrase
from indexer.store import IndexStore

_BATCH = 256
_Entry = tuple[str, str]
"""kind, text"""


def refresh_texts(store: IndexStore, encoder: Encoder) -> None:
    """Make the texts those of the rows that there are now; only new ones are encoded."""
    counts = _count(store)
    if counts == _present(store):
        return
    spaces = [name for name, space in encoder.spaces.items() if "text" in space.modalities and name in store.spaces]
    known = _known_vectors(store)
    missing = sorted({text for _, text in counts} - set(known))
    for start in range(0, len(missing) if spaces else 0, _BATCH):
        texts = missing[start : start + _BATCH]
        encoded = encoder.encode(texts, "text", "gallery")
        for row, text in enumerate(texts):
            known[text] = {name: encoded[name][row] for name in spaces}
    _replace(store, counts, known)


def drop_texts(store: IndexStore) -> None:
    """Forget the texts that no row bears any more, after rows were removed."""
    counts, present = _count(store), _present(store)
    if counts != present:
        _replace(store, {entry: count for entry, count in counts.items() if entry in present}, _known_vectors(store))


def _replace(store: IndexStore, counts: Mapping[_Entry, int], vectors: Mapping[str, Mapping[str, Vectors]]) -> None:
    entries = sorted(counts)
    spaces = sorted({name for made in vectors.values() for name in made})
    stacked = {name: np.stack([vectors[text][name] for _, text in entries]) for name in spaces if entries}
    kinds, texts = [kind for kind, _ in entries], [text for _, text in entries]
    store.replace_texts(texts, kinds, [counts[entry] for entry in entries], stacked)


def _present(store: IndexStore) -> dict[_Entry, int]:
    known = store.texts(["text", "kind", "count"])
    return {(row["kind"], row["text"]): row["count"] for row in known.to_pylist()}


def _count(store: IndexStore) -> dict[_Entry, int]:
    rows = store.columns(["caption", "tags"])
    captions = Counter(caption for caption in rows["caption"].to_pylist() if caption)
    phrases = Counter(phrase for tags in rows["tags"].to_pylist() for phrase in {tag_phrase(tag) for tag in tags or ()})
    counted: dict[_Entry, int] = {("caption", text): count for text, count in captions.items()}
    return counted | {("tag", text): count for text, count in phrases.items()}


def _known_vectors(store: IndexStore) -> dict[str, dict[str, Vectors]]:
    """text -> space -> (d,), of the texts there are."""
    table = store.texts().combine_chunks()
    known: dict[str, dict[str, Vectors]] = {text: {} for text in table["text"].to_pylist()}
    for name in store.spaces:
        column = table[f"vector_{name}"]
        if len(column) and not column.null_count:
            dense = column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
            for text, vector in zip(table["text"].to_pylist(), dense, strict=True):
                known[text][name] = vector
    return known
