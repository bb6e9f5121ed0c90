"""A new version of an index is taken up while it is asked, and no request is dropped for it."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import weakref
from pathlib import Path

import httpx
import pytest
from served import serving

import geoanchor
from app.access import Access
from app.api import create_api
from app.live import LiveIndex
from geoanchor.manifest import FILE_NAME

QUERY = {"parts": [{"kind": "text", "text": "red"}], "k": 5}


@pytest.fixture
def folder(painted_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(painted_index, tmp_path / "own.index"))


def test_nothing_new_nothing_done(folder: Path) -> None:
    live = LiveIndex(geoanchor.open(folder))
    first = live.current
    assert not live.refresh()
    assert live.current is first


def test_what_came_between_opening_and_serving_is_taken_up(folder: Path, painted_folder: Path) -> None:
    opened = geoanchor.open(folder)
    geoanchor.build(str(painted_folder), folder, model="toy", layer="ground")
    live = LiveIndex(opened)
    assert live.refresh()
    assert len(live.current) == 48
    assert not live.refresh()


def test_a_new_version_takes_the_place_and_the_old_one_goes(folder: Path, painted_folder: Path) -> None:
    live = LiveIndex(geoanchor.open(folder))
    live.current.warm()
    encoder, old = live.current._searcher.encoder, weakref.ref(live.current)
    held = live.current
    geoanchor.build(str(painted_folder), folder, model="toy", layer="ground")
    assert live.refresh()
    assert len(live.current) == 48
    assert live.current._searcher.encoder is encoder
    # Whoever still holds the old version is answered by it, even when its files are gone.
    shutil.rmtree(
        folder / "serving" / f"{held.manifest.table_version}-{held.manifest.texts_version}", ignore_errors=True
    )
    assert held.search("red", k=3).total == 32
    del held
    gc.collect()
    assert old() is None


def test_a_version_that_cannot_be_opened_is_passed_over(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = LiveIndex(geoanchor.open(folder))
    whole = (folder / FILE_NAME).read_text("utf-8")
    for text in ("{", json.dumps(json.loads(whole) | {"rows": 7})):
        (folder / FILE_NAME).write_text(text, "utf-8")
        assert not live.refresh()
        assert len(live.current) == 32
    assert "the former one stays" in caplog.text
    (folder / FILE_NAME).unlink()
    assert not live.refresh()
    (folder / FILE_NAME).write_text(whole, "utf-8")
    assert live.refresh()


def test_under_fire_no_request_is_dropped(folder: Path, painted_folder: Path) -> None:
    live = LiveIndex(geoanchor.open(folder))
    answers: list[tuple[int, int]] = []
    over = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while not over.is_set():
                answer = http.post("/api/search", json=QUERY)
                rows = answer.json().get("total", 0)
                picture = http.get(f"/api/thumbnails/{answer.json()['hits'][0]['id']}")
                answers.append((max(answer.status_code, picture.status_code), rows))

    with serving(create_api(live, Access(requests_per_s=0))) as url:
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            geoanchor.build(str(painted_folder), folder, model="toy", layer="ground")
            _wait(lambda: len(live.current) == 48)
            from app import upkeep

            upkeep.remove(folder, [next(hit.id for hit in live.current.search("blue", k=1))])
            _wait(lambda: len(live.current) == 47)
            upkeep.compact(folder)
            _wait(lambda: live.current.manifest == geoanchor.open(folder).manifest)
            before = len(answers)
            _wait(lambda: len(answers) > before + 12)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        metrics = httpx.get(url + "/metrics").text
    assert {status for status, _ in answers} == {200}
    assert {rows for _, rows in answers} == {32, 48, 47}
    assert "geoanchor_index_swaps_total 3.0" in metrics
    assert "geoanchor_index_rows 47.0" in metrics


def _wait(until: object, seconds: float = 60.0) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not until():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
