"""Whole runs: small towers and a tiny open_clip model with segments, and the matrix of all rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest

from geoanchor.errors import UsageError
from models.bundle import load_bundle
from tests.domains import domain_recipe, write_recipe
from training.domain import matrix
from training.domain.ground import open_ground
from training.domain.matrix import ROWS, run_matrix
from training.domain.recipe import is_domain_recipe, load_domain_recipe
from training.domain.table import matrix_table
from training.domain.train import train_domain
from training.runlog import silent

RECIPES = Path(__file__).parents[3] / "training" / "recipes"
TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PICTURE = np.full((40, 40, 3), (220, 40, 40), np.uint8)


def test_small_towers_with_segments_become_a_bundle(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, segments={"count": 2, "image_weight": 0.5})
    bundle = train_domain(recipe, tmp_path / "run")
    encoder = load_bundle(bundle)
    vectors = encoder.encode([encoder.prepare(PICTURE, "aerial")], "aerial")["semantic"]
    words = encoder.encode(["a red field"], "text")["semantic"]
    assert vectors.shape == words.shape == (1, 16)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-4)
    figures = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert figures["target_text"] == "unpaired"
    assert figures["before"]["images"] == figures["after"]["images"]
    with pytest.raises(UsageError, match="--resume"):
        train_domain(recipe, tmp_path / "run")
    assert train_domain(recipe, tmp_path / "run", resume=True) == bundle


def test_the_paper_preset_runs_whole_with_a_tiny_clip(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "GA-tiny-domain.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / "configs")
    paper = load_domain_recipe(RECIPES / "urbancross.toml")
    recipe = write_recipe(
        tmp_path,
        network={"kind": "clip", "architecture": "GA-tiny-domain"},
        segments=paper.segments.model_dump() | {"method": "regions", "size_px": 32},
        pretraining=json.loads(paper.pretraining.model_dump_json(exclude_none=True))
        | {"steps": 2, "epochs": 0, "batch": 8},
        adaptation=json.loads(paper.adaptation.model_dump_json(exclude_none=True)) | {"batch": 3},
    )
    weights = train_domain(recipe, tmp_path / "run")
    encoder = load_bundle(f"clip:GA-tiny-domain/{weights}")
    vectors = encoder.encode([encoder.prepare(PICTURE, "aerial")], "aerial")["semantic"]
    assert vectors.shape == (1, 24)


def test_the_presets_say_what_the_method_says() -> None:
    paper = load_domain_recipe(RECIPES / "urbancross.toml")
    assert (paper.network.architecture, paper.network.weights) == ("ViT-L-14-quickgelu", "openai")
    assert (paper.pretraining.batch, paper.pretraining.epochs, paper.pretraining.contrast) == (40, 15, "hinge_sum")
    assert (paper.adaptation.batch, paper.adaptation.candidates, paper.adaptation.epochs) == (16, 5, 5)
    assert (paper.adaptation.band, paper.adaptation.weighting) == ("disjoint", "paper")
    assert (paper.segments.count, paper.segments.weighting) == (6, "paper")
    mini = load_domain_recipe(RECIPES / "urbancross_mini.toml")
    assert (mini.adaptation.band, mini.adaptation.weighting, mini.pretraining.contrast) == (
        "cumulative", "softmax", "info_nce",
    )  # fmt: skip
    assert is_domain_recipe(RECIPES / "urbancross.toml")
    assert not is_domain_recipe(RECIPES / "mini.toml")
    seeds = [seed for ground in mini.grounds.values() for pair in ground.cities.values() for seed in pair]
    assert min(seeds) >= 1000
    assert max(seeds) < 2000


@pytest.mark.parametrize("name", ["urbancross.toml", "urbancross_mini.toml"])
def test_smoke_needs_nothing_that_must_be_fetched(name: str) -> None:
    smoke = load_domain_recipe(RECIPES / name, smoke=True)
    assert not smoke.network.weights
    assert all(ground.images is None for ground in (smoke.grounds[smoke.source], smoke.grounds[smoke.target]))
    assert smoke.segments.method == "regions"


def test_a_ground_is_drawn_once_with_captions_and_its_towns_tenth(tmp_path: Path) -> None:
    recipe = load_domain_recipe(
        write_recipe(tmp_path), ["segments.count=2", "grounds.day={cities = {C = [1029, 1029]}, tiles_per_city = 2}"]
    )
    lines: list[str] = []
    for _ in range(2):
        pictures = open_ground(recipe, "day", tmp_path / "cache", lines.append)
    assert len(lines) == 1
    assert (len(pictures), pictures.tenth.tolist()) == (2, [0, 0])
    assert pictures.pixels(np.arange(2)).shape == (2, 32, 32, 3)
    assert pictures.pixels(np.arange(2)).std() > 5
    crops, there = pictures.crops(np.arange(2))
    assert crops.shape == (2, 2, 32, 32, 3)
    assert there.any(axis=1).all()
    assert (pictures.captions[:, 0] >= 0).all()


def test_the_matrix_has_every_row_and_finished_cells_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = domain_recipe(tmp_path, adaptation={"learns": "heads", "epochs": 1, "statistics": "target"})
    absent = recipe.grounds["dusk"].model_copy(update={"images": tmp_path / "nowhere"})
    recipe = recipe.model_copy(
        update={
            "grounds": recipe.grounds | {"away": absent}, "transfers": (("day", "dusk"), ("day", "away")),
        }
    )  # fmt: skip
    first = run_matrix(recipe, tmp_path / "run", range(2), silent)
    assert list(first["transfers"]) == ["day to dusk"]
    assert first["absent"] == ["day to away"]
    assert list(first["transfers"]["day to dusk"]) == list(ROWS)
    assert all(len(own["runs"]) == 2 for own in first["transfers"]["day to dusk"].values())

    def fail(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(matrix, "train_source", fail)
    assert run_matrix(recipe, tmp_path / "run", range(2), silent) == first
    table = matrix_table(first)
    assert "Left out, since its pictures are not there: day to away." in table
    assert "| full | " in table
    assert table.count("\n| ") >= 2 + len(ROWS)


def test_heads_alone_leave_the_backbone_as_it_was(tmp_path: Path) -> None:
    import torch

    from training.domain.adapt import adapted, prepare
    from training.domain.batches import Side
    from training.domain.pictures import PRETRAINING, adaptation_split
    from training.domain.source import Grounds, train_source

    recipe = domain_recipe(tmp_path, adaptation={"learns": "heads", "epochs": 1})
    grounds = Grounds(recipe, tmp_path / "pictures", silent)
    network = train_source(grounds, "day", 0, tmp_path / "source")
    source, target = (grounds.views(name, network) for name in ("day", "dusk"))
    parts = adaptation_split(source.pictures, target.pictures)
    train = Side(source, source.pictures.split(PRETRAINING)["train"])
    start = prepare(network, train, target, parts["adapt"], recipe.adaptation)
    moved, facts = adapted(start, parts, recipe.adaptation, tmp_path / "run", recipe, silent)
    state, former = moved.state_dict(), network.state_dict()
    assert all(torch.equal(state[name], former[name]) for name in state if name.startswith("aerial.backbone."))
    assert facts["steps"] == len(parts["adapt"]) // recipe.adaptation.batch
