import base64
import io
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

import geoanchor
from app.access import Access
from app.api import create_api
from app.handlers import MAX_HITS
from geoanchor.errors import IndexCorrupt
from geoanchor.settings import Settings
from geoanchor.tiling import Tile

QUERY = {"parts": [{"kind": "text", "text": "red"}], "k": 3, "layer": "aerial"}


@pytest.fixture(scope="module")
def client(painted_index: Path) -> TestClient:
    settings = Settings(max_upload_bytes=40_000, max_pixels=10_000)
    return TestClient(create_api(geoanchor.open(painted_index, settings=settings)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def red(painted_tiles: dict[Tile, str]) -> Tile:
    return next(tile for tile, colour in painted_tiles.items() if colour == "red")


@pytest.fixture(scope="module")
def picture(painted_folder: Path, red: Tile) -> bytes:
    return (painted_folder / f"{red}.png").read_bytes()


def test_a_query_gives_what_python_gives(client: TestClient, painted_index: Path) -> None:
    from geoanchor.query import Query

    answer = client.post("/api/search", json=QUERY).json()
    expected = geoanchor.open(painted_index).query(Query.model_validate(QUERY)).answer
    assert answer == json.loads(expected.model_dump_json())


def test_plain_words_give_what_the_query_gives(client: TestClient) -> None:
    words = client.get("/api/search", params={"q": "red", "k": 3, "layer": "aerial"}).json()
    assert words == client.post("/api/search", json=QUERY).json()


def test_plain_words_are_taken_as_on_the_command_line(client: TestClient, painted_index: Path) -> None:
    for flag, value in (("literal", True), ("min_probability", 0.4), ("tags", False), ("offset", 2)):
        found = client.get("/api/search", params={"q": "red -green", flag: value}).json()
        expected = geoanchor.open(painted_index).search("red -green", **{flag: value}).answer
        assert found == json.loads(expected.model_dump_json()), flag


def test_a_picture_in_a_query(client: TestClient, picture: bytes, red: Tile) -> None:
    part = {"kind": "image", "layer": "map", "data": base64.b64encode(picture).decode()}
    hit = client.post("/api/search", json={"parts": [part], "k": 1}).json()["hits"][0]
    assert hit["tile"] == [red.z, red.x, red.y]


def test_geojson(client: TestClient, red: Tile) -> None:
    answer = client.post("/api/search.geojson", json=QUERY)
    assert answer.headers["content-type"] == "application/geo+json"
    ring = answer.json()["features"][0]["geometry"]["coordinates"][0]
    assert min(point[0] for point in ring) == red.bounds.west
    assert max(point[1] for point in ring) == red.bounds.north


def test_near_and_at(client: TestClient, red: Tile) -> None:
    lng, lat = red.center
    hits = client.get("/api/search", params={"q": "blue", "near": f"{lat},{lng},50"}).json()
    assert {tuple(hit["tile"]) for hit in hits["hits"]} == {(red.z, red.x, red.y)}
    assert client.get("/api/search", params={"at": f"{lat},{lng}", "k": 1}).json()["hits"][0]["why"]["holds_point"]


def test_pictures_and_tiles(client: TestClient, picture: bytes, red: Tile) -> None:
    hit = client.post("/api/search", json=QUERY).json()["hits"][0]
    for path in (f"/api/thumbnails/{hit['id']}", f"/tiles/aerial/{red}.png"):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, picture)
        assert answer.headers["content-type"] == "image/png"
    parent = client.get(f"/tiles/map/{red.parent()}.png")
    assert Image.open(io.BytesIO(parent.content)).size == (256, 256)
    assert client.get("/tiles/map/3/0/0.png").status_code == 204


def test_describe_health_info(client: TestClient, picture: bytes) -> None:
    assert client.post("/api/describe", files={"image": picture}).json() == {"texts": []}
    assert client.get("/api/health").json()["rows"] == 32
    assert client.get("/api/info").json()["layers"] == {"aerial": 16, "map": 16}


def test_the_docs_name_every_operation(client: TestClient) -> None:
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "https://" not in page
    assert "<script" not in page


def test_files_of_the_page(client: TestClient) -> None:
    assert "maplibregl" in client.get("/static/maplibre-gl.js").text
    assert client.get("/static/changes.js").headers["content-type"].startswith("text/javascript")
    for name in ("api.py", "..%2fapi.py", "%2e%2e%2fcli.py", "../../etc/passwd"):
        assert client.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("get", "/api/search", {}, 400),
        ("get", "/api/search?q=red&layer=sea", {}, 400),
        ("get", "/api/search?q=red&within=/etc/passwd", {}, 400),
        ("get", "/api/search?q=red&near=1,2", {}, 400),
        ("get", "/api/search?q=red&k=0", {}, 422),
        ("get", f"/api/search?q=red&k={MAX_HITS + 1}", {}, 422),
        ("get", "/api/search?like=nothing", {}, 400),
        ("get", "/api/search?q=red&colour=red", {}, 422),
        ("get", "/api/search?text=red", {}, 422),
        ("get", "/api/changes?cause=shifted", {}, 422),
        ("post", "/api/search", {"content": b"{"}, 422),
        ("post", "/api/search", {"json": {"parts": []}}, 422),
        ("post", "/api/search", {"json": QUERY | {"colour": 1}}, 422),
        ("post", "/api/search", {"json": {"parts": [{"kind": "image", "layer": "map", "data": "d29yZHM="}]}}, 422),
        ("post", "/api/describe", {"files": {"image": b"words"}}, 422),
        ("post", "/api/describe", {}, 422),
        ("get", "/api/thumbnails/nothing", {}, 404),
        ("get", "/api/thumbnails/../../manifest.json", {}, 404),
        ("get", "/tiles/sea/1/0/0.png", {}, 422),
        ("get", "/tiles/map/9/999/0.png", {}, 400),
        ("get", "/tiles/map/a/0/0.png", {}, 422),
        ("post", "/api/search", {"content": b"x" * 200_000}, 413),
        ("get", "/nothing", {}, 404),
    ],
)
def test_errors_are_a_status_and_a_sentence(
    client: TestClient, method: str, path: str, options: dict, status: int
) -> None:
    answer = client.request(method, path, **options)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    if path != "/nothing" and "../" not in path:
        assert len(answer.json()["error"]) > 5
        assert "\n" not in answer.json()["error"]


def test_a_body_without_length_is_cut_off(client: TestClient) -> None:
    def chunks() -> object:
        for _ in range(100):
            yield b"x" * 10_000

    answer = client.post("/api/search", content=chunks())  # type: ignore[arg-type]
    assert answer.status_code == 413


def test_a_bomb_is_refused_before_it_is_decoded(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("1", (4000, 4000)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 40_000
    answer = client.post("/api/describe", files={"image": buffer.getvalue()})
    assert answer.status_code == 422
    assert "16000000" in answer.json()["error"] or "4000 x 4000" in answer.json()["error"]


def test_failures_tell_clients_nothing_of_the_inside(painted_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = geoanchor.open(painted_index)
    client = TestClient(create_api(index), raise_server_exceptions=False)
    monkeypatch.setattr(index, "info", lambda: 1 / 0)
    answer = client.get("/api/info")
    assert (answer.status_code, answer.json()) == (500, {"error": "the service failed; its log says why"})

    def corrupt() -> None:
        raise IndexCorrupt("rows are missing; run doctor")

    monkeypatch.setattr(index, "info", corrupt)
    assert client.get("/api/info").status_code == 500
    assert "doctor" in client.get("/api/info").json()["error"]


def test_sentences_keep_their_stops_where_the_index_is_the_working_folder(
    painted_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(painted_index)
    answer = TestClient(create_api(geoanchor.open("."))).post(
        "/api/search", json={"parts": [{"kind": "like", "id": "a.b"}]}
    )
    assert answer.json()["error"] == ".: no row has the id 'a.b'"


def test_headers_and_hosts(painted_index: Path, client: TestClient) -> None:
    headers = client.get("/api/health").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    local = TestClient(create_api(geoanchor.open(painted_index), Access(hosts=("127.0.0.1", "localhost"))))
    assert local.get("/api/health", headers={"host": "127.0.0.1:7860"}).status_code == 200
    assert local.get("/api/health", headers={"host": "rebound.example:7860"}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/api/info", "/api/search?q=red", "/tiles/aerial.json", "/openapi.json"]
)
def test_head_tells_what_get_would_without_the_body(client: TestClient, path: str) -> None:
    got, told = client.get(path), client.head(path)
    assert (told.status_code, told.content) == (got.status_code, b"")
    assert told.headers["content-type"] == got.headers["content-type"]


def test_get_takes_segments_and_rerankers_and_refuses_what_it_does_not_know(client: TestClient) -> None:
    assert client.get("/api/search?like=none&segment=0").status_code == 400
    answer = client.get("/api/search?q=red&rerank=mismatch")
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert client.get("/api/rows?k=2").status_code == 422
