"""What is to be captioned: pictures of sources or of an index, with what geo-tags say of their ground."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from geoanchor.errors import BadInput, OnBad, UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Layer, Pixels
from geoanchor.manifest import read_manifest
from geoanchor.picture import read_rgb
from geoanchor.protocols import TileRef, TileSource
from geoanchor.tiling import Bounds
from indexer.captions import tile_tags
from indexer.narration import rich_captions
from indexer.scene import Footprint, Patch
from indexer.sources.vector import VectorTiles
from indexer.store import IndexStore, Stores


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One picture, read when it is asked for.

    Attributes:
        name: in a captions file, as `geoanchor index --captions` looks for it. row: its id in an index.
        tags: "key=value", what vectors say of its ground; texts: captions from them, () where nothing is known.
    """

    name: str
    row: str
    layer: Layer
    tags: tuple[str, ...]
    texts: tuple[str, ...]
    read: Callable[[], Pixels]


@dataclass(frozen=True, slots=True)
class Wording:
    """How captions from tags are worded.

    Attributes:
        count: paraphrases of each picture. seed: of the choice of words.
    """

    count: int = 5
    seed: int = 0


def subjects_of(
    source: TileSource, vectors: FeatureSource | None, wording: Wording, on_bad: OnBad, limit: int | None = None
) -> Iterator[Subject]:
    """The pictures of a source.

    Args:
        vectors: what is known of their ground; None takes the source's own, where it is one of vectors.
    """
    known = source.features if vectors is None and isinstance(source, VectorTiles) else vectors
    for ref in islice(source.plan(), limit):
        try:
            yield _subject(source, ref, known, wording)
        except BadInput as bad:
            on_bad(bad)


def rows_of(
    folder: Path, stores: Stores, vectors: FeatureSource | None, wording: Wording, limit: int | None = None
) -> Iterator[Subject]:
    """The pictures that an index keeps, of any size up to what it stores.

    Without vectors, tags and captions are the row's own or else those of another row of the same ground, so that
    imagery is told what its map says.
    """
    read_manifest(folder)
    store = stores.open(folder)
    names = ["id", "layer", "west", "south", "east", "north", "tags", "caption"]
    rows = store.columns(names).to_pylist()
    neighbours = {_ground(row): row for row in rows if row["tags"]}
    for row in islice(rows, limit):
        box = Bounds(*_ground(row)) if row["west"] is not None else None
        if vectors is not None:
            tags, texts = _told(vectors, Patch(box) if box else None, wording)
        else:
            knowing = row if row["tags"] else neighbours.get(_ground(row), row) if box else row
            tags, texts = tuple(knowing["tags"] or ()), (knowing["caption"],) if knowing["caption"] else ()
        yield Subject(row["id"], row["id"], row["layer"], tags, texts, _thumbnail(store, row["id"]))


def features_of(source: TileSource) -> FeatureSource:
    """The vectors of a source. Raises UsageError for a source of pictures."""
    if not isinstance(source, VectorTiles):
        raise UsageError(f"{source.uri}: holds no vectors; name a vector file, vector tiles or city:SEED")
    features: FeatureSource = source.features
    return features


def _subject(source: TileSource, ref: TileRef, known: FeatureSource | None, wording: Wording) -> Subject:
    footprint: Footprint | None = ref.tile
    if known is not None and footprint is None and (bounds := source.read(ref).bounds):
        # Only the picture itself says where it lies; it is read again for its pixels, since many would not fit.
        footprint = Patch(bounds)
    tags, texts = _told(known, footprint, wording) if known is not None else ((), ())
    return Subject(ref.key or ref.id, ref.id, source.layer, tags, texts, lambda: source.read(ref).pixels)


def _told(vectors: FeatureSource, footprint: Footprint | None, wording: Wording) -> tuple[tuple[str, ...], ...]:
    """Tags and captions of a piece of ground; nothing of what lies nowhere."""
    if footprint is None:
        return (), ()
    features: Sequence[Feature] = vectors.features(footprint.bounds)
    return tile_tags(features, footprint), rich_captions(features, footprint, wording.count, wording.seed)


def _ground(row: dict[str, float]) -> tuple[float, float, float, float]:
    return row["west"], row["south"], row["east"], row["north"]


def _thumbnail(store: IndexStore, id_: str) -> Callable[[], Pixels]:
    def read() -> Pixels:
        found = store.fetch([id_], ["thumbnail"])["thumbnail"].to_pylist()
        if not found or not found[0]:
            raise BadInput(id_, "the index keeps no picture of it")
        return read_rgb(found[0], id_)

    return read
