"""Removing rows, compaction and sealing anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawn import drawn

from geoanchor.errors import NotAnIndex, UsageError
from geoanchor.manifest import Manifest, read_manifest
from indexer.build import BuildOptions, build
from indexer.doctor import diagnose
from indexer.journal import Intent, Journal
from indexer.store import IndexStore
from indexer.upkeep import compact, delete_rows, delete_source, reseal
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore


def derive(folder: Path, store: IndexStore, manifest: Manifest) -> Manifest:
    """Stands for the serving files: one file that holds the number of rows."""
    (folder / "serving").mkdir(exist_ok=True)
    (folder / "serving" / "rows.txt").write_text(str(store.count()))
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    options = BuildOptions(batch_size=8, commit_rows=16)
    build(tmp_path, [drawn(40), drawn(20, uri="o'hara", layer="map")], ToyEncoder(), LanceStore, derive, options)
    return tmp_path


def errors(folder: Path) -> list[str]:
    findings = diagnose(folder, LanceStore.open(folder), read_manifest(folder))
    return [finding.text for finding in findings if finding.level == "error"]


def rows(folder: Path) -> dict[str, Any]:
    table = LanceStore.open(folder).columns(["id", "vector_semantic", "thumbnail", "tags", "origin"])
    return {row["id"]: row for row in table.to_pylist()}


def test_rows_go_by_id(folder: Path) -> None:
    before = rows(folder)
    ids = [f"aerial/drawn/{number:05}" for number in range(35, 45)]
    assert delete_rows(folder, ids, LanceStore, derive) == 5
    assert rows(folder) == {id_: row for id_, row in before.items() if id_ not in ids}
    manifest = read_manifest(folder)
    assert (manifest.rows, manifest.layers, manifest.sources[0].rows) == (55, {"aerial": 35, "map": 20}, 35)
    assert "place 39" not in LanceStore.open(folder).texts()["text"].to_pylist()
    assert (folder / "serving" / "rows.txt").read_text() == "55"
    assert errors(folder) == []


def test_a_source_goes_by_name(folder: Path) -> None:
    assert delete_source(folder, "o'hara", LanceStore, derive) == 20
    assert [source.uri for source in read_manifest(folder).sources] == ["drawn"]
    assert {row["origin"] for row in rows(folder).values()} == {"drawn"}
    assert errors(folder) == []
    with pytest.raises(UsageError, match="has no source o'hara; its sources are drawn"):
        delete_source(folder, "o'hara", LanceStore, derive)


def test_compaction_keeps_the_content_and_gives_back_the_space(folder: Path) -> None:
    source = drawn(40)
    for stamp in "23456":
        source.versions = dict.fromkeys(range(40), stamp)
        build(folder, [source], ToyEncoder(), LanceStore, derive)
    before, size = rows(folder), disk(folder)
    compact(folder, LanceStore, derive)
    assert rows(folder) == before
    assert disk(folder) < size / 2
    keys = LanceStore.open(folder).columns(["cell", "layer", "id"]).to_pylist()
    assert keys == sorted(keys, key=lambda row: (row["cell"], row["layer"], row["id"]))
    assert errors(folder) == []
    report = build(folder, [source], ToyEncoder(), LanceStore, derive)
    assert (report.unchanged, report.added) == (40, 0)


def disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "tiles.lance").rglob("*") if path.is_file())


def test_sealing_anew_agrees_with_the_tables(folder: Path) -> None:
    LanceStore.open(folder).delete(["aerial/drawn/00001"])
    assert any("manifest.json says rows 60" in text for text in errors(folder))
    reseal(folder, LanceStore, derive)
    assert (folder / "serving" / "rows.txt").read_text() == "59"
    assert errors(folder) == []


def test_only_a_finished_index_is_changed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAnIndex):
        compact(tmp_path / "nothing", LanceStore, derive)
    assert not (tmp_path / "nothing").exists()
    Journal(folder).start(Intent(model="toy", spaces={}, sources=(), batch_size=8))
    with pytest.raises(UsageError, match="a build was interrupted here"):
        compact(folder, LanceStore, derive)
