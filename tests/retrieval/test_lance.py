"""The store of record against a plain dictionary, and against LanceDB itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoanchor.errors import IndexCorrupt, NotAnIndex, UsageError
from geoanchor.image import TileImage
from geoanchor.manifest import Manifest
from geoanchor.protocols import Row, RowStore
from geoanchor.space import EmbeddingSpace
from geoanchor.tiling import Tile
from retrieval.index.lance import LanceStore

SPACES = {
    "semantic": EmbeddingSpace(name="semantic", dim=4, modalities=("aerial", "text"), weights="w", preprocessing="p"),
    "structure": EmbeddingSpace(name="structure", dim=3, modalities=("aerial",), weights="v", preprocessing="p"),
}


def row(id_: str, *, stamp: str = "1", cell: int = 0, tile: Tile | None = None, structure: bool = True) -> Row:
    seed = sum(id_.encode()) + len(stamp)
    vectors = {"semantic": np.arange(seed, seed + 4, dtype=np.float32)}
    if structure:
        vectors["structure"] = np.full(3, seed, np.float32)
    image = TileImage(
        id_,
        np.zeros((8, 6, 3), np.uint8),
        "aerial",
        tile=tile,
        gsd_m=0.3 if tile else None,
        acquired=datetime(2024, 5, 1, tzinfo=UTC) if tile else None,
        source="test",
        tags=("building=yes", "water=river") if tile else (),
        caption=f"a picture of {id_}",
    )
    return Row(image, cell, stamp, f"hash-{id_}", id_.encode() * 50, vectors)


@pytest.fixture
def store(tmp_path: Path) -> LanceStore:
    return LanceStore.create(tmp_path / "town.index", SPACES)


def test_every_fact_comes_back(store: LanceStore) -> None:
    tile = Tile(19, 386690, 220241)
    store.append([row("a", tile=tile, cell=tile.cell(10)), row("b", structure=False)])
    placed, bare = store.fetch(["a", "b"], ["id", "z", "x", "y"]).to_pylist()
    assert (placed["z"], placed["x"], placed["y"]) == (19, 386690, 220241)
    assert bare["z"] is None
    a, b = store.columns(store_schema(store).names).to_pylist()
    assert (a["west"], a["south"], a["east"], a["north"]) == pytest.approx(tile.bounds)
    assert (a["lng"], a["lat"]) == tile.center
    assert a["cell"] == tile.cell(10) > 2**58
    assert a["acquired"] == datetime(2024, 5, 1, tzinfo=UTC)
    assert a["tags"] == ["building=yes", "water=river"]
    assert (a["width"], a["height"], a["thumbnail"]) == (6, 8, b"a" * 50)
    assert b["lng"] is None
    assert b["vector_structure"] is None
    assert b["vector_semantic"] == [99.0, 100.0, 101.0, 102.0]


def stamps(store: LanceStore) -> dict[str, str]:
    rows = store.columns(["id", "stamp"])
    return dict(zip(rows["id"].to_pylist(), rows["stamp"].to_pylist(), strict=True))


def store_schema(store: LanceStore) -> pa.Schema:
    import lance

    return lance.dataset(store.folder / "tiles.lance").schema


def test_it_is_a_row_store_and_a_lancedb_table(store: LanceStore) -> None:
    import lancedb

    contract: RowStore = store
    contract.append([row("a")])
    assert lancedb.connect(store.folder).open_table("tiles").count_rows() == 1
    assert store.spaces == ("semantic", "structure")


def test_one_commit_each_and_ids_replace(store: LanceStore) -> None:
    start = store.version
    store.append([row("a"), row("b")])
    assert store.version == start + 1
    store.append([row("b", stamp="22"), row("c")])
    assert store.version == start + 2
    assert stamps(store) == {"a": "1", "b": "22", "c": "1"}
    assert stamps(LanceStore.open(store.folder, start + 1)) == {"a": "1", "b": "1"}
    assert store.delete(["a", "never", "o'hara"]) == 1
    assert store.version == start + 3
    assert store.delete(["never"]) == 0
    assert LanceStore.open(store.folder, start + 1).count() == 2
    assert stamps(LanceStore.open(store.folder)) == {"b": "22", "c": "1"}


def test_fetch_keeps_the_order_asked_for(store: LanceStore) -> None:
    store.append([row(name) for name in "abcdef"])
    store.delete(["b"])
    assert store.fetch(["f", "x", "a", "b", "f", "c"], ["id"])["id"].to_pylist() == ["f", "a", "f", "c"]
    assert store.fetch([], ["id"]).num_rows == 0
    assert store.fetch(["x"], ["id", "thumbnail"]).schema.names == ["id", "thumbnail"]


def test_an_empty_store_answers(store: LanceStore) -> None:
    assert (store.count(), stamps(store), store.columns(["id"]).num_rows) == (0, {}, 0)
    assert store.fetch(["a"], ["id"]).num_rows == 0
    store.append([])
    store.compact()
    assert store.texts().num_rows == 0


IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["append", "delete", "compact"]), st.lists(IDS, max_size=6)), max_size=6)
)
def test_behaves_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[str]]]
) -> None:
    store = LanceStore.create(tmp_path_factory.mktemp("index"), SPACES)
    oracle: dict[str, str] = {}
    for number, (action, ids) in enumerate(steps):
        if action == "append":
            store.append([row(id_, stamp=str(number)) for id_ in ids])
            oracle |= dict.fromkeys(ids, str(number))
        elif action == "delete":
            assert store.delete(ids) == len(set(ids) & set(oracle))
            oracle = {id_: stamp for id_, stamp in oracle.items() if id_ not in ids}
        else:
            store.compact()
        assert stamps(store) == oracle
        assert store.count() == len(oracle)
    wanted = list(oracle)[::-1]
    assert store.fetch(wanted, ["id"])["id"].to_pylist() == wanted


def test_compaction_sorts_keeps_and_shrinks(store: LanceStore) -> None:
    tiles = [Tile(17, 70000 + i % 7, 40000 + i // 7) for i in range(60)]
    rows = [row(f"id{i:02}", tile=tile, cell=tile.cell(10)) for i, tile in enumerate(tiles)]
    for one in rows[::-1]:
        store.append([one])
    for _ in range(3):
        store.append(rows)
    store.append([row("bare")])
    before = {r["id"]: r for r in store.columns(["id", "thumbnail", "vector_semantic", "tags"]).to_pylist()}
    size = disk(store.folder)
    store.compact()
    after = store.columns(["cell", "layer", "id", "thumbnail", "vector_semantic", "tags"]).to_pylist()
    assert {r["id"]: {k: r[k] for k in before["bare"]} for r in after} == before
    keys = [(r["cell"], r["layer"], r["id"]) for r in after]
    assert keys == sorted(keys)
    assert keys[0] == (0, "aerial", "bare")
    compacted = disk(store.folder)
    assert compacted < size / 2
    store.compact()
    assert disk(store.folder) <= compacted * 1.1


def test_a_reader_outlives_a_compaction(store: LanceStore) -> None:
    store.append([row(f"id{i:02}") for i in range(40)])
    store.delete(["id03"])
    reader = LanceStore.open(store.folder)
    pinned = LanceStore.open(store.folder, store.version)
    ids = ["id07", "id03", "id01"]
    before = reader.fetch(ids, ["id"])
    store.delete(["id00"])
    store.compact()
    assert reader.fetch(ids, ["id"]) == before
    assert reader.fetch(ids, ["thumbnail"])["thumbnail"].to_pylist() == [b"id07" * 50, b"id01" * 50]
    assert pinned.fetch(ids, ["thumbnail"]) == reader.fetch(ids, ["thumbnail"])


def test_an_index_is_read_as_its_manifest_says_until_that_is_compacted_away(store: LanceStore) -> None:
    store.append([row("id01")])
    manifest = Manifest(model="toy", spaces={}, table_version=store.version)
    store.append([row("id02")])
    assert LanceStore.open_sealed(store.folder, manifest).count() == 1
    assert LanceStore.open(store.folder).count() == 2
    store.compact()
    assert LanceStore.open_sealed(store.folder, manifest).count() == 2


def test_many_rows_go_at_once(store: LanceStore) -> None:
    store.append([row(f"id{i}") for i in range(5000)])
    version = store.version
    assert store.delete([f"id{i}" for i in range(0, 5000, 2)]) == 2500
    assert (store.version, store.count()) == (version + 1, 2500)


def disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_texts_are_replaced_whole(store: LanceStore) -> None:
    vectors = {"semantic": np.eye(2, 4, dtype=np.float32)}
    store.replace_texts(["a stadium", "river"], ["caption", "tag"], [1, 7], vectors)
    store.replace_texts(["a stadium", "park"], ["caption", "tag"], [2, 3], vectors)
    texts = LanceStore.open(store.folder).texts()
    assert texts["text"].to_pylist() == ["a stadium", "park"]
    assert texts["count"].to_pylist() == [2, 3]
    assert texts["vector_semantic"].to_pylist()[1] == [0, 1, 0, 0]
    assert texts["vector_structure"].null_count == 2


def test_what_is_not_there_is_said(store: LanceStore, tmp_path: Path) -> None:
    with pytest.raises(NotAnIndex, match="geoanchor index"):
        LanceStore.open(tmp_path / "nothing")
    with pytest.raises(UsageError, match="already"):
        LanceStore.create(store.folder, SPACES)
    with pytest.raises(IndexCorrupt, match="version 99"):
        LanceStore.open(store.folder, 99)
    with pytest.raises(UsageError, match="no column altitude"):
        store.columns(["altitude"])
