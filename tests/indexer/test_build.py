"""What ends up in an index, and what a second build does to it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import DrawnSource, drawn, nothing_to_derive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoanchor.errors import BadInput, GeoAnchorError, SpaceMismatch, UnsupportedModality, UsageError
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.manifest import read_manifest
from geoanchor.protocols import TileRef, TileSource
from geoanchor.space import EmbeddingSpace
from indexer.build import BuildOptions, build
from indexer.doctor import diagnose
from indexer.report import BuildReport, Progress
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore


def run(folder: Path, *sources: TileSource, encoder: ToyEncoder | None = None, **options: Any) -> BuildReport:
    options = {"batch_size": 8, "commit_rows": 16, "threads": 2} | options
    return build(folder, sources, encoder or ToyEncoder(), LanceStore, nothing_to_derive, BuildOptions(**options))


def rows(folder: Path, *columns: str) -> dict[str, dict[str, Any]]:
    table = LanceStore.open(folder).columns(["id", *columns])
    return {row["id"]: row for row in table.to_pylist()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=st.frozensets(st.integers(0, 39)), blank=st.frozensets(st.integers(0, 39)), batch=st.integers(1, 17))
def test_every_row_has_its_own_vector_whatever_fails_beside_it(
    tmp_path_factory: pytest.TempPathFactory, broken: frozenset[int], blank: frozenset[int], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("index")
    aerial = drawn(40, broken=broken, blank=blank)
    town = drawn(20, layer="map")
    report = run(folder, aerial, town, batch_size=batch)
    found = rows(folder, "vector_semantic", "cell", "origin", "layer")
    alive = {aerial.id(n): (aerial, n) for n in range(40) if n not in broken | blank}
    alive |= {town.id(n): (town, n) for n in range(20)}
    assert found.keys() == alive.keys()
    for id_, (source, number) in alive.items():
        expected = ToyEncoder().encode([source.pixels(number)], source.layer)["semantic"][0]
        assert np.array_equal(np.float32(found[id_]["vector_semantic"]), expected)
        tile = source.tile(number)
        assert tile is not None
        assert (found[id_]["cell"], found[id_]["layer"]) == (tile.cell(10), source.layer)
    assert {item.id for item in report.quarantined} == {aerial.id(n) for n in broken}
    assert report.skipped.get("blank", 0) == len(blank - broken)
    assert report.added + len(report.quarantined) + sum(report.skipped.values()) == 60
    manifest = read_manifest(folder)
    assert (manifest.rows, manifest.sources[0].rows, manifest.sources[1].rows) == (len(alive), len(alive) - 20, 20)


def test_a_fresh_index_lies_in_the_order_of_its_cells(tmp_path: Path) -> None:
    run(tmp_path, drawn(100), drawn(100, layer="map"))
    keys = [(r["cell"], r["layer"], r["id"]) for r in rows(tmp_path, "cell", "layer").values()]
    assert keys == sorted(keys)


def test_the_report_and_the_manifest_say_what_became_of_every_picture(tmp_path: Path) -> None:
    seen: list[Progress] = []
    source = drawn(30, broken=frozenset({4}), blank=frozenset({9, 10}))
    report = build(
        tmp_path, [source], ToyEncoder(), LanceStore, nothing_to_derive, BuildOptions(batch_size=8), seen.append
    )
    assert (report.rows, report.added, report.skipped) == (27, 27, {"blank": 2})
    (bad,) = report.quarantined
    assert (bad.id, bad.where, bad.reason) == (source.id(4), "drawn picture 4", "it was drawn broken")
    assert BuildReport.model_validate_json((tmp_path / "report.json").read_text()) == report
    manifest = read_manifest(tmp_path)
    (record,) = manifest.sources
    assert (record.rows, record.skipped, record.quarantined, record.attribution) == (27, {"blank": 2}, 1, "nobody")
    assert (manifest.layers, manifest.model) == ({"aerial": 27}, "toy")
    assert [p.done for p in seen] == [8, 16, 24, 30]
    assert {p.total for p in seen} == {30}
    assert seen[-1].eta_s == 0 <= seen[0].eta_s
    assert report.seconds > 0 < report.tiles_per_s


@pytest.mark.parametrize(
    ("layer", "declared", "kept"), [("aerial", 0.0, 0.75), ("aerial", 0.4, 0.75), ("map", 0.0, 0.75)]
)
def test_a_collar_that_nothing_declares_is_seen(tmp_path: Path, layer: Layer, declared: float, kept: float) -> None:
    """It costs no picture its row."""

    class Collared(DrawnSource):
        def pixels(self, number: int) -> Pixels:
            return np.pad(super().pixels(number)[:, 12:], ((0, 0), (12, 0), (0, 0)), constant_values=255)

        def read(self, ref: TileRef) -> TileImage:
            return replace(super().read(ref), nodata=declared)

    run(tmp_path, Collared(layer=layer, versions={0: "1"}), max_nodata=0.9)
    assert [row["nodata"] for row in rows(tmp_path, "nodata").values()] == [kept]


def test_add_change_and_remove(tmp_path: Path) -> None:
    source, town = drawn(40), drawn(10, layer="map")
    run(tmp_path, source, town)
    before = rows(tmp_path, "vector_semantic")
    source.reads.clear()
    source.versions |= {5: "2", 50: "1", 51: "1"}
    del source.versions[7], source.versions[8]
    report = run(tmp_path, source)
    assert sorted(source.reads) == [source.id(n) for n in (5, 50, 51)]
    assert (report.added, report.updated, report.removed, report.unchanged) == (2, 1, 2, 37)
    after = rows(tmp_path, "vector_semantic")
    assert before.keys() - after.keys() == {source.id(7), source.id(8)}
    assert {id_ for id_ in after.keys() & before.keys() if after[id_] != before[id_]} == {source.id(5)}
    assert read_manifest(tmp_path).layers == {"aerial": 40, "map": 10}
    del source.versions[5]
    assert run(tmp_path, source, prune=False).removed == 0
    assert [
        f for f in diagnose(tmp_path, LanceStore.open(tmp_path), read_manifest(tmp_path)) if f.level == "error"
    ] == []


def test_a_picture_that_turned_blank_loses_its_row_and_one_that_broke_keeps_it(tmp_path: Path) -> None:
    source = drawn(30)
    run(tmp_path, source)
    before = rows(tmp_path, "vector_semantic")
    source.versions |= {3: "2", 4: "2", 5: "2"}
    source.blank, source.broken = frozenset({3, 5}), frozenset({4})
    report = run(tmp_path, source)
    assert (report.removed, report.skipped, len(report.quarantined), report.rows) == (2, {"blank": 2}, 1, 28)
    after = rows(tmp_path, "vector_semantic")
    assert after == {id_: row for id_, row in before.items() if id_ not in (source.id(3), source.id(5))}


def test_one_source_at_two_zooms_is_two(tmp_path: Path) -> None:
    run(tmp_path, drawn(10, zoom=17))
    finer = replace(drawn(10, zoom=18), versions=dict.fromkeys(range(100, 110), "1"))
    report = run(tmp_path, finer)
    assert (report.rows, report.removed) == (20, 0)
    assert [(s.zoom, s.rows) for s in read_manifest(tmp_path).sources] == [(17, 10), (18, 10)]


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [(True, True, [(18, 10)]), (False, True, [(17, 10), (18, 10)]), (True, False, [(17, 10), (18, 10)])],
)
def test_a_zoom_that_the_source_chose_itself_gives_way_to_another(
    tmp_path: Path, first: bool, second: bool, left: list[tuple[int, int]]
) -> None:
    """A finer orthophoto lies where the coarse one did; what was asked for by its zoom stays."""
    run(tmp_path, drawn(10, zoom=17), drawn(4, layer="map", zoom=17), own_zoom=first)
    finer = replace(drawn(10, zoom=18), versions=dict.fromkeys(range(100, 110), "1"))
    assert run(tmp_path, finer, own_zoom=second, prune=False).removed == 0
    assert run(tmp_path, finer, own_zoom=second).rows == 4 + sum(rows for _, rows in left)
    manifest = read_manifest(tmp_path)
    assert [(s.zoom, s.rows) for s in manifest.sources if s.layer == "aerial"] == left
    assert [
        f for f in diagnose(tmp_path, LanceStore.open(tmp_path), read_manifest(tmp_path)) if f.level == "error"
    ] == []


def test_a_renamed_picture_without_position_keeps_its_row(tmp_path: Path) -> None:
    source = drawn(6, zoom=None)
    run(tmp_path, source)
    source.versions[60] = "1"
    looks = {number: source.pixels(number % 60) for number in [*range(6), 60]}
    source.pixels = looks.__getitem__  # type: ignore[method-assign]
    copy = run(tmp_path, source)
    assert (copy.skipped, copy.rows) == ({"duplicate": 1}, 6)
    del source.versions[0]
    renamed = run(tmp_path, source)
    assert (renamed.added, renamed.removed, renamed.skipped) == (1, 1, {})


def test_captions_and_tags_become_texts(tmp_path: Path) -> None:
    source = drawn(20)
    run(tmp_path, source)
    texts = {(t["kind"], t["text"]): t for t in LanceStore.open(tmp_path).texts().to_pylist()}
    assert texts["tag", "building"]["count"] == 20
    assert texts["tag", "kind 3"]["count"] == 3
    assert texts["caption", "place 11"]["count"] == 1
    assert len(texts) == 20 + 8 == read_manifest(tmp_path).texts
    expected = ToyEncoder().encode(["building"], "text")["semantic"][0]
    assert np.array_equal(np.float32(texts["tag", "building"]["vector_semantic"]), expected)
    source.versions = dict.fromkeys(range(5), "1")
    run(tmp_path, source)
    assert read_manifest(tmp_path).texts == 5 + 6


def test_another_model_of_the_same_size_is_refused(tmp_path: Path) -> None:
    run(tmp_path, drawn(10))
    before = rows(tmp_path, "vector_semantic")
    with pytest.raises(SpaceMismatch, match="new index"):
        run(tmp_path, drawn(12), encoder=ToyEncoder(salt="retrained"))
    assert rows(tmp_path, "vector_semantic") == before


class ReadyMade(DrawnSource):
    """Brings vectors instead of pixels."""

    space = "semantic"
    vector = (3.0, 0.0, 4.0, 0.0)

    def read(self, ref: TileRef) -> TileImage:
        vectors = {self.space: np.array(self.vector, np.float32) + int(ref.key)}
        return TileImage(ref.id, np.zeros((0, 0, 3), np.uint8), self.layer, tile=ref.tile, vectors=vectors)


def test_ready_made_vectors_are_used_as_they_are(tmp_path: Path) -> None:
    source = ReadyMade(versions=dict.fromkeys(range(3), "1"))
    run(tmp_path, source)
    found = rows(tmp_path, "vector_semantic", "thumbnail", "width")
    assert found[source.id(0)]["vector_semantic"] == pytest.approx([0.6, 0, 0.8, 0])
    assert (found[source.id(1)]["thumbnail"], found[source.id(1)]["width"]) == (b"", 0)
    source.space = "other"  # type: ignore[misc]
    with pytest.raises(SpaceMismatch, match="space 'other'"):
        run(tmp_path / "b", source)
    source.space, source.vector = "semantic", (1.0, 2.0)  # type: ignore[misc,assignment]
    with pytest.raises(SpaceMismatch, match="2 dimensions"):
        run(tmp_path / "c", source)


class TwoSpaces(ToyEncoder):
    """A second space that knows aerial pictures only."""

    @property
    def spaces(self) -> dict[str, EmbeddingSpace]:  # type: ignore[override]
        second = EmbeddingSpace(
            name="structure", dim=3, metric="inner_product", modalities=("aerial",), weights="w", preprocessing="p"
        )
        return {**super().spaces, "structure": second}

    def encode(self, items: Sequence[Any], modality: Any, role: Any = "gallery") -> dict[str, Any]:
        made = super().encode(items, modality, role)
        return made | ({"structure": made["semantic"][:, :3] * 5} if modality == "aerial" else {})


def test_any_number_of_spaces(tmp_path: Path) -> None:
    run(tmp_path, drawn(5), drawn(5, layer="map"), encoder=TwoSpaces())
    for row in rows(tmp_path, "layer", "vector_semantic", "vector_structure").values():
        if row["layer"] == "map":
            assert row["vector_structure"] is None
        else:
            assert row["vector_structure"] == pytest.approx(np.multiply(row["vector_semantic"][:3], 5))
    findings = diagnose(tmp_path, LanceStore.open(tmp_path), read_manifest(tmp_path))
    assert [finding for finding in findings if finding.level == "error"] == []


class Raises(DrawnSource):
    """Raises something at one picture."""

    error: BaseException = ValueError("odd header")

    def read(self, ref: TileRef) -> TileImage:
        if ref.key == "3":
            raise self.error
        return super().read(ref)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadInput("x.tif", "is truncated"), "is truncated"),
        (PermissionError(errno.EACCES, "Permission denied", "x.tif"), "Permission denied"),
        (ValueError("odd header"), "ValueError: odd header"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_one_bad_picture_is_set_aside_whatever_it_does(tmp_path: Path, error: Exception, reason: str) -> None:
    source = Raises(versions=dict.fromkeys(range(20), "1"))
    source.error = error
    report = run(tmp_path, source)
    assert (report.rows, [item.reason for item in report.quarantined]) == (19, [reason])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory; use a smaller batch size"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space"),
        (UsageError("no such style"), "no such style"),
    ],
)
def test_what_no_picture_could_survive_ends_the_build_in_a_sentence(
    tmp_path: Path, error: Exception, sentence: str
) -> None:
    source = Raises(versions=dict.fromkeys(range(60), "1"))
    run(tmp_path, replace(drawn(0, uri="before"), versions=dict.fromkeys(range(500, 520), "1")))
    kept = rows(tmp_path, "vector_semantic")
    source.error = error
    with pytest.raises(GeoAnchorError, match=sentence):
        run(tmp_path, source)
    manifest = read_manifest(tmp_path)
    assert manifest.rows == LanceStore.open(tmp_path, manifest.table_version).count() == len(kept)
    source.error = BadInput("x", "y")
    assert run(tmp_path, source).rows == 20 + 59


def test_a_layer_that_the_model_does_not_know_is_wrong_use(tmp_path: Path) -> None:
    class AerialOnly(ToyEncoder):
        def encode(self, items: Sequence[Any], modality: Any, role: Any = "gallery") -> Any:
            raise UnsupportedModality(f"model 'toy' knows no {modality}")

    with pytest.raises(UnsupportedModality):
        run(tmp_path, drawn(5, layer="ground"), encoder=AerialOnly())


def test_a_failed_write_leaves_the_index_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, drawn(20))
    before = read_manifest(tmp_path)

    def full(self: LanceStore, rows: Sequence[Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LanceStore, "append", full)
        with pytest.raises(GeoAnchorError, match=r"the disk is full; free some space and run the same command again"):
            run(tmp_path, drawn(60))
    assert read_manifest(tmp_path) == before
    assert LanceStore.open(tmp_path).count() == 20
    report = run(tmp_path, drawn(60))
    assert (report.rows, report.added, report.unchanged, report.resumed) == (60, 40, 20, True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1.5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


class Photos(DrawnSource):
    """Pictures with 20 kB thumbnails that no disk can compress."""

    def read(self, ref: TileRef) -> TileImage:
        noise = np.random.default_rng(int(ref.key)).bytes(20_000)
        return replace(super().read(ref), encoded=b"\xff\xd8\xff" + noise)


def test_a_disk_that_fills_up(small_disk: Path) -> None:
    folder = small_disk / "town.index"
    few = Photos(versions=dict.fromkeys(range(20), "1"))
    run(folder, few)
    before, manifest = rows(folder, "thumbnail"), read_manifest(folder)
    many = Photos(versions=dict.fromkeys(range(200), "1"))
    with pytest.raises(GeoAnchorError, match="the disk is full; free some space"):
        run(folder, many)
    assert read_manifest(folder) == manifest
    store = LanceStore.open(folder, manifest.table_version)
    assert {row["id"]: row for row in store.columns(["id", "thumbnail"]).to_pylist()} == before
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run(folder, many).rows == 200
    assert json.loads((folder / "report.json").read_text())["resumed"]


def test_tables_without_a_manifest_are_not_taken_over(tmp_path: Path) -> None:
    run(tmp_path, drawn(5))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(GeoAnchorError, match="no manifest"):
        run(tmp_path, drawn(5))
    with pytest.raises(UsageError, match="at least one source"):
        run(tmp_path)
