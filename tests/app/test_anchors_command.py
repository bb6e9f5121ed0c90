"""`geoanchor anchors` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import run
from PIL import Image

from geoanchor.tiling import Tile, tile_at
from indexer.city.city import City
from indexer.render import render_map
from training.anchors.records import read_anchors


def test_vectors_then_raster_then_how_far_they_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "sub" / "b.jsonl"
    code, out, err = run(capsys, "anchors", "city:7", "--out", one, "--limit", 3)
    assert (code, out) == (0, "")
    assert "3 anchors (3 osm)" in err
    code, out, err = run(
        capsys, "anchors", "city:7", "--out", other, "--limit", 3, "--annotator", "raster", "--agreement", one
    )
    assert code == 0
    assert "3 raster" in err
    assert "| attribute | accuracy |" in out
    first, second = read_anchors(one), read_anchors(other)
    assert [a.id for a in first] == [a.id for a in second]
    lines = [json.loads(line) for line in one.read_text().splitlines()]
    assert list(lines[0]) == ["id", "attributes", "summary", "source", "annotator_version", "metrics", "retries"]


def test_pictures_of_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = City(7)
    middle = tile_at(*town.extent.center, 17)
    folder = tmp_path / "maps"
    folder.mkdir()
    for n in range(2):
        Image.fromarray(render_map(town, Tile(17, middle.x + n, middle.y))).save(folder / f"{n}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    code, _, err = run(capsys, "anchors", folder, "--out", tmp_path / "o.jsonl", "--gsd", 0.8)
    assert code == 0
    assert "2 anchors (2 raster)" in err
    assert "1 not usable" in err
    found = read_anchors(tmp_path / "o.jsonl")
    assert [a.id for a in found] == ["0", "1"]
    assert found[0].metrics["side_m"] == pytest.approx(256 * 0.8, rel=1e-3)


def test_a_model_looks_at_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        name = "silent"

        def __init__(self, *_: Any) -> None: ...

        def reply(self, *_: Any) -> str:
            return "I see houses."

    monkeypatch.setattr("training.anchors.qwen.QwenGenerator", Silent)
    out = tmp_path / "q.jsonl"
    code, _, err = run(capsys, "anchors", "city:7", "--out", out, "--limit", 2, "--annotator", "qwen")
    assert code == 0
    assert "2 osm_fallback" in err
    assert {a.retries for a in read_anchors(out)} == {4}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.png"], "nowhere.png"),
        (["FOLDER", "--annotator", "vectors"], "holds no vectors"),
        (["FOLDER", "--annotator", "qwen"], "name the map"),
        (["city:7", "--agreement", "none.jsonl"], "none.jsonl"),
    ],
)
def test_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    words = [str(tmp_path) if word == "FOLDER" else word for word in arguments]
    code, out, err = run(capsys, "anchors", *words, "--out", tmp_path / "o.jsonl", "--limit", 1)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o.jsonl").exists()
