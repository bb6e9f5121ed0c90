"""Brings a manifest in line with the store: the counts and versions that it speaks of."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from geoanchor.image import Layer
from geoanchor.manifest import Manifest, SourceRecord
from indexer.plan import Origin, StoredRow
from indexer.store import IndexStore


def origin_of(record: SourceRecord) -> Origin:
    """Which rows a source record speaks of."""
    return Origin(record.uri, record.layer, record.zoom)


def recounted(manifest: Manifest, store: IndexStore) -> Manifest:
    """The manifest with rows, layers, rows of each source, texts and versions as the store has them now."""
    table = store.columns(["origin", "layer", "z"])
    owned = Counter(zip(*(table[name].to_pylist() for name in ("origin", "layer", "z")), strict=True))
    layers: Counter[Layer] = Counter()
    for (_, layer, _), count in owned.items():
        layers[layer] += count
    sources = tuple(
        record.model_copy(update={"rows": sum(n for row, n in owned.items() if _owns(record, *row))})
        for record in manifest.sources
    )
    return manifest.model_copy(
        update={
            "updated": datetime.now(UTC),
            "sources": sources,
            "rows": store.count(),
            "layers": dict(layers),
            "texts": store.texts(["text"]).num_rows,
            "table_version": store.version,
            "texts_version": store.texts_version,
        }
    )


def _owns(record: SourceRecord, uri: str, layer: str, zoom: int | None) -> bool:
    return origin_of(record).owns(StoredRow("", uri, layer, zoom))
