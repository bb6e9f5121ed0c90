"""Exports: whole, in step with each other, readable by others, and never more than a batch in memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas
import numpy as np
import pytest
from fastapi.testclient import TestClient

import geoanchor
from app.access import Access
from app.api import create_api
from app.streams import KINDS, to_csv, to_geojson
from geoanchor.query import RowFacts
from geoanchor.tiling import Bounds

QUERY = {"parts": [{"kind": "text", "text": "red"}], "k": 100_000}


@pytest.fixture(scope="module")
def client(painted_index: Path) -> TestClient:
    return TestClient(create_api(geoanchor.open(painted_index), Access(requests_per_s=0)))


def _rows(count: int) -> list[RowFacts]:
    return [
        RowFacts(id=f"row {n}", layer="map", bounds=Bounds(n, 0, n + 1, 1), lng=n + 0.5, lat=0.5) for n in range(count)
    ]


@pytest.mark.parametrize(("path", "ranked"), [("rows", False), ("search", True)])
def test_three_formats_say_the_same(client: TestClient, tmp_path: Path, path: str, ranked: bool) -> None:
    texts = {}
    for name, kind in KINDS.items():
        answer = client.post(f"/api/{path}.{name}", json=QUERY) if ranked else client.get(f"/api/{path}.{name}")
        assert answer.headers["content-type"] == kind.media_type
        assert name in answer.headers["content-disposition"]
        texts[name] = answer.content
    features = json.loads(texts["geojson"])["features"]
    lines = list(csv.DictReader(io.StringIO(texts["csv"].decode())))
    (tmp_path / "file.parquet").write_bytes(texts["parquet"])
    frame = geopandas.read_parquet(tmp_path / "file.parquet")
    assert frame.crs == "OGC:CRS84"
    ids = [feature["id"] for feature in features]
    assert len(ids) == 32
    assert ids == [line["id"] for line in lines] == list(frame["id"])
    boxes = frame.geometry.bounds.to_numpy()
    assert np.allclose(boxes, [[float(line[name]) for name in ("west", "south", "east", "north")] for line in lines])
    ring = features[3]["geometry"]["coordinates"][0]
    assert np.allclose(boxes[3], [*np.min(ring, axis=0), *np.max(ring, axis=0)])
    if ranked:
        hits = client.post("/api/search", json=QUERY | {"k": 32}).json()["hits"]
        assert [hit["id"] for hit in hits] == ids
        assert [float(line["score"]) for line in lines] == pytest.approx([hit["score"] for hit in hits])
        assert json.loads(frame["why"][0]) == hits[0]["why"]


@pytest.mark.parametrize("name", list(KINDS))
def test_it_is_written_as_it_is_read(name: str) -> None:
    """A batch is on its way before the next one is asked for."""
    read: list[int] = []

    def batches() -> Iterator[Sequence[RowFacts]]:
        for number in range(5):
            read.append(number)
            yield _rows(50)

    pieces = KINDS[name].write(batches(), False)  # type: ignore[index]
    sizes = []
    for piece in pieces:
        sizes.append((len(read), len(piece)))
    assert [count for count, size in sizes if size > 500][:2] in ([1, 2], [1, 1])
    assert max(size for _, size in sizes) < 0.5 * sum(size for _, size in sizes)


def test_nothing_is_a_file_too(tmp_path: Path) -> None:
    assert json.loads(b"".join(to_geojson(iter([]), True))) == {"type": "FeatureCollection", "features": []}
    assert len(b"".join(to_csv(iter([]), True)).splitlines()) == 1
    (tmp_path / "none.parquet").write_bytes(b"".join(KINDS["parquet"].write(iter([]), True)))
    assert len(geopandas.read_parquet(tmp_path / "none.parquet")) == 0


def test_spreadsheets_are_given_no_formulas() -> None:
    rows = [
        RowFacts(id=text, layer="map", caption='=HYPERLINK("http://evil.example")') for text in ("+1", "-1", "@x", "a")
    ]
    lines = list(csv.DictReader(io.StringIO(b"".join(to_csv(iter([rows]), False)).decode())))
    assert [line["id"] for line in lines] == ["'+1", "'-1", "'@x", "a"]
    assert lines[0]["caption"].startswith("'=HYPER")


def test_what_crosses_the_antimeridian_is_split() -> None:
    row = RowFacts(id="fiji", layer="map", bounds=Bounds(179.5, -18, -179.5, -17), lng=180, lat=-17.5)
    found = json.loads(b"".join(to_geojson(iter([[row]]), False)))["features"][0]["geometry"]
    assert found["type"] == "MultiPolygon"


def test_large_answers_come_in_batches(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client.post("/api/search.csv", json=QUERY).text
    monkeypatch.setattr("app.handlers._BATCH", 3)
    assert client.post("/api/search.csv", json=QUERY).text == whole
    part = client.post("/api/search.csv", json=QUERY | {"k": 7, "offset": 2}).text.splitlines()
    assert part[1:] == whole.splitlines()[3:10]


def test_a_wrong_query_is_refused_before_anything_is_sent(client: TestClient) -> None:
    answer = client.post("/api/search.geojson", json=QUERY | {"spaces": ["x"]})
    assert answer.status_code == 400
    assert "no space 'x'" in answer.json()["error"]


def test_hits_deeper_than_any_are_refused_and_not_an_empty_file(client: TestClient) -> None:
    answer = client.post("/api/search.csv", json=QUERY | {"offset": 1_000_000})
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert "offset must be below 1000000" in answer.json()["error"]


def test_rows_by_page_and_by_id(client: TestClient) -> None:
    first = client.get("/api/rows", params={"limit": 20}).json()
    assert (len(first["rows"]), first["total"], first["next"]) == (20, 32, 20)
    rest = client.get("/api/rows", params={"limit": 20, "offset": 20}).json()
    assert (len(rest["rows"]), rest["next"]) == (12, None)
    one = first["rows"][7]
    assert client.get(f"/api/rows/{one['id']}").json() == one
    assert client.get("/api/rows", params={"layer": "map"}).json()["total"] == 16
    assert client.get("/api/rows", params={"offset": 99}).json()["rows"] == []
    like = client.get(f"/api/similar/{one['id']}", params={"k": 3}).json()
    assert one["id"] not in [hit["id"] for hit in like["hits"]]
    assert client.get(f"/api/describe/{one['id']}").json() == {"texts": []}
