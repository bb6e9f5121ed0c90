"""The serving snapshot: written whole, checked when opened, rebuilt when stale."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from geoanchor.errors import IndexCorrupt
from geoanchor.image import TileImage
from geoanchor.manifest import Manifest, write_manifest
from geoanchor.protocols import Row
from geoanchor.query import Query, TextPart
from geoanchor.tiling import tile_at
from models.toy import ToyEncoder
from retrieval.index.faiss import FaissIndex, build_faiss, open_faiss
from retrieval.index.flat import FlatIndex
from retrieval.index.lance import LanceStore
from retrieval.searcher import Searcher
from retrieval.serving import Serving, serving_folder
from retrieval.snapshot import derive_serving


def make_store(folder: Path, count: int = 40) -> LanceStore:
    encoder, random = ToyEncoder(), np.random.default_rng(0)
    store = LanceStore.create(folder, encoder.spaces)
    rows = []
    for i in range(count):
        image = TileImage(
            id=f"t{i}", pixels=random.integers(0, 256, (2, 2, 3)).astype(np.uint8), layer="aerial",
            tile=tile_at(14.5 + 0.003 * (i % 7), 48.2 + 0.002 * (i // 7), 17),
        )  # fmt: skip
        assert image.tile is not None
        vectors = {name: vector[0] for name, vector in encoder.encode([image.pixels], "aerial").items()}
        rows.append(Row(image, image.tile.cell(10), "s", "h", b"", vectors if i != 5 else {}))
    store.append(rows)
    store.replace_texts(["red", "blue"], ["tag", "tag"], [1, 1], encoder.encode(["red", "blue"], "text"))
    return store


def manifest_of(store: LanceStore) -> Manifest:
    return Manifest(
        model="toy", spaces=dict(ToyEncoder().spaces), rows=store.count(), table_version=store.version,
        texts_version=store.texts_version, checksums={"tiles.lance/x": "kept", "serving/0-0/rows.arrow": "dropped"},
    )  # fmt: skip


def test_a_snapshot_holds_the_store_in_h3_order(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    serving = Serving.open(tmp_path, manifest)
    ids, cells = serving.rows.column("id").to_pylist(), serving.rows.column("cell").to_pylist()
    assert sorted(ids) == sorted(store.columns(["id"])["id"].to_pylist())
    assert list(zip(cells, ids, strict=True)) == sorted(zip(cells, ids, strict=True))
    table = store.columns(["id", "vector_semantic"]).to_pylist()
    for row in table:
        position = serving.row_of(row["id"])
        assert position is not None
        expected = row["vector_semantic"] or [0, 0, 0, 0]
        assert serving.vector("semantic", position).tolist() == pytest.approx(expected)
    present = serving.present("semantic")
    assert present is not None
    assert set(range(40)) - set(present.tolist()) == {serving.row_of("t5")}
    assert serving.row_of("nobody") is None
    assert "tiles.lance/x" in manifest.checksums
    assert "serving/0-0/rows.arrow" not in manifest.checksums
    hits = Searcher(serving, ToyEncoder).search(Query(parts=(TextPart(text="red"),), k=100)).hits
    assert len(hits) == 39


def test_the_snapshot_before_stays_and_older_ones_go(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    folders = []
    for i in range(4):
        manifest = derive_serving(tmp_path, store, manifest_of(store))
        write_manifest(tmp_path, manifest)
        folders.append(serving_folder(tmp_path, manifest))
        store.delete([f"t{i}"])
    assert [folder.is_dir() for folder in folders] == [False, False, True, True]
    assert sorted(path.name for path in (tmp_path / "serving").iterdir()) == sorted(f.name for f in folders[2:])
    with pytest.raises(IndexCorrupt, match="missing or damaged"):
        Serving.open(tmp_path, manifest_of(store))


def test_the_manifest_s_snapshot_outlives_writers_that_never_come_to_the_manifest(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    write_manifest(tmp_path, manifest)
    for i in range(3):
        store.delete([f"t{i}"])
        derive_serving(tmp_path, store, manifest_of(store))
    assert len(Serving.open(tmp_path, manifest)) == manifest.rows


def test_a_loaded_snapshot_needs_its_folder_no_more(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    opened = Serving.open(tmp_path, manifest)
    opened.load()
    fresh = Serving.open(tmp_path, manifest)
    before = fresh.present("semantic"), len(fresh.texts("semantic")[0])
    assert before[0] is not None
    shutil.rmtree(serving_folder(tmp_path, manifest))
    np.testing.assert_array_equal(opened.present("semantic"), before[0])
    assert len(opened.texts("semantic")[0]) == before[1]


def test_deriving_again_over_a_leftover_gives_the_same(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    first = derive_serving(tmp_path, store, manifest_of(store))
    partial = serving_folder(tmp_path, first)
    (partial.with_name(partial.name + ".part")).mkdir()
    assert derive_serving(tmp_path, store, manifest_of(store)).checksums == first.checksums


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder, *folder.iterdir())}


def test_an_unchanged_snapshot_is_left_where_it_is(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    first = derive_serving(tmp_path, store, manifest_of(store))
    folder = serving_folder(tmp_path, first)
    before = identities(folder)
    assert derive_serving(tmp_path, store, manifest_of(store)).checksums == first.checksums
    assert identities(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_damaged_snapshot_is_replaced_even_where_sizes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.snapshot._HASHED_UP_TO", 0)
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    path = serving_folder(tmp_path, manifest) / "vectors.semantic.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert derive_serving(tmp_path, store, manifest_of(store)).checksums == manifest.checksums
    assert path.read_bytes() == whole
    assert [folder.name for folder in path.parent.parent.iterdir()] == [path.parent.name]


@pytest.mark.parametrize("killed_at", ["rename", "rmtree"])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_kill_while_it_is_replaced_loses_nothing(
    killed_at: str, damaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    folder = serving_folder(tmp_path, manifest)
    if damaged:
        (folder / "rows.arrow").write_bytes(b"")

    def killed(path: Path, *rest: object, **options: object) -> None:
        # Of the successor: what is cleared before it is written is not there yet.
        if path.name.endswith(".part") and path.exists():
            raise KeyboardInterrupt
        kept(path, *rest, **options)

    kept = Path.rename if killed_at == "rename" else shutil.rmtree
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(*(Path, "rename") if killed_at == "rename" else (shutil, "rmtree"), killed)
        derive_serving(tmp_path, store, manifest_of(store))
    if not damaged:
        use_everything(tmp_path, manifest)
    elif killed_at == "rename":
        assert folder.with_name(f"{folder.name}.old").is_dir()
    assert derive_serving(tmp_path, store, manifest_of(store)).checksums == manifest.checksums
    use_everything(tmp_path, manifest)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_a_killed_process_moved_aside_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    write_manifest(tmp_path, manifest)
    folder = serving_folder(tmp_path, manifest)
    folder.rename(folder.with_name(f"{folder.name}.old"))
    (folder.parent / "0-0.part").mkdir()
    store.delete(["t0"])
    newer = derive_serving(tmp_path, store, manifest_of(store).model_copy(update={"rows": 39}))
    use_everything(tmp_path, newer)
    use_everything(tmp_path, manifest)
    assert len(list(folder.parent.iterdir())) == 2


def use_everything(folder: Path, manifest: Manifest) -> None:
    searcher = Searcher(Serving.open(folder, manifest), ToyEncoder)
    searcher.search(Query(parts=(TextPart(text="red"),)))
    searcher.describe(np.zeros((2, 2, 3), np.uint8), "aerial")


@pytest.mark.parametrize("name", ["rows.arrow", "vectors.semantic.npy", "texts.arrow"])
def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    path = serving_folder(tmp_path, manifest) / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(IndexCorrupt, match="geoanchor doctor"):
        use_everything(tmp_path, manifest)
    path.unlink()
    with pytest.raises(IndexCorrupt, match="missing or damaged"):
        Serving.open(tmp_path, manifest)


def test_another_count_of_rows_is_noticed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    with pytest.raises(IndexCorrupt, match="40 rows where the manifest says 41"):
        Serving.open(tmp_path, manifest.model_copy(update={"rows": 41}))


def test_an_empty_index_answers(tmp_path: Path) -> None:
    store = LanceStore.create(tmp_path, ToyEncoder().spaces)
    manifest = derive_serving(tmp_path, store, manifest_of(store))
    searcher = Searcher(Serving.open(tmp_path, manifest), ToyEncoder)
    answer = searcher.search(Query(parts=(TextPart(text="red by the blue"),)))
    assert answer.hits == ()
    assert answer.note
    assert searcher.describe(np.zeros((2, 2, 3), np.uint8), "aerial") == ()


def clustered(count: int, dim: int = 32) -> np.ndarray:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, dim))[random.integers(0, 60, count)] + 0.5 * random.normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_faiss_reaches_its_recall_and_keeps_filters(tmp_path: Path) -> None:
    vectors = clustered(12_000)
    build_faiss(vectors, tmp_path / "ivf.index")
    index = open_faiss(tmp_path / "ivf.index", vectors, exact_rows=500)
    assert 1 <= index._ivf.nprobe < index._ivf.nlist
    random = np.random.default_rng(1)
    queries = vectors[::120] + 0.05 * random.standard_normal((100, 32)).astype(np.float32)
    for rows in (None, np.flatnonzero(random.random(len(vectors)) < 0.4)):
        truth, found = FlatIndex(vectors).search(queries, 10, rows), index.search(queries, 10, rows)
        assert np.mean([np.isin(a, b).mean() for a, b in zip(found[1], truth[1], strict=True)]) >= 0.98
        assert rows is None or np.isin(found[1], rows).all()
        same = found[1] == truth[1]
        assert (found[0][same] == truth[0][same]).all()
        assert (np.diff(found[0], axis=1) <= 0).all()


def test_large_galleries_are_served_by_faiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.snapshot.FAISS_FROM", 40)
    store = make_store(tmp_path)
    serving = Serving.open(tmp_path, derive_serving(tmp_path, store, manifest_of(store)))
    assert isinstance(serving.index("semantic"), FaissIndex)


def test_a_faiss_file_of_another_gallery_is_refused(tmp_path: Path) -> None:
    vectors = clustered(500)
    build_faiss(vectors, tmp_path / "ivf.index")
    with pytest.raises(IndexCorrupt, match="holds 500 x 32 vectors where 400 x 32 belong"):
        open_faiss(tmp_path / "ivf.index", vectors[:400])
    (tmp_path / "ivf.index").write_bytes(b"IwFl")
    with pytest.raises(IndexCorrupt, match="cannot read it"):
        open_faiss(tmp_path / "ivf.index", vectors)
