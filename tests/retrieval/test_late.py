"""Segments of a snapshot, late interaction against a plain loop, and segments as queries."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from geoanchor.errors import IndexCorrupt, UsageError
from geoanchor.image import TileImage
from geoanchor.manifest import Manifest, SegmentRecord
from geoanchor.protocols import Row
from geoanchor.query import Hit, LikePart, PointPart, Query, TextPart
from geoanchor.segment import Segment
from geoanchor.tiling import tile_at
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore
from retrieval.late import BLOCK, SHARE
from retrieval.searcher import Searcher
from retrieval.serving import Serving, serving_folder
from retrieval.snapshot import derive_serving

ROWS = 3 * BLOCK + 40
RING = np.array([[0, 0], [32768, 0], [32768, 65535], [0, 65535]], np.uint16)


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest, dict[str, Row]]:
    """Rows with none to six segments, in an order that is not the serving order; some on no place."""
    folder = tmp_path_factory.mktemp("late")
    encoder, random = ToyEncoder(), np.random.default_rng(4)
    store = LanceStore.create(folder, encoder.spaces)
    rows = []
    for i in range(ROWS):
        tile = tile_at(14.5 - 0.003 * (i % 37), 48.2 + 0.002 * (i // 37), 17) if i % 9 else None
        image = TileImage(
            id=f"t{i}", pixels=np.zeros((2, 2, 3), np.uint8), layer="map" if i % 11 == 0 else "aerial", tile=tile
        )
        count = 0 if image.layer == "map" else int(random.integers(1, 7))
        segments = [
            Segment(RING if number else RING[:0], 0.4, 0.2, 1 / count, unit(random.random(4) + 0.01))
            for number in range(count)
        ]
        vectors = {"semantic": unit(random.random(4) + 0.01)}
        rows.append(Row(image, tile.cell(10) if tile else 0, "s", "h", b"", vectors, segments=segments))
    for start in range(0, ROWS, 150):
        store.append(rows[start : start + 150])
    store.replace_texts([], [], [], {})
    manifest = Manifest(
        model="toy", spaces=dict(encoder.spaces), rows=store.count(), table_version=store.version,
        texts_version=store.texts_version, segments=SegmentRecord(method="regions", space="semantic"),
    )  # fmt: skip
    return folder, derive_serving(folder, store, manifest), {row.image.id: row for row in rows}


@pytest.fixture(scope="module")
def searcher(made: tuple[Path, Manifest, dict[str, Row]]) -> Searcher:
    return Searcher(Serving.open(made[0], made[1]), ToyEncoder)


def query(**more: object) -> Query:
    return Query.model_validate({"parts": [TextPart(text="red roof")], "relations": False, **more})


def kept(vector: np.ndarray) -> np.ndarray:
    """As an index keeps it."""
    return vector.astype(np.float16).astype(np.float64)


def late_scores(rows: dict[str, Row], wanted: np.ndarray, names: list[str]) -> dict[str, float]:
    """By the definition, one row after the other."""
    scores = {}
    for name in names:
        row = rows[name]
        whole = math.fsum((row.vectors["semantic"].astype(np.float64) * wanted).tolist())
        parts = [math.fsum((kept(part.vector) * wanted).tolist()) for part in row.segments]
        scores[name] = whole if not parts else (1 - SHARE) * whole + SHARE * max(parts)
    return scores


def test_late_interaction_equals_the_plain_loop(
    made: tuple[Path, Manifest, dict[str, Row]], searcher: Searcher
) -> None:
    wanted = ToyEncoder().encode(["red roof"], "text")["semantic"][0].astype(np.float64)
    plain = searcher.search(query(k=ROWS)).hits
    late = searcher.search(query(k=ROWS, rerank="segments")).hits
    assert [hit.rank for hit in late] == list(range(1, ROWS + 1))
    for start in range(0, ROWS, BLOCK):
        names = [hit.id for hit in plain[start : start + BLOCK]]
        expected = late_scores(made[2], wanted, names)
        block = late[start : start + BLOCK]
        assert {hit.id for hit in block} == set(names)
        assert [hit.score for hit in block] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-5)
        assert all(hit.score == pytest.approx(expected[hit.id], abs=1e-5) for hit in block)
    assert [hit.id for hit in plain[:BLOCK]] != [hit.id for hit in late[:BLOCK]]


def test_pages_are_pieces_of_one_order(searcher: Searcher) -> None:
    whole = [hit.id for hit in searcher.search(query(k=ROWS, rerank="segments")).hits]
    for offset, k in ((0, 7), (BLOCK - 3, 9), (3 * BLOCK - 1, 500)):
        page = searcher.search(query(k=k, offset=offset, rerank="segments")).hits
        assert [hit.id for hit in page] == whole[offset : offset + k]


def test_every_hit_tells_its_likest_segment(made: tuple[Path, Manifest, dict[str, Row]], searcher: Searcher) -> None:
    wanted = ToyEncoder().encode(["red roof"], "text")["semantic"][0]
    told = 0
    for hit in searcher.search(query(k=ROWS)).hits:
        row = made[2][hit.id]
        scores = [float(kept(part.vector) @ wanted) for part in row.segments]
        if not scores or np.argmax(scores) == 0:  # none, or the whole picture
            assert "segment" not in hit.why
            continue
        told += 1
        why = hit.why["segment"]
        assert (why["number"], why["score"]) == (int(np.argmax(scores)), pytest.approx(max(scores), abs=1e-4))
        assert why["picture"] == [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
        check_outline(hit, why["outline"])
    assert told > ROWS / 2


def check_outline(hit: Hit, outline: list[list[float]]) -> None:
    if hit.bounds is None:
        assert outline == hit.why["segment"]["picture"]
        return
    west, south, east, north = hit.bounds
    middle = (west + east) / 2
    for found, corner in zip(outline, [(west, north), (middle, north), (middle, south), (west, south)], strict=True):
        assert found == pytest.approx(corner, abs=1e-5)


def test_a_segment_as_a_query(made: tuple[Path, Manifest, dict[str, Row]], searcher: Searcher) -> None:
    row = next(row for row in made[2].values() if len(row.segments) >= 3)
    part = LikePart(id=row.image.id, segment=2)
    hits = searcher.search(Query(parts=(part,), k=50)).hits
    wanted = unit(kept(row.segments[2].vector))
    assert row.image.id not in {hit.id for hit in hits}
    assert all(
        hit.score == pytest.approx(float(made[2][hit.id].vectors["semantic"] @ wanted), abs=1e-5) for hit in hits
    )
    others = [float(other.vectors["semantic"] @ wanted) for name, other in made[2].items() if name != row.image.id]
    assert hits[0].score == pytest.approx(max(others), abs=1e-5)
    with pytest.raises(UsageError, match="there is no segment 9"):
        searcher.search(Query(parts=(LikePart(id=row.image.id, segment=9),)))


def test_what_late_interaction_cannot_reorder_is_refused(searcher: Searcher) -> None:
    for parts in ((PointPart(lng=14.5, lat=48.2),), (TextPart(text="red"), PointPart(lng=14.5, lat=48.2))):
        with pytest.raises(UsageError, match="needs words, pictures or rows alone"):
            searcher.search(Query(parts=parts, rerank="segments"))


def test_a_relation_tells_the_segment_of_its_subject(
    made: tuple[Path, Manifest, dict[str, Row]], searcher: Searcher
) -> None:
    hits = searcher.search(Query(parts=(TextPart(text="red roof by the river"),), k=40)).hits
    assert any("relation" in hit.why and "segment" in hit.why for hit in hits)


def test_an_index_without_segments_says_so(made: tuple[Path, Manifest, dict[str, Row]]) -> None:
    folder, manifest, _ = made
    bare = Searcher(Serving(folder, manifest.model_copy(update={"segments": None})), ToyEncoder)
    assert all("segment" not in hit.why for hit in bare.search(query()).hits)
    with pytest.raises(UsageError, match="has no segments; build an index with `--segments regions`"):
        bare.search(query(rerank="segments"))
    with pytest.raises(UsageError, match="segment 1 of 't1' cannot be asked for"):
        bare.search(Query(parts=(LikePart(id="t1", segment=1),)))


def test_a_snapshot_with_damaged_segments_is_refused(
    made: tuple[Path, Manifest, dict[str, Row]], tmp_path: Path
) -> None:
    folder, manifest, _ = made
    target = serving_folder(tmp_path, manifest)
    target.mkdir(parents=True)
    for path in serving_folder(folder, manifest).iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    (target / "segments.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(IndexCorrupt, match="segments cannot be read"):
        Searcher(Serving(tmp_path, manifest), ToyEncoder).search(query())


def test_indexes_of_before_there_were_segments_still_take_rows(tmp_path: Path) -> None:
    import lance

    encoder = ToyEncoder()
    store = LanceStore.create(tmp_path, encoder.spaces)
    old = lance.dataset(tmp_path / "tiles.lance")
    old.drop_columns(["segments", "segment_vectors"])
    image = TileImage(id="t", pixels=np.zeros((2, 2, 3), np.uint8), layer="aerial")
    store = LanceStore.open(tmp_path)
    store.append([Row(image, 0, "s", "h", b"", {"semantic": unit(np.ones(4))})])
    assert store.count() == 1
