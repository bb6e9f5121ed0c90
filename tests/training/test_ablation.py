"""The ablation on made-up features: stage one on frozen backbones, its table, and runs that are not done twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.bundle import SHIPPED, load_bundle
from training.anchorcache import TileAnchors
from training.batches import AnchorTargets
from training.matching import ablation
from training.matching.ablation import ROWS, Ground, read_examples, run_all, run_row, spread, write_examples
from training.matching.examples import Edits, Examples
from training.matching.heads import frozen_towers, headed
from training.recipe import Anchors, Recipe, load_recipe

RECIPE = Path(__file__).resolve().parents[2] / "training" / "recipes" / "u_csa_mini.toml"
FEATURES = 12


def recipe() -> Recipe:
    return load_recipe(
        RECIPE, ("towers.dim=16", "towers.hidden=32", "matching.epochs=6", "matching.width=16", "matching.prototypes=6")
    )


def features(seed: int, n: int = 160) -> Examples:
    """Both sides see the same place through a mixing of their own; half of the places have an edited map."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(2, n, FEATURES)).astype(np.float32)
    mix = np.random.default_rng(99).normal(size=(2, FEATURES, FEATURES)).astype(np.float32)
    row = np.arange(0, n, 2)
    other = rng.normal(size=(2, len(row), FEATURES)).astype(np.float32)
    edits = Edits(row, np.full(len(row), "all"), np.ones(len(row), np.float32))
    codes = (place[0, :, :11] > 0).astype(np.uint8)
    return Examples(place @ mix[0], place @ mix[1], other @ mix[1], edits, codes, np.ones(n, bool))


def ground() -> Ground:
    train = features(0)
    own = np.arange(len(train))
    vectors = np.random.default_rng(1).normal(size=(11, 16)).astype(np.float32)
    told = train.attributes.astype(np.float32) @ vectors
    told /= np.linalg.norm(told, axis=1, keepdims=True)
    anchors = TileAnchors(train.attributes, tuple(map(str, own)), own, own)
    return Ground(train, features(1), features(2), AnchorTargets(anchors, told, Anchors()))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_row_learns_and_beats_chance() -> None:
    for row in ROWS:
        found = run_row(ground(), row, 0, recipe(), recipe().matching)
        least = 0.7 if row.anchors else 0.9  # eleven signs do not tell all of a place
        assert found["cosine"]["AUROC swaps"] > least, row
        assert found["matcher"]["AUROC all"] > least, row
        assert (found["matcher"]["alpha"] == 1) >= (not row.prototypes)


def test_runs_are_kept_and_not_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "SETS", ("city",))
    monkeypatch.setattr(ablation, "ground_of", lambda *_: ground())
    lines: list[str] = []
    first = run_all(recipe(), tmp_path, Path("mini"), (0, 1), lines.append, tmp_path)
    assert len(lines) == 6
    kept = tmp_path / "city-1-1.json"
    figures = json.loads(kept.read_text())
    kept.unlink()
    again = run_all(recipe(), tmp_path, Path("mini"), (0, 1), lines.append, tmp_path)
    assert len(lines) == 7
    assert json.loads(kept.read_text()) == figures
    assert again == first
    assert set(first) == {f"city / {row.name} / {score}" for row in ROWS for score in ("matcher", "cosine")}


def test_spread_by_hand() -> None:
    assert spread([{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]) == {"x": 2.0, "x sd": 1.0}
    assert spread([{"x": 1.0}]) == {"x": 1.0, "x sd": 0.0}


def test_features_come_back_as_they_were_kept(tmp_path: Path) -> None:
    kept = features(3)
    write_examples(tmp_path / "f.npz", kept)
    found = read_examples(tmp_path / "f.npz")
    for name in ("aerial", "maps", "changed", "attributes", "plain"):
        np.testing.assert_allclose(getattr(found, name), getattr(kept, name), rtol=1e-3)
    for name in ("row", "kind", "strength"):
        np.testing.assert_array_equal(getattr(found.edits, name), getattr(kept.edits, name))


def test_frozen_towers_are_the_bundles_own() -> None:
    (aerial, maps), heads = frozen_towers(SHIPPED / "mini")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 320, 320, 3), np.uint8)
    none = np.zeros(0, np.int64)
    edits = Edits(none, none.astype(str), none.astype(np.float32))
    seen = Examples(aerial(pixels)[None], maps(pixels)[None], maps(pixels)[None], edits, pixels[:, 0, :11, 0], none > 0)
    encoder = load_bundle("mini")
    vectors = headed(seen, heads)
    # A part of a picture is seen in one view, as the backbone's features are; norms folded in round otherwise.
    seen_once = encoder.encode(list(pixels), "segment")["semantic"]
    assert ((vectors.aerial[0] * seen_once).sum(axis=1) > 0.999).all()
    np.testing.assert_allclose(vectors.maps[0], encoder.encode(list(pixels), "map")["semantic"], atol=1e-4)
