"""Names of models as an index keeps them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commandline import run

from app.modelname import lasting
from geoanchor.manifest import read_manifest
from models.bundle import SHIPPED


def test_a_model_in_a_folder_is_found_from_everywhere_and_missed_by_name(
    capsys: pytest.CaptureFixture[str], painted_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, into = tmp_path / "runs" / "bundle", tmp_path / "own.index"
    shutil.copytree(SHIPPED / "mini", bundle)
    monkeypatch.chdir(tmp_path)
    source = f"{painted_folder}/{{z}}/{{x}}/{{y}}.png"
    assert run(capsys, "index", source, "--into", into, "--model", "runs/bundle")[0] == 0
    monkeypatch.chdir(tmp_path / "runs")
    assert read_manifest(into).model == str(bundle)
    assert run(capsys, "search", into, "red", "--format", "json")[0] == 0
    bundle.rename("moved")
    picture = next(painted_folder.rglob("*.png"))
    said = f"{into}: the index names the model '{bundle}', which is not there; say where it lies now with --model\n"
    for words in (("search", into, "red"), ("index", source, "--into", into), ("describe", into, "--image", picture)):
        code, out, err = run(capsys, *words)
        assert (code, out, err) == (2, "", f"geoanchor: {said}"), words
    assert run(capsys, "search", into, "red", "--model", "moved")[0] == 0
    assert "no model 'gone'" in run(capsys, "search", into, "red", "--model", "gone")[2]


def test_a_shipped_model_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED)
    assert [lasting(name) for name in ("mini", "toy", "clip:ViT-B-32/openai")] == [
        "mini",
        "toy",
        "clip:ViT-B-32/openai",
    ]
    assert lasting("./mini") == str(SHIPPED / "mini")
    assert lasting("clip:ViT-B-32/mini/bundle.json") == f"clip:ViT-B-32/{SHIPPED / 'mini' / 'bundle.json'}"
