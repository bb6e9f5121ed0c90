"""Who gets in: token, origin, host name, pace."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import geoanchor
from app.access import Access, read_token
from app.api import create_api
from app.gate import COOKIE
from app.index import Index
from app.pace import Pace
from app.server import hosts_of
from geoanchor.errors import UsageError

TOKEN = "correct-horse-battery"
QUERY = {"parts": [{"kind": "text", "text": "red"}], "k": 1}


@pytest.fixture(scope="module")
def index(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


@pytest.fixture
def locked(index: Index) -> TestClient:
    return TestClient(create_api(index, Access(token=TOKEN)), follow_redirects=False)


def test_without_the_token_nothing_is_answered(locked: TestClient) -> None:
    paths = [path for path in locked.app.openapi()["paths"] if path != "/api/health"]  # type: ignore[attr-defined]
    for path in [*paths, "/docs", "/openapi.json", "/static/changes.js", "/changes", "/nothing", "/panel/"]:
        for method in ("get", "post"):
            answer = locked.request(method, path)
            assert answer.status_code == 401, path
            assert "token" in answer.json()["error"]
            assert answer.headers["www-authenticate"] == "Bearer"
    assert locked.get("/api/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"],
)
def test_a_wrong_token_is_none(locked: TestClient, header: str) -> None:
    answer = locked.get("/api/info", headers={"authorization": header.encode("latin-1")})
    assert answer.status_code == 401


def test_the_token_opens(locked: TestClient) -> None:
    assert locked.get("/api/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.post("/api/search", json=QUERY, headers={"authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_browser_is_sent_to_the_login_and_keeps_a_cookie_that_scripts_cannot_read(locked: TestClient) -> None:
    away = locked.get("/", headers={"accept": "text/html"})
    assert (away.status_code, away.headers["location"]) == (303, "/login")
    assert "<form" in locked.get("/login").text
    assert locked.post("/login", data={"token": "wrong"}).status_code == 401
    assert locked.post("/login", data={"token": "x" * 9000}).status_code == 413
    answer = locked.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert locked.get("/api/info").status_code == 200
    locked.cookies.set(COOKIE, "0" * 64)
    locked.cookies.clear()
    assert locked.get("/api/info", headers={"cookie": f"{COOKIE}={TOKEN}"}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver:81"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_other_sites_pages_may_not_post(index: Index, headers: dict[str, str], status: int) -> None:
    client = TestClient(create_api(index))
    assert client.post("/api/search", json=QUERY, headers=headers).status_code == status
    assert client.get("/api/health", headers=headers).status_code == 200
    assert "access-control-allow-origin" not in client.get("/api/health", headers=headers).headers


def test_a_form_of_another_site_cannot_send_json(index: Index) -> None:
    client = TestClient(create_api(index))
    body = '{"parts": [{"kind": "text", "text": "red"}]}'
    assert client.post("/api/search", content=body, headers={"content-type": "text/plain"}).status_code == 422


def test_on_loopback_only_loopback_names_are_answered(index: Index) -> None:
    client = TestClient(create_api(index, Access(hosts=hosts_of("127.0.0.1"))))
    for host, status in (
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("[::1]:7860", 200),
        ("[evil", 400),
        ("", 400),
    ):
        answer = client.get("/api/health", headers={"host": host})
        assert answer.status_code == status
        assert ("error" in answer.json()) == (status == 400)
    assert hosts_of("0.0.0.0") == ("*",)


def test_a_name_is_known_whatever_its_case(index: Index) -> None:
    client = TestClient(create_api(index, Access(hosts=("MyServer.local", "*.Example.com"))))
    for host, status in (("myserver.local:7860", 200), ("MYSERVER.local", 200), ("a.example.COM", 200), ("b.org", 400)):
        assert client.get("/api/health", headers={"host": host}).status_code == status, host


def test_who_asks_too_fast_must_wait(index: Index) -> None:
    client = TestClient(create_api(index, Access(requests_per_s=2)))
    answers = [client.get("/api/reviews") for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 20 < len(refused) < 45
    assert "at most 2 a second" in refused[0].json()["error"]
    assert refused[0].headers["retry-after"] == "1"
    assert client.get("/api/health").status_code == 200


def test_a_bucket_fills_again_and_each_client_has_one() -> None:
    now = [0.0]
    pace = Pace(app=None, per_s=1.0, clock=lambda: now[0])  # type: ignore[arg-type]
    assert sum(pace._take("a") for _ in range(30)) == 10
    assert pace._take("b")
    now[0] = 3.0
    assert sum(pace._take("a") for _ in range(30)) == 3
    for number in range(20_000):
        pace._take(str(number))
    assert len(pace._buckets) == 10_000


@pytest.mark.parametrize("text", ["", "short", "täglich-ein-anderes-wort", "two lines are\none too many"])
def test_an_unfit_token_is_refused_before_anything_is_served(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="a token is 16 or more"):
        read_token(file, {})


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", "utf-8")
    assert read_token(file, {"GEOANCHOR_TOKEN": "another-one-of-them"}) == TOKEN
    assert read_token(None, {"GEOANCHOR_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) == ""
    with pytest.raises(UsageError, match="cannot read the token"):
        read_token(tmp_path / "none", {})
