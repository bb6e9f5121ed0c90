"""The typed client: the same words, answers and errors as an index opened from disk; the same scores over the wire."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from PIL import Image
from queries import generated_queries
from served import serving

import geoanchor
from app.access import Access
from app.api import create_api
from app.client import RemoteIndex
from app.index import Index
from geoanchor.errors import BadInput, GeoAnchorError, UsageError
from geoanchor.query import Query, TextPart

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def local(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


@pytest.fixture(scope="module")
def url(local: Index) -> Iterator[str]:
    with serving(create_api(local, Access(token=TOKEN, requests_per_s=0))) as address:
        yield address


@pytest.fixture(scope="module")
def remote(url: str) -> Iterator[RemoteIndex]:
    with geoanchor.connect(url, token=TOKEN) as index:
        yield index


def test_200_queries_mean_the_same_in_python_and_over_rest(local: Index, remote: RemoteIndex) -> None:
    found = 0
    for query in generated_queries(list(local.search("red", k=40)), 200):
        mine, theirs = local.query(query), remote.query(query)
        assert theirs.answer.model_dump_json() == mine.answer.model_dump_json()
        found += len(mine)
    assert found > 500


@pytest.mark.parametrize("name", ["search", "query", "describe", "review", "reviews", "info", "thumbnails", "parse"])
def test_the_words_are_the_same(name: str) -> None:
    mine, theirs = (inspect.signature(getattr(kind, name)) for kind in (Index, RemoteIndex))
    assert str(theirs) == str(mine)


def test_a_polygon_is_sent_unless_it_is_too_long(remote: RemoteIndex) -> None:
    ring = [[0, 0], *([n / 1000, 1] for n in range(1000)), [0, 0]]
    with pytest.raises(UsageError, match="no map and aerial picture"):
        remote.changes(within={"type": "Polygon", "coordinates": [ring]})
    ring[1:1] = ring[1:-1] * 4
    with pytest.raises(UsageError, match="too many corners"):
        remote.changes(within={"type": "Polygon", "coordinates": [ring]})


def test_changes_has_the_same_words_but_progress() -> None:
    mine, theirs = (list(inspect.signature(kind.changes).parameters) for kind in (Index, RemoteIndex))
    assert theirs == [name for name in mine if name != "progress"]


def test_search_reads_texts_and_pictures_as_the_index_does(
    local: Index, remote: RemoteIndex, painted_folder: Path
) -> None:
    picture = next(painted_folder.rglob("*.png"))
    for words in ({"text": "red -blue"}, {"text": "-blue", "image": picture}, {"image": picture.read_bytes(), "k": 3},
                  {"text": "white", "near": (48.0, 10.0, 500), "layer": "map"}, {"at": (48.0, 10.0)},
                  {"text": "red", "literal": True}):  # fmt: skip
        assert list(remote.search(**words)) == list(local.search(**words))  # type: ignore[arg-type]
    assert remote.parse("red -blue") == local.parse("red -blue")
    assert remote.describe(picture) == local.describe(picture)


def test_all_hits_page_by_page(local: Index, remote: RemoteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.client._PAGE", 5)
    query = Query(parts=(TextPart(text="red"),), k=1000)
    assert [hit.id for hit in remote.hits(query)] == [hit.id for hit in local.query(query)]
    assert [hit.rank for hit in remote.hits(query.model_copy(update={"k": 7, "offset": 3}))] == [4, 5, 6, 7, 8, 9, 10]
    rows = list(remote.rows())
    assert rows == [row for batch in local.rows.batches(None) for row in batch]
    assert len(rows) == len(remote) == 32
    assert {row.layer for row in remote.rows("map")} == {"map"}


def test_a_page_with_hidden_hits_is_not_the_last(
    local: Index, remote: RemoteIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pages of four: the improbable hits are the last in a layer, but not in the whole index."""
    monkeypatch.setattr("app.client._PAGE", 4)
    monkeypatch.setattr("app.handlers._BATCH", 4)
    everything = local.search("red", k=1000)
    least = sorted(hit.why["probability"] for hit in everything)[len(everything) // 2]
    query = everything.query.model_copy(update={"min_probability": least})
    likely = [hit.id for hit in everything if hit.why["probability"] >= least]
    assert [hit.id for hit in remote.hits(query)] == likely
    remote.export(tmp_path / "hits.parquet", "parquet", query)
    assert pq.read_table(tmp_path / "hits.parquet")["id"].to_pylist() == likely


def test_pictures_and_facts(local: Index, remote: RemoteIndex) -> None:
    ids = [hit.id for hit in remote.search("red", k=2)]
    assert remote.thumbnails([*ids, "none"]) == local.thumbnails(ids)
    assert Image.open(io.BytesIO(remote.thumbnails(ids)[ids[0]])).size == (64, 64)
    assert remote.info() == local.info()
    assert remote.reviews() == ()


def test_exports(remote: RemoteIndex, tmp_path: Path) -> None:
    remote.export(tmp_path / "rows.geojson", "geojson")
    assert len(json.loads((tmp_path / "rows.geojson").read_text("utf-8"))["features"]) == 32
    remote.export(tmp_path / "hits.parquet", "parquet", Query(parts=(TextPart(text="red"),), k=20))
    assert pq.read_table(tmp_path / "hits.parquet")["rank"].to_pylist() == list(range(1, 21))
    with pytest.raises(UsageError, match="no space 'x'"):
        remote.export(tmp_path / "none", "csv", Query(parts=(TextPart(text="red"),), spaces=("x",)))


def test_a_broken_connection_leaves_no_file_that_looks_whole(
    remote: RemoteIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_answer: httpx.Response) -> Iterator[bytes]:
        yield b"id,layer"
        raise httpx.ReadError("the connection was reset")

    (tmp_path / "rows.csv").write_text("of yesterday")
    monkeypatch.setattr(httpx.Response, "iter_bytes", broken)
    with pytest.raises(GeoAnchorError):
        remote.export(tmp_path / "rows.csv", "csv")
    assert (tmp_path / "rows.csv").read_text() == "of yesterday"


def test_refusals_are_the_index_s_own_errors(remote: RemoteIndex, local: Index, url: str) -> None:
    for words in ({"like": "nothing"}, {"text": "red", "spaces": ["x"]}, {"text": ""}, {}):
        with pytest.raises(UsageError) as mine:
            local.search(**words)  # type: ignore[arg-type]
        with pytest.raises(UsageError) as theirs:
            remote.search(**words)  # type: ignore[arg-type]
        assert str(theirs.value) == str(mine.value).replace(str(local.folder), local.folder.name)
    for mine in (local, remote):
        with pytest.raises(BadInput, match="is not a picture") as bad:
            mine.search(image=b"no picture")
        assert bad.value.where == "the aerial picture of the query"
    with pytest.raises(UsageError, match="cannot compare a map"):
        remote.changes(near=(48.0, 10.0, 500))
    with pytest.raises(GeoAnchorError, match="asks for a token"):
        geoanchor.connect(url, token="wrong")
    with pytest.raises(UsageError, match="begins with http"):
        geoanchor.connect("127.0.0.1:7860")
    with pytest.raises(UsageError, match="no service answers there"):
        geoanchor.connect("http://127.0.0.1:9")
