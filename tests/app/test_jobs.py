"""Indexing over REST: only what is allowed, in a process of its own, cancelled and resumed without a loss."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from slowly import take_time

import geoanchor
from app import jobs
from app.access import Access
from app.allowed import allowed_source, offered
from app.api import create_api
from app.handlers import Forbidden
from app.jobs import FILE_NAME, JobRequest, JobRunner, command
from geoanchor.settings import Settings

CITY = {"source": "city:7", "layer": "map", "zoom": 15, "within": [-180, -85, 180, 85]}


@pytest.fixture
def folder(painted_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(painted_index, tmp_path / "own.index"))


@pytest.fixture
def pictures(painted_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(painted_folder, tmp_path / "pictures"))


@pytest.fixture
def client(folder: Path, pictures: Path) -> Iterator[TestClient]:
    access = Access(requests_per_s=0, indexing=True, folders=(pictures,))
    with TestClient(create_api(geoanchor.open(folder), access)) as opened:
        yield opened


def _until(client: TestClient, job: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while (found := client.get(f"/api/jobs/{job}").json())["state"] not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return dict(found)


def test_a_folder_is_indexed_and_found_at_once(client: TestClient, pictures: Path) -> None:
    (zoom,) = pictures.iterdir()
    (pictures / "notes.txt").touch()
    allowed = {"allowed": True, "folders": [str(pictures)], "sources": [str(zoom)]}
    assert client.get("/api/jobs").json() == allowed | {"jobs": []}
    answer = client.post("/api/jobs", json={"source": str(pictures), "layer": "ground"})
    assert (answer.status_code, answer.json()["state"]) == (201, "running")
    second = client.post("/api/jobs", json={"source": str(pictures), "layer": "ground"})
    assert second.status_code == 503
    assert "job 1 is running" in second.json()["error"]
    job = _until(client, "1", "done", "failed")
    assert job["state"] == "done", job
    assert job["done"] == job["total"] == 16
    assert "48 rows" in job["message"]
    deadline = time.monotonic() + 30
    while client.get("/api/health").json()["rows"] != 48:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ground = {"parts": [{"kind": "text", "text": "red"}], "layer": "ground", "k": 1}
    assert client.post("/api/search", json=ground).json()["hits"]
    assert client.post("/api/jobs/1/resume").status_code == 400


def test_a_job_is_cancelled_and_resumed_even_by_another_server(
    client: TestClient, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_time(monkeypatch)
    rng = np.random.default_rng(0)
    for number in range(500):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(pictures / f"{number}.png")
    client.post("/api/jobs", json={"source": str(pictures), "layer": "ground"})
    deadline = time.monotonic() + 60
    while not client.get("/api/jobs/1").json()["done"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopped = client.post("/api/jobs/1/cancel").json()
    assert stopped["state"] == "stopped", stopped
    assert (folder / FILE_NAME).is_file()
    assert client.get("/api/health").json()["rows"] == 32
    access = Access(requests_per_s=0, indexing=True, folders=(pictures,))
    with TestClient(create_api(geoanchor.open(folder), access)) as later:
        assert later.get("/api/jobs/1").json()["state"] == "stopped"
        assert later.post("/api/jobs/1/resume").json()["state"] == "running"
        job = _until(later, "1", "done", "failed")
        assert job["state"] == "done", job
    assert not (folder / FILE_NAME).exists()
    assert len(geoanchor.open(folder)) == len(list(pictures.rglob("*.png"))) + 32


def test_a_source_that_cannot_be_used_is_said_in_a_sentence(client: TestClient, pictures: Path) -> None:
    (pictures / "bad.tif").write_bytes(b"no raster")
    client.post("/api/jobs", json={"source": str(pictures / "bad.tif")})
    job = _until(client, "1", "done", "failed")
    assert job["state"] == "failed"
    assert "bad.tif" in job["message"]
    assert "Traceback" not in job["message"]
    assert client.get("/api/jobs/2").status_code == 404


def test_a_job_that_cannot_start_does_not_stand_in_the_way(client: TestClient, folder: Path, pictures: Path) -> None:
    (folder / FILE_NAME).mkdir()
    answer = client.post("/api/jobs", json={"source": str(pictures), "layer": "ground"})
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert "no job can be started" in answer.json()["error"]
    assert client.get("/api/jobs").json()["jobs"] == []
    (folder / FILE_NAME).rmdir()
    assert client.post("/api/jobs", json={"source": str(pictures), "layer": "ground"}).status_code in (200, 201, 202)
    assert _until(client, "1", "done", "failed")["state"] == "done"


def test_only_where_the_service_was_started_so(folder: Path, pictures: Path) -> None:
    client = TestClient(create_api(geoanchor.open(folder), Access(folders=(pictures,))))
    assert client.get("/api/jobs").json() == {"allowed": False, "folders": [], "sources": [], "jobs": []}
    answer = client.post("/api/jobs", json={"source": "city:7"})
    assert answer.status_code == 403
    assert "--allow-indexing" in answer.json()["error"]


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "/", ".", "{pictures}/../secret", "{pictures}/link", "{pictures}2", "{pictures}\0", "~", "-",
     "http://127.0.0.1/{z}/{x}/{y}.png", "file:///etc", "/vsicurl/http://127.0.0.1/a.tif", "stac:/etc", "--help",
     "embeddings:/etc/passwd", "city:7;id", "service:../x", "service:a/b", "city:" + "9" * 30],
)  # fmt: skip
def test_what_was_not_allowed_is_not_opened(client: TestClient, pictures: Path, source: str) -> None:
    (pictures.parent / "secret").mkdir()
    Path(str(pictures) + "2").mkdir()
    (pictures / "link").symlink_to(pictures.parent / "secret")
    answer = client.post("/api/jobs", json={"source": source.replace("{pictures}", str(pictures))})
    assert answer.status_code == 403, answer.text
    assert client.get("/api/jobs").json()["jobs"] == []


def test_no_link_in_a_folder_leads_out_of_what_is_allowed(tmp_path: Path, pictures: Path) -> None:
    inner, outside = pictures / "inner", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    (inner / "again").symlink_to(pictures)  # round in circles, but inside
    assert allowed_source(str(inner), (pictures,)) == str(inner.resolve())
    (pictures / "out").symlink_to(outside)
    for source in (pictures, inner):
        with pytest.raises(Forbidden, match="without links that lead out"):
            allowed_source(str(source), (pictures,))
    assert allowed_source(str(inner), (pictures, outside)) == str(inner.resolve())
    assert str(pictures / "out") not in offered((pictures,))
    assert str(pictures / "inner") in offered((pictures,))


def test_what_is_not_there_and_what_is_not_allowed_sound_alike(pictures: Path) -> None:
    said = []
    for source in ("/etc/passwd", "/etc/no-such-file"):
        with pytest.raises(Forbidden) as refusal:
            allowed_source(source, (pictures,))
        said.append(str(refusal.value))
    assert said[0] == said[1]


def test_nothing_of_a_request_becomes_an_option(tmp_path: Path) -> None:
    request = JobRequest(source="--into=/etc", layer="map", zoom=3, within=(-1.5, 2, 3, 4))
    words = command(request, tmp_path)
    assert list(words[-2:]) == ["--", "--into=/etc"]
    assert "--within=-1.5,2.0,3.0,4.0" in words


@pytest.mark.parametrize(
    "change", [{"zoom": 99}, {"within": [0, 0, 999, 0]}, {"style": "x; id"}, {"into": "/tmp/x"}, {"source": ""}]
)
def test_a_request_that_makes_no_sense_is_refused(client: TestClient, change: dict[str, Any]) -> None:
    assert client.post("/api/jobs", json=CITY | change).status_code == 422


def test_a_line_of_progress_that_is_cut_off_does_not_leave_a_job_running(
    client: TestClient, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = 'print(\'{"done": 3, "total": 7, "eta_s": 1.5}\'); print(\'{"done": 4, "to\')'
    monkeypatch.setattr(jobs, "command", lambda *_: [sys.executable, "-c", said])
    client.post("/api/jobs", json={"source": str(pictures)})
    job = _until(client, "1", "done", "failed")
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 7)
    assert job["message"] == '{"done": 4, "to'


def test_jobs_of_a_service_that_is_offline_are_offline_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text("offline = true\n")
    started: list[Sequence[str]] = []
    monkeypatch.setattr(jobs, "command", lambda *asked: started.append(command(*asked)) or [sys.executable, "-c", ""])
    access = Access(requests_per_s=0, indexing=True, config=tmp_path / "own.toml")
    with TestClient(create_api(geoanchor.open(folder, settings=Settings(offline=True)), access)) as client:
        client.post("/api/jobs", json=CITY)
        _until(client, "1", "done", "failed")
    assert {"--offline", f"--config={tmp_path / 'own.toml'}"} <= set(started[0])
    assert started[0].index("--offline") < started[0].index("--")


def test_a_job_file_that_a_kill_cut_off_is_passed_over(folder: Path) -> None:
    whole = '{"source": "Zürich"}'.encode()
    (folder / FILE_NAME).write_bytes(whole)
    assert [job.request.source for job in JobRunner(folder, Access(indexing=True)).all()] == ["Zürich"]
    (folder / FILE_NAME).write_bytes(whole[: whole.index("ü".encode()) + 1])
    assert JobRunner(folder, Access(indexing=True)).all() == []
