"""Changes to a finished index that read no source: removing rows, other vectors, compaction, new serving files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geoanchor.errors import UsageError
from geoanchor.manifest import Manifest, read_manifest, write_manifest
from geoanchor.protocols import Encoder, RowVectors
from indexer.build import Finish, require_spaces
from indexer.halfway import Halfway
from indexer.journal import Journal
from indexer.lock import writing
from indexer.names import drop_names
from indexer.seal import recounted
from indexer.store import IndexStore, Stores
from indexer.textgallery import drop_texts, refresh_texts
from indexer.trouble import said_plainly

_Change = Callable[[IndexStore, Manifest], Manifest]


@dataclass(frozen=True, slots=True, eq=False)
class Revision:
    """Other vectors (n, d) by space for n rows by id, and the manifest that speaks of them."""

    ids: Sequence[str]
    vectors: Mapping[str, RowVectors]
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Words:
    """What a row is said to show; tags None leaves it those it has."""

    id: str
    caption: str
    tags: tuple[str, ...] | None = None


def delete_rows(folder: Path, ids: Sequence[str], stores: Stores, finish: Finish) -> int:
    """Remove rows by id; how many there were.

    Raises NotAnIndex, IndexLocked, UsageError where a build is unfinished.
    """

    def change(store: IndexStore, manifest: Manifest) -> Manifest:
        store.delete(ids)
        drop_texts(store)
        return manifest

    return -_change(folder, stores, finish, change)


def delete_source(folder: Path, uri: str, stores: Stores, finish: Finish) -> int:
    """Remove the rows that came through a source, on all its layers and zooms; how many there were.

    Raises UsageError when the index has no source of that name, and as `delete_rows` does.
    """

    def change(store: IndexStore, manifest: Manifest) -> Manifest:
        staying = tuple(record for record in manifest.sources if record.uri != uri)
        if len(staying) == len(manifest.sources):
            known = ", ".join(sorted({record.uri for record in manifest.sources}))
            raise UsageError(f"{folder}: has no source {uri}; its sources are {known}")
        rows = store.columns(["id", "origin"]).to_pylist()
        store.delete([row["id"] for row in rows if row["origin"] == uri])
        drop_texts(store)
        drop_names(folder, uri)
        return manifest.model_copy(update={"sources": staying})

    return -_change(folder, stores, finish, change)


def rephrase(folder: Path, words: Sequence[Words], encoder: Encoder, stores: Stores, finish: Finish) -> int:
    """Give rows other captions, and tags where some are named, and the gallery of texts what they say then; how many.

    Rows that the index does not have are passed over. Raises SpaceMismatch when the encoder is not the index's, and as
    `delete_rows` does.
    """
    changed = 0

    def change(store: IndexStore, manifest: Manifest) -> Manifest:
        nonlocal changed
        require_spaces(manifest.spaces, encoder.spaces, folder)
        there = set(store.columns(["id"])["id"].to_pylist())
        for told in (True, False):
            own = [item for item in words if item.id in there and (item.tags is not None) == told]
            changed += len(own)
            if own:
                tags = [item.tags or () for item in own] if told else None
                store.replace_words([item.id for item in own], [item.caption for item in own], tags)
        refresh_texts(store, encoder)
        return manifest

    _change(folder, stores, finish, change)
    return changed


def compact(folder: Path, stores: Stores, finish: Finish) -> None:
    """Put the rows in H3 order and give back the disk space of replaced and deleted ones; raises as `delete_rows`."""

    def change(store: IndexStore, manifest: Manifest) -> Manifest:
        store.compact()
        return manifest

    _change(folder, stores, finish, change)


def reseal(folder: Path, stores: Stores, finish: Finish) -> None:
    """Derive the serving files anew and write a manifest that agrees with the tables; raises as `delete_rows`."""
    _change(folder, stores, finish, lambda _, manifest: manifest)


def revise(
    folder: Path, stores: Stores, finish: Finish, plan: Callable[[IndexStore, Manifest], Revision | None]
) -> bool:
    """Give rows the vectors that `plan` makes under the lock; whether it made any.

    Readers see the former vectors until the manifest is written, and a killed revision is taken back by whatever
    writes to the index next. Raises as `delete_rows` does.
    """
    read_manifest(folder)
    with said_plainly(folder), writing(folder):
        manifest, store = _ready(folder, stores, finish)
        revision = plan(store, manifest)
        if revision is None:
            return False
        halfway = Halfway(folder)
        halfway.start(store.version)
        store.replace_vectors(revision.ids, revision.vectors)
        write_manifest(folder, finish(folder, store, recounted(revision.manifest, store)))
        halfway.finish()
        return True


def _ready(folder: Path, stores: Stores, finish: Finish) -> tuple[Manifest, IndexStore]:
    """What an index holds, once it is sure that no build is unfinished and an unfinished revision is taken back."""
    if Journal(folder).exists():
        raise UsageError(f"{folder}: a build was interrupted here; run the same `geoanchor index` command again first")
    manifest, store = read_manifest(folder), stores.open(folder)
    if Halfway(folder).take_back(store, manifest):
        manifest = finish(folder, store, recounted(manifest, store))
        write_manifest(folder, manifest)
    return manifest, store


def _change(folder: Path, stores: Stores, finish: Finish, change: _Change) -> int:
    """Change an index under the lock and seal it; how many rows more it has."""
    read_manifest(folder)
    with said_plainly(folder), writing(folder):
        manifest, store = _ready(folder, stores, finish)
        before = store.count()
        manifest = change(store, manifest)
        write_manifest(folder, finish(folder, store, recounted(manifest, store)))
        return store.count() - before
