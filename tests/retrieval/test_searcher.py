"""Asking an index: ranking, filters, pages, mixtures, refusals."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from rasterio import Affine
from rasterio.io import MemoryFile

from geoanchor.errors import BadInput, SpaceMismatch, UnsupportedModality, UsageError
from geoanchor.manifest import Manifest
from geoanchor.query import (
    BoundsRegion,
    ImagePart,
    LikePart,
    PointPart,
    Query,
    RadiusRegion,
    TextPart,
)
from geoanchor.tiling import Bounds, Tile, cell_at, distance_m, tile_at
from models.toy import ToyEncoder
from retrieval.index.lance import vector_column
from retrieval.searcher import Searcher
from retrieval.serving import ROW_COLUMNS, Serving
from retrieval.snapshot import derive_serving

COLOURS = ("red", "green", "blue", "yellow", "white")


class MemoryStore:
    """Rows and texts as the store of record hands them out, without a store."""

    def __init__(self, rows: Sequence[dict], texts: Sequence[str], encoder: ToyEncoder) -> None:
        self._rows = rows
        self._texts = texts
        self._encoder = encoder
        self._dim = encoder.spaces["semantic"].dim

    def columns(self, names: Sequence[str]) -> pa.Table:
        kinds = {
            "z": pa.int32(), "x": pa.int32(), "y": pa.int32(), "cell": pa.uint64(), "tags": pa.list_(pa.string()),
            "acquired": pa.timestamp("us", "UTC"), vector_column("semantic"): pa.list_(pa.float32(), self._dim),
        }  # fmt: skip
        words = ("id", "layer", "source", "attribution", "caption")
        columns = {
            name: pa.array(
                [row.get(name) for row in self._rows], kinds.get(name, pa.string() if name in words else pa.float64())
            )
            for name in names
        }
        return pa.table(columns)

    def texts(self) -> pa.Table:
        vectors = self._encoder.encode(self._texts, "text")["semantic"]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), self._dim)
        return pa.table({"text": list(self._texts), vector_column("semantic"): column})


def make_row(tile: Tile, layer: str, vector: np.ndarray | None, **more: object) -> dict:
    bounds, (lng, lat) = tile.bounds, tile.center
    return {
        "id": f"{layer}/{tile}", "layer": layer, "z": tile.z, "x": tile.x, "y": tile.y, "west": bounds.west,
        "south": bounds.south, "east": bounds.east, "north": bounds.north, "lng": lng, "lat": lat,
        "cell": cell_at(lng, lat, 10), "gsd_m": 0.8, "source": "made", "tags": ["a=b"], "caption": "",
        vector_column("semantic"): None if vector is None else vector.tolist(), **more,
    }  # fmt: skip


def town(side: int = 12, seed: int = 0) -> list[dict]:
    """A square of tiles, aerial and map, each of a random colour, and one photo of no known place."""
    random = np.random.default_rng(seed)
    first = tile_at(14.5, 48.2, 17)
    rows = []
    for i in range(side * side):
        tile = Tile(17, first.x + i % side, first.y + i // side)
        for layer in ("aerial", "map"):
            pixels = random.integers(0, 256, (2, 2, 3)).astype(np.uint8)
            vector = ToyEncoder().encode([pixels], "aerial")["semantic"][0]
            rows.append(make_row(tile, layer, vector, acquired=datetime(2020, 1, 1 + i % 28, tzinfo=UTC)))
    lost = make_row(first, "ground", ToyEncoder().encode(["red"], "text")["semantic"][0])
    lost |= dict.fromkeys(("z", "x", "y", "west", "south", "east", "north", "lng", "lat", "acquired")) | {"cell": 0}
    return [*rows, lost | {"id": "ground/lost"}]


def make_searcher(
    folder: Path, rows: Sequence[dict], encoder: ToyEncoder | None = None, texts: Sequence[str] = COLOURS
) -> Searcher:
    encoder = encoder or ToyEncoder()
    manifest = Manifest(model="toy", spaces=dict(encoder.spaces), rows=len(rows), texts=len(texts), table_version=3)
    manifest = derive_serving(folder, MemoryStore(rows, texts, encoder), manifest)
    return Searcher(Serving.open(folder, manifest), lambda: encoder)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return town()


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> Searcher:
    return make_searcher(tmp_path_factory.mktemp("town"), rows)


def png(colour: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).convert(mode).save(out, "PNG")
    return out.getvalue()


def red_query(**more: object) -> Query:
    return Query.model_validate({"parts": (TextPart(text="red"),), **more})


def cosines(rows: list[dict], word: str) -> dict[str, float]:
    """The oracle: plain loops in double precision."""
    query = ToyEncoder().encode([word], "text")["semantic"][0].astype(float)
    return {row["id"]: sum(a * b for a, b in zip(row[vector_column("semantic")], query, strict=True)) for row in rows}


def test_text_ranks_by_cosine(searcher: Searcher, rows: list[dict]) -> None:
    truth = cosines(rows, "red")
    answer = searcher.search(red_query(k=25))
    assert [hit.id for hit in answer.hits] == sorted(truth, key=truth.get, reverse=True)[:25]
    assert [hit.score for hit in answer.hits] == pytest.approx(sorted(truth.values(), reverse=True)[:25], abs=1e-6)
    assert [hit.rank for hit in answer.hits] == list(range(1, 26))
    assert answer.total == len(rows)
    assert answer.note == ""
    assert answer.hits[0].why["semantic"] == answer.hits[0].score


def test_hit_carries_the_facts_of_its_row(searcher: Searcher, rows: list[dict]) -> None:
    for hit in searcher.search(red_query(k=len(rows))).hits:
        row = next(row for row in rows if row["id"] == hit.id)
        assert hit.tile == (None if row["z"] is None else (row["z"], row["x"], row["y"]))
        assert (hit.lng, hit.lat, hit.layer, hit.acquired) == (row["lng"], row["lat"], row["layer"], row["acquired"])
        assert (hit.bounds is None) == (hit.cell is None) == (row["z"] is None)


@pytest.mark.parametrize("query", [red_query(), red_query(layer="map"), red_query(suppress_m=300.0),
                                   Query(parts=(PointPart(lng=14.51, lat=48.19),)),
                                   Query(parts=(TextPart(text="red"), PointPart(lng=14.51, lat=48.19)))])  # fmt: skip
def test_pages_joined_are_one_big_page(searcher: Searcher, rows: list[dict], query: Query) -> None:
    whole = searcher.search(query.model_copy(update={"k": len(rows)})).hits
    pages = [
        searcher.search(query.model_copy(update={"k": 7, "offset": at})).hits for at in range(0, len(whole) + 7, 7)
    ]
    assert tuple(hit for page in pages for hit in page) == whole
    assert len({hit.id for hit in whole}) == len(whole)
    assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)
    assert [hit.rank for hit in whole] == list(range(1, len(whole) + 1))


def test_filters_come_before_the_search(searcher: Searcher, rows: list[dict]) -> None:
    disc = RadiusRegion(lng=rows[100]["lng"], lat=rows[100]["lat"], radius_m=500.0)
    since, until = datetime(2020, 1, 5, tzinfo=UTC), datetime(2020, 1, 20, tzinfo=UTC)
    answer = searcher.search(red_query(region=disc, layer="map", since=since, until=until, k=500))
    truth = cosines(rows, "red")
    expected = [
        row["id"]
        for row in rows
        if row["layer"] == "map"
        and distance_m(disc.lng, disc.lat, row["lng"], row["lat"]) <= 500
        and since <= row["acquired"] <= until
    ]
    assert [hit.id for hit in answer.hits] == sorted(expected, key=truth.get, reverse=True)
    assert answer.total == len(expected) > 3
    assert "region, layer, since, until" in answer.note


def test_time_filter_includes_both_ends_and_leaves_out_the_undated(searcher: Searcher) -> None:
    day = datetime(2020, 1, 3)
    hits = searcher.search(red_query(since=day, until=day, k=1000)).hits
    assert {hit.acquired for hit in hits} == {day.replace(tzinfo=UTC)}
    assert all(hit.id != "ground/lost" for hit in searcher.search(red_query(until=datetime.now(UTC), k=1000)).hits)


def test_an_empty_region_says_so(searcher: Searcher) -> None:
    nowhere = BoundsRegion(bounds=Bounds(0, 0, 0.001, 0.001))
    answer = searcher.search(red_query(region=nowhere))
    assert answer.hits == ()
    assert answer.total == 0
    assert answer.note == "no row is left after the filters (region)"


def test_a_coordinate_gives_the_tile_that_holds_it_then_the_nearest(searcher: Searcher, rows: list[dict]) -> None:
    west, south, east, north = (rows[60][name] for name in ("west", "south", "east", "north"))
    # In the tile's corner, where a neighbour's centre may be as near.
    lng, lat = west + (east - west) * 0.02, south + (north - south) * 0.02
    hits = searcher.search(Query(parts=(PointPart(lng=lng, lat=lat),), k=1000)).hits
    assert {hit.id for hit in hits[:2]} == {rows[60]["id"], rows[61]["id"]}
    assert hits[0].why["holds_point"]
    metres = [hit.why["distance_m"] for hit in hits[2:]]
    assert metres == sorted(metres)
    assert len(hits) == len(rows) - 1


def test_like_a_row_leaves_it_out_and_needs_no_encoder(tmp_path: Path, rows: list[dict]) -> None:
    searcher = Searcher(make_searcher(tmp_path, rows)._serving, lambda: pytest.fail("the encoder was opened"))
    hits = searcher.search(Query(parts=(LikePart(id=rows[5]["id"]),), k=1000)).hits
    assert rows[5]["id"] not in {hit.id for hit in hits}
    own = np.array(rows[5][vector_column("semantic")])
    others = {row["id"]: float(own @ row[vector_column("semantic")]) for row in rows if row is not rows[5]}
    assert hits[0].id == max(others, key=others.get)
    with pytest.raises(UsageError, match="'nobody'"):
        searcher.search(Query(parts=(LikePart(id="nobody"),)))


def test_negatives_turn_the_query_away(searcher: Searcher) -> None:
    plain = searcher.search(Query(parts=(TextPart(text="yellow"),))).hits
    away = searcher.search(Query(parts=(TextPart(text="yellow"), TextPart(text="green", weight=-0.8)))).hits
    assert away[0].id != plain[0].id
    assert [part["weight"] for part in away[0].why["parts"]] == [1.0, -0.8]
    vectors = ToyEncoder().encode(["yellow", "green"], "text")["semantic"].astype(float)
    mixed = vectors[0] - 0.8 * vectors[1]
    parts = [part["score"] for part in away[0].why["parts"]]
    assert away[0].score == pytest.approx((parts[0] - 0.8 * parts[1]) / np.linalg.norm(mixed), abs=1e-5)


def test_a_picture_finds_its_colour(searcher: Searcher, rows: list[dict]) -> None:
    truth = cosines(rows, "blue")
    hits = searcher.search(Query(parts=(ImagePart(layer="aerial", data=png("#0000ff")),))).hits
    assert hits[0].id == max(truth, key=truth.get)


@pytest.mark.parametrize("data", [b"no picture", png("red")[:45], b"\x89PNG\r\n\x1a\n"])
def test_a_broken_picture_is_one_sentence(searcher: Searcher, data: bytes) -> None:
    with pytest.raises(BadInput, match=r"the map picture of the query: (is not a picture|is damaged)"):
        searcher.search(Query(parts=(ImagePart(layer="map", data=data),)))


@pytest.mark.parametrize("bands", [1, 3])
def test_a_raster_of_16_bits_is_called_that(searcher: Searcher, bands: int) -> None:
    values = np.random.default_rng(0).integers(0, 2000, (bands, 32, 32), dtype=np.uint16)
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=32, height=32, count=bands, dtype="uint16", transform=Affine.scale(2, -2)
        ) as raster:
            raster.write(values)
        data = file.read()
    query = Query(parts=(ImagePart(layer="aerial", data=data),))
    if bands == 1:
        assert searcher.search(query).hits  # A grey picture of 16 bits is stretched.
    else:
        with pytest.raises(BadInput, match="make 8-bit RGB of it"):
            searcher.search(query)


def test_another_model_of_the_same_dimension_is_refused(tmp_path: Path, rows: list[dict]) -> None:
    searcher = Searcher(make_searcher(tmp_path, rows)._serving, lambda: ToyEncoder(salt="other"))
    with pytest.raises(SpaceMismatch, match="open it with the model it was built with"):
        searcher.search(red_query())
    with pytest.raises(SpaceMismatch):
        searcher.describe(np.zeros((2, 2, 3), np.uint8), "aerial")


def test_unknown_space_and_reranker_and_modality_are_refused(tmp_path: Path, searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="no space 'structure'"):
        searcher.search(red_query(spaces=("structure",)))
    with pytest.raises(UsageError, match="'magic'"):
        searcher.search(red_query(rerank="magic"))
    encoder = ToyEncoder()
    encoder._space = encoder._space.model_copy(update={"modalities": ("aerial", "text")})
    deaf = make_searcher(tmp_path, town(2), encoder)
    with pytest.raises(UnsupportedModality, match="no space knows map; semantic knows aerial, text"):
        deaf.search(Query(parts=(ImagePart(layer="map", data=png("red")),)))


def test_suppression_keeps_the_best_of_each_neighbourhood(searcher: Searcher, rows: list[dict]) -> None:
    ranked = searcher.search(red_query(k=len(rows))).hits
    kept: list = []
    for hit in ranked:
        near = (
            other for other in kept
            if hit.lng is not None and other.lng is not None
            and distance_m(hit.lng, hit.lat, other.lng, other.lat) < 450
        )  # fmt: skip
        if not any(near):
            kept.append(hit)
    shown = searcher.search(red_query(k=len(rows), suppress_m=450.0))
    assert [hit.id for hit in shown.hits] == [hit.id for hit in kept]
    assert 10 < len(kept) < len(rows) / 4
    assert "within 450 m of a better one" in shown.note


def test_order_of_building_does_not_matter(tmp_path: Path, rows: list[dict], searcher: Searcher) -> None:
    shuffled = [rows[i] for i in np.random.default_rng(3).permutation(len(rows))]
    other = make_searcher(tmp_path, shuffled)
    assert other.search(red_query(k=1000)) == searcher.search(red_query(k=1000))


def test_equal_scores_keep_the_serving_order(tmp_path: Path) -> None:
    same = ToyEncoder().encode(["red"], "text")["semantic"][0]
    alike = [row | {vector_column("semantic"): same.tolist()} for row in town(8)]
    searcher = make_searcher(tmp_path, alike)
    ids = [hit.id for hit in searcher.search(red_query(k=1000)).hits]
    order = sorted(alike, key=lambda row: (row["cell"], row["layer"], row["id"]))
    assert ids == [row["id"] for row in order]
    assert [hit.id for hit in searcher.search(red_query(k=9, offset=40)).hits] == ids[40:49]


def test_adding_a_tile_never_loses_a_hit(tmp_path: Path, rows: list[dict], searcher: Searcher) -> None:
    before = [hit.id for hit in searcher.search(red_query(k=20)).hits]
    more = make_row(Tile(17, 5, 5), "aerial", ToyEncoder().encode(["white"], "text")["semantic"][0])
    after = [hit.id for hit in make_searcher(tmp_path, [*rows, more]).search(red_query(k=21)).hits]
    assert [row_id for row_id in after if row_id != more["id"]][:20] == before


def test_rows_without_a_vector_are_not_compared(tmp_path: Path) -> None:
    rows = town(4)
    rows[3][vector_column("semantic")] = None
    rows[8][vector_column("semantic")] = None
    answer = make_searcher(tmp_path, rows).search(red_query(k=100))
    assert {rows[3]["id"], rows[8]["id"]}.isdisjoint(hit.id for hit in answer.hits)
    assert answer.total == len(rows) - 2


def test_describe_gives_the_texts_of_a_picture(searcher: Searcher) -> None:
    found = searcher.describe(np.full((4, 4, 3), (255, 255, 0), np.uint8), "aerial", k=2)
    assert found[0].text == "yellow"
    assert found[0].score > found[1].score


def test_searching_loads_neither_torch_nor_a_database(tmp_path: Path, rows: list[dict]) -> None:
    searcher = make_searcher(tmp_path, rows)
    (tmp_path / "manifest.json").write_text(searcher._serving.manifest.model_dump_json(), "utf-8")
    code = (
        "import sys; from pathlib import Path; from geoanchor.manifest import read_manifest; "
        "from geoanchor.query import Query, TextPart; from models.toy import ToyEncoder; "
        "from retrieval.searcher import Searcher; from retrieval.serving import Serving; "
        "folder = Path(sys.argv[1]); serving = Serving.open(folder, read_manifest(folder)); "
        "answer = Searcher(serving, ToyEncoder).search(Query(parts=(TextPart(text='red'),))); "
        "assert len(answer.hits) == 10; "
        "print(sorted({'torch', 'lancedb', 'lance', 'faiss', 'gradio'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_columns_of_the_store_cover_what_a_search_reads() -> None:
    from retrieval.index import lance

    assert set(ROW_COLUMNS) <= {name for name, _, _ in lance._FACTS}


def colour_row(tile: Tile, word: str) -> dict:
    return make_row(tile, "aerial", ToyEncoder().encode([word], "text")["semantic"][0])


def test_a_relation_beats_the_plain_sentence_and_says_why(tmp_path: Path) -> None:
    first = tile_at(14.5, 48.2, 17)
    words = {(5, 5): "red", (6, 5): "blue", (14, 14): "red", (3, 14): "red blue"}
    grid = [(x, y) for x in range(20) for y in range(20)]
    rows = [colour_row(Tile(17, first.x + x, first.y + y), words.get((x, y), "green")) for x, y in grid]
    searcher = make_searcher(tmp_path, rows)
    answer = searcher.search(Query(parts=(TextPart(text="red by the blue"),), k=400))
    best = answer.hits[0]
    assert best.tile == (17, first.x + 5, first.y + 5)
    why = best.why["relation"]
    assert why["object_id"] == f"aerial/{Tile(17, first.x + 6, first.y + 5)}"
    assert 100 < why["distance_m"] < 300
    assert best.score == pytest.approx(why["subject_score"] * (0.02 + 0.98 * why["object_score"] * 0.73), rel=0.1)
    assert len({hit.id for hit in answer.hits}) == 400
    plain = searcher.search(Query(parts=(TextPart(text="red by the blue"),), relations=False))
    assert plain.hits[0].tile == (17, first.x + 3, first.y + 14)
    assert "relation" not in plain.hits[0].why


def test_a_relation_mixes_with_other_parts(searcher: Searcher, rows: list[dict]) -> None:
    parts = (TextPart(text="red by the blue"), TextPart(text="green", weight=-0.5), LikePart(id=rows[3]["id"]))
    hits = searcher.search(Query(parts=parts, k=50)).hits
    assert {"relation", "semantic", "parts"} <= hits[0].why.keys()
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
