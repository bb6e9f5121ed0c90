"""Sixty hostile uploads and forty hostile parameters: refused in one sentence each, and the service lives on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import hostile
import httpx
import pytest
from fastapi.testclient import TestClient

import geoanchor
from app.access import Access
from app.api import create_api
from geoanchor.settings import Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF data:UserWarning", "ignore:Truncated File Read:UserWarning"
)
MAX_BYTES = 40_000


@pytest.fixture(scope="module")
def client(painted_index: Path) -> TestClient:
    settings = Settings(max_upload_bytes=MAX_BYTES, max_pixels=200_000)
    index = geoanchor.open(painted_index, settings=settings)
    return TestClient(create_api(index, Access(requests_per_s=0)), raise_server_exceptions=False)


def _refused(answer: httpx.Response) -> str:
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert set(answer.json()) in ({"error"}, {"error", "kind"})
    sentence = str(answer.json()["error"])
    assert 5 < len(sentence) <= 500
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert str(Path(__file__).parents[2]) not in sentence
    assert "root:" not in sentence
    return sentence


def _alive(client: TestClient) -> None:
    assert client.get("/api/health").json()["status"] == "ok"
    assert client.post("/api/search", json={"parts": [hostile.TEXT], "k": 1}).json()["hits"]


UPLOADS = hostile.uploads()


def test_there_are_enough() -> None:
    assert len(dict(UPLOADS)) == len(UPLOADS) >= 60
    assert len(hostile.queries()) + len(hostile.PATHS) >= 40


@pytest.mark.parametrize(("name", "data"), UPLOADS, ids=[name for name, _ in UPLOADS])
def test_an_upload_is_refused(client: TestClient, name: str, data: bytes) -> None:
    _refused(client.post("/api/describe", files={"image": (name, data)}))
    if data:
        part = {"kind": "image", "layer": "aerial", "data": base64.b64encode(data).decode()}
        _refused(client.post("/api/search", json={"parts": [part]}))
    _alive(client)


@pytest.mark.parametrize("number", range(len(hostile.queries())))
def test_a_query_is_refused(client: TestClient, number: int) -> None:
    query = hostile.queries()[number]
    for path in ("/api/search", "/api/search.csv", "/api/heat"):
        if path == "/api/search" or not {"k", "offset", "rerank"} & set(query):
            _refused(client.post(path, json=query))
    _alive(client)


@pytest.mark.parametrize("path", hostile.PATHS)
def test_a_parameter_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["content-type"] == "application/json"
    _refused(answer)
    _alive(client)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"parts":' * 5_000, b'{"parts": NaN}', b"null", b"1e999",
     b'{"parts": [{"kind": "text", "text": "red", "weight": NaN}]}',
     b'{"parts": [{"kind": "text", "text": "red", "weight": 1e999}]}'],
)  # fmt: skip
def test_a_body_is_refused(client: TestClient, body: bytes) -> None:
    _refused(client.post("/api/search", content=body, headers={"content-type": "application/json"}))
    _alive(client)


@pytest.mark.parametrize("text", ["\ud800", "a\u0000b", "\u202e\u0000", "😀" * 400, "'\"<script>", "{{7*7}}", "%s%n"])
def test_a_strange_text_is_answered(client: TestClient, text: str) -> None:
    body: Any = json.dumps({"parts": [{"kind": "text", "text": text}], "k": 1})
    answer = client.post("/api/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422), answer.text
    assert client.post("/api/parse", content=json.dumps({"text": text}), headers={"content-type": "application/json"}
    ).status_code in (200, 422)  # fmt: skip
    _alive(client)
