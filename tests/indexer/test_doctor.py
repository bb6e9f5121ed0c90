"""The doctor finds each kind of damage, and nothing in a sound index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drawn import drawn

from geoanchor.manifest import FILE_NAME, Manifest, read_manifest, write_manifest
from indexer.build import build
from indexer.doctor import Finding, diagnose
from indexer.journal import Intent, Journal
from indexer.store import IndexStore
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore


def derive(folder: Path, store: IndexStore, manifest: Manifest) -> Manifest:
    """Stands for the serving files, one with each kind of checksum."""
    import hashlib

    serving = folder / "serving" / "1"
    serving.mkdir(parents=True, exist_ok=True)
    (serving / "rows").write_bytes(b"rows")
    (serving / "vectors").write_bytes(b"vectors")
    sums = {"serving/1/rows": hashlib.sha256(b"rows").hexdigest(), "serving/1/vectors": "bytes:7"}
    return manifest.model_copy(update={"checksums": sums})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path, [drawn(23), drawn(23, layer="map")], ToyEncoder(), LanceStore, derive)
    return tmp_path


def findings(folder: Path) -> list[Finding]:
    return diagnose(folder, LanceStore.open(folder), read_manifest(folder))


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Damage the rows behind the store's back."""
    import lance

    path = folder / "tiles.lance"
    lance.write_dataset(change(lance.dataset(path).to_table()), path, mode="overwrite")
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"table_version": LanceStore.open(folder).version}))


def first_vector(values: list[float] | None) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        vectors = table["vector_semantic"].to_pylist()
        column = pa.array([values, *vectors[1:]], table.schema.field("vector_semantic").type)
        return table.set_column(table.schema.get_field_index("vector_semantic"), "vector_semantic", column)

    return change


def column_as(name: str, values: Callable[[pa.Table], pa.Array]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(
        table.schema.get_field_index(name), table.schema.field(name), values(table).cast(table.schema.field(name).type)
    )


def test_a_sound_index_has_nothing_wrong(folder: Path) -> None:
    assert findings(folder) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (first_vector([np.nan, 0, 0, 0]), "1 rows have a vector with values that are not finite"),
        (first_vector([2.0, 0, 0, 0]), "1 rows have a vector that is not of unit length"),
        (first_vector(None), "1 rows have no vector in space 'semantic'"),
        (lambda table: pa.concat_tables([table, table.slice(0, 2)]), "2 ids are there more than once"),
        (lambda table: table.slice(3), "manifest.json says rows 46, the tables have 43"),
        (lambda table: table.drop_columns(["vector_semantic"]), "no vectors of space 'semantic'"),
        (column_as("lat", lambda table: pc.add(table["lat"], 100.0)), "46 rows have an impossible position"),
        (column_as("cell", lambda table: pa.array([0] * len(table))), "46 rows have an impossible position"),
        (
            column_as("thumbnail", lambda table: pa.array([b"no picture"] * len(table))),
            "46 rows have a picture that is",
        ),
        (column_as("origin", lambda table: pa.array(["x"] * len(table))), "46 rows come from no source"),
    ],
)
def test_damaged_rows_are_found(folder: Path, change: Callable[[pa.Table], pa.Table], words: str) -> None:
    rewrite(folder, change)
    assert any(words in finding.text for finding in findings(folder) if finding.level == "error"), findings(folder)


def test_damaged_and_forgotten_files_are_found(folder: Path) -> None:
    (folder / "serving" / "1" / "rows").write_bytes(b"rowz")
    (folder / "serving" / "1" / "vectors").unlink()
    for name in ("2", "3.part"):
        (folder / "serving" / name).mkdir()
    texts = [finding.text for finding in findings(folder)]
    assert any("serving/1/rows: damaged" in text for text in texts)
    assert any("serving/1/vectors: missing" in text for text in texts)
    assert any("serving/ holds 2, 3.part that nothing uses" in text for text in texts)


def test_an_unfinished_build_and_a_stale_manifest_are_found(folder: Path) -> None:
    Journal(folder).start(Intent(model="toy", spaces={}, sources=(), batch_size=8))
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"texts": 1, "table_version": 99}))
    texts = " ".join(finding.text for finding in findings(folder))
    for words in ("a build was interrupted", "says texts 1, the tables have", "says table_version 99"):
        assert words in texts
    assert (folder / FILE_NAME).exists()


def test_notes_tell_of_holes_and_of_what_was_left_out(tmp_path: Path) -> None:
    source = drawn(46, broken=frozenset({3}), blank=frozenset({5, 30}))
    photos = replace(drawn(4, uri="photos"), zoom=None)
    build(tmp_path, [source, photos], ToyEncoder(), LanceStore, derive)
    found = findings(tmp_path)
    assert {finding.level for finding in found} == {"note"}
    texts = [finding.text for finding in found]
    assert "aerial tiles at zoom 17 cover 93 % of their bounding box (43 of 46)" in texts
    assert "4 of 47 rows have no position: no region will find them" in texts
    assert any("drawn (aerial): no rows for 2 blank, 1 unreadable pictures" in text for text in texts)
