"""Tiles for other programs: TileJSON, caching, what lies outside; cells of scores and of coverage; the figures."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

import geoanchor
from app.access import Access
from app.api import create_api
from app.index import Index
from app.mosaic import Mosaic
from geoanchor.query import Query, TextPart
from geoanchor.tiling import Tile, cell_at, cell_name


@pytest.fixture(scope="module")
def index(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


@pytest.fixture(scope="module")
def client(index: Index) -> TestClient:
    return TestClient(create_api(index, Access(requests_per_s=0)))


def _address(tile: Tile, template: str) -> str:
    parts = urlsplit(template.format(z=tile.z, x=tile.x, y=tile.y))
    return f"{parts.path}?{parts.query}"


def test_tilejson_leads_to_the_tiles(client: TestClient, painted_tiles: dict[Tile, str]) -> None:
    found = client.get("/tiles/map.json").json()
    assert found["tilejson"] == "3.0.0"
    assert (found["minzoom"], found["maxzoom"]) == (11, 16)
    boxes = [tile.bounds for tile in painted_tiles]
    expected = [
        min(b.west for b in boxes),
        min(b.south for b in boxes),
        max(b.east for b in boxes),
        max(b.north for b in boxes),
    ]
    assert found["bounds"] == pytest.approx(expected)
    assert {"tiles", "vector_layers", "attribution", "center"} <= set(found)
    for tile in [*list(painted_tiles)[:2], next(iter(painted_tiles)).parent(11)]:
        answer = client.get(_address(tile, found["tiles"][0]))
        assert Image.open(io.BytesIO(answer.content)).size[0] in (64, 256)
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/tiles/ground.json").status_code == 404


def test_tilejson_of_tiles_on_both_sides_of_the_antimeridian(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    addresses = {"id": ["a", "b"], "layer": ["map"] * 2, "z": [9, 9], "x": [0, 511], "y": [200, 200]}
    index.mosaic = Mosaic(addresses, lambda ids: {})
    found = TestClient(create_api(index)).get("/tiles/map.json").json()
    box = Tile(9, 0, 200).bounds
    assert found["bounds"] == pytest.approx([-180, box.south, 180, box.north])
    assert found["center"] == pytest.approx([-180, (box.south + box.north) / 2, 8])


def test_each_layer_names_its_own_sources(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    first, second = index.manifest.sources
    sources = (first.model_copy(update={"attribution": "<b>Me"}), second)
    index.manifest = index.manifest.model_copy(update={"sources": sources})
    client = TestClient(create_api(index))
    assert client.get(f"/tiles/{first.layer}.json").json()["attribution"] == "&lt;b&gt;Me"
    assert client.get(f"/tiles/{second.layer}.json").json()["attribution"] == ""


def test_a_tile_is_sent_once(client: TestClient, painted_tiles: dict[Tile, str]) -> None:
    tile = next(iter(painted_tiles))
    first = client.get(f"/tiles/map/{tile}.png")
    assert "max-age=300" in first.headers["cache-control"]
    again = client.get(f"/tiles/map/{tile}.png", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/tiles/map/{tile}.png", headers={"if-none-match": '"older"'})
    assert other.status_code == 200


def test_beyond_the_deepest_zoom_a_tile_is_cut_out_of_its_ancestor(
    client: TestClient, painted_tiles: dict[Tile, str]
) -> None:
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    answer = client.get(f"/tiles/aerial/{red.children()[0].children()[3]}.png")
    assert answer.status_code == 200
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert picture.size == (256, 256)
    mean = [sum(band) / len(band) for band in zip(*picture.resize((8, 8)).getdata(), strict=True)]
    assert mean[0] > 150 > 60 > mean[1]


def test_where_nothing_lies_the_answer_is_empty(client: TestClient, painted_tiles: dict[Tile, str]) -> None:
    tile = next(iter(painted_tiles))
    for address in ("3/0/0", f"{tile.z}/{tile.x}/{tile.y - 40}", str(tile.parent(2)), "22/0/0"):
        answer = client.get(f"/tiles/map/{address}.png")
        assert (answer.status_code, answer.content) == (204, b"")


def test_heat_is_hottest_where_the_hit_is(client: TestClient, index: Index) -> None:
    query = Query(parts=(TextPart(text="red"),))
    body = query.model_dump(mode="json")
    features = client.post("/api/heat", json=body, params={"resolution": 10}).json()["features"]
    best = index.query(query)[0]
    assert features[0]["id"] == best.cell
    assert features[0]["properties"]["best"] == pytest.approx(best.score, abs=1e-4)
    assert features[0]["properties"]["heat"] == 1
    assert features[-1]["properties"]["heat"] == 0
    assert sum(feature["properties"]["rows"] for feature in features) == 32
    ring = features[0]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert cell_name(cell_at(sum(p[0] for p in ring[:-1]) / 6, sum(p[1] for p in ring[:-1]) / 6, 10)) == best.cell
    layered = client.post("/api/heat", json=body | {"layer": "map"}).json()["features"]
    assert sum(feature["properties"]["rows"] for feature in layered) == 16


def test_coverage_counts_every_row(client: TestClient) -> None:
    for resolution in (None, 0, 5, 10):
        params = {} if resolution is None else {"resolution": resolution}
        features = client.get("/api/coverage", params=params).json()["features"]
        assert sum(feature["properties"]["rows"] for feature in features) == 32
    assert len(client.get("/api/coverage", params={"resolution": 0}).json()["features"]) == 1
    assert client.get("/api/coverage", params={"resolution": 11}).status_code == 400
    assert client.get("/api/coverage", params={"layer": "ground"}).json()["features"] == []


def test_figures_for_prometheus_have_a_bounded_set_of_labels(index: Index) -> None:
    client = TestClient(create_api(index, Access(requests_per_s=0)))
    for number in range(40):
        client.get(f"/api/rows/strange-{number}")
        client.get(f"/nothing-{number}")
        client.request(f"ODD{number}", "/api/health")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    samples = [sample for sample in families["geoanchor_requests"].samples if sample.name.endswith("_total")]
    assert sum(sample.value for sample in samples) == 120
    routes = {sample.labels["route"]: sample for sample in samples}
    assert routes["/api/rows/{row_id:path}"].value == 40
    assert routes["/api/rows/{row_id:path}"].labels["status"] == "404"
    assert len(samples) < 8
    assert families["geoanchor_index_rows"].samples[0].value == 32
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
