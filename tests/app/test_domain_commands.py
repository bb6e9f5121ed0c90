"""`geoanchor train` with the two presets of UrbanCross and `geoanchor evaluate adaptation`, by --smoke, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
from commandline import run
from huggingface_hub import constants

from tests.domains import write_domain

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


def painted(folder: Path, ground: str, light: float) -> list[str]:
    """A --set that makes a ground of pictures which cost nothing to draw."""
    files = write_domain(folder, ground, count=36, light=light)
    return ["--set", f"grounds.{ground}={{images = '{files['images']}', captions = '{files['captions']}'}}"]


def test_small_towers_move_to_another_light(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, "train", RECIPES / "urbancross_mini.toml", "--smoke", "--run", tmp_path / "run",
        *painted(tmp_path, "source", 1.0), *painted(tmp_path, "target", 0.5),
    )  # fmt: skip
    assert code == 0, err
    assert (Path(out.strip()) / "bundle.json").is_file()
    figures = json.loads((tmp_path / "run" / "figures.json").read_text("utf-8"))
    assert figures["before"]["images"] == figures["after"]["images"] > 0
    assert figures["adaptation"]["steps"] > 0


def test_the_paper_preset_makes_weights_that_open_clip_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capsys, "train", RECIPES / "urbancross.toml", "--smoke", "--run", tmp_path / "run",
        *painted(tmp_path, "source", 1.0), *painted(tmp_path, "target", 0.5), "--set", "adaptation.epochs=1",
    )  # fmt: skip
    assert code == 0, err
    assert open_clip.create_model("ViT-S-32-alt", pretrained=out.strip()).visual.image_size == (224, 224)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ("network.architecture=ViT-B-32", "network.weights=openai"),
            "openai: its published weights are not on this machine",
        ),
        (("segments.method=sam:vit_b",), "get it and put it at CACHE/weights/sam-vit_b.pth"),
    ],
)
def test_training_offline_fetches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    settings = tmp_path / "settings.toml"
    settings.write_text(f"cache_dir = '{tmp_path}'\n")
    code, out, err = run(
        capsys, "train", RECIPES / "urbancross.toml", "--smoke", "--run", tmp_path / "run", "--offline", "--config",
        settings, *painted(tmp_path, "source", 1.0), *painted(tmp_path, "target", 0.5),
        *(word for change in changes for word in ("--set", change)),
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert said.replace("CACHE", str(tmp_path)) in err
    assert constants.HF_HUB_OFFLINE or "sam" in said


def test_the_matrix_of_the_mini_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "evaluate", "adaptation", "--recipe", RECIPES / "urbancross_mini.toml", "--smoke", "--seeds", 2,
        "--run", tmp_path / "run", *painted(tmp_path, "source", 1.0), *painted(tmp_path, "target", 0.5),
    )  # fmt: skip
    code, out, err = run(capsys, *words, "--markdown", tmp_path / "table.md", "--json")
    assert code == 0, err
    rows = json.loads(out)["transfers"]["source to target"]
    assert list(rows) == ["no adaptation", "statistics alone", "w/o SS", "w/o CL", "w/o AT", "full", "upper bound"]
    assert all(len(row["runs"]) == 2 and row["sd"] is not None for row in rows.values())
    assert "| full | " in (tmp_path / "table.md").read_text("utf-8")
    code, again, err = run(capsys, *words)
    assert code == 0
    assert again.strip() == (tmp_path / "table.md").read_text("utf-8").strip()
    assert "mean recall" not in err  # every cell was there
