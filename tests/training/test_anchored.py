"""Anchored training: targets by hand, one step on made-up tiles, and both U-CSA recipes from pictures to a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from test_data import town

from geoanchor.errors import UsageError
from models.bundle import WEIGHTS_NAME, load_bundle, read_bundle
from models.fusion import PREFIX, FusionScorer
from models.text import SentenceEncoder
from training.anchorcache import FILE, TileAnchors, read_anchors, write_anchors
from training.anchors.schema import Anchor, Attributes, sentence
from training.batches import AnchorTargets, anchor_targets
from training.data import TilePairs
from training.loop import Session, train
from training.matching.stage import examples_of
from training.recipe import Anchors, Recipe, load_recipe
from training.structure.pairs import part_of

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
TOWN = Attributes(
    building_density="high", block_pattern="grid_blocks", dominant_building_size="small", roof_hint="courtyard",
    construction_state="established", building_shape="rectangular", building_arrangement="attached_rows",
    orientation_order="aligned", road_pattern="grid", junction_density="high", open_space="little",
)  # fmt: skip
FIELD = Attributes(
    building_density="none", block_pattern="open_land", dominant_building_size="none", roof_hint="none",
    construction_state="none", building_shape="none", building_arrangement="none", orientation_order="none",
    road_pattern="single_road", junction_density="none", open_space="dominant",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def anchor(name: str, attributes: Attributes) -> Anchor:
    text = sentence(attributes, name)
    return Anchor(id=name, attributes=attributes, summary=text, source="osm", annotator_version="test")


def coloured_cache(folder: Path, n: int = 12, px: int = 40) -> Path:
    """Towns are red and fields green in pictures, and the other way round on maps."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        shard = folder / split / "place"
        shard.mkdir(parents=True)
        kinds = [TOWN if i % 2 else FIELD for i in range(n)]
        colours = np.array([[200, 30, 30] if kind is TOWN else [30, 160, 30] for kind in kinds], np.uint8)
        aerial = np.broadcast_to(colours[:, None, None], (n, px, px, 3)) + rng.integers(0, 30, (n, px, px, 3))
        np.save(shard / "aerial.npy", aerial.astype(np.uint8))
        np.save(shard / "map.npy", np.repeat(aerial[:, None, :, :, ::-1], 2, axis=1).astype(np.uint8))
        np.save(shard / "sentences.npy", np.zeros((0, 384), np.float16))
        names = [f"{split}-{i}" for i in range(n)]
        nothing: list[list[str]] = [[] for _ in names]
        words = {"tiles": names, "captions": nothing, "concepts": nothing, "texts": []}
        (shard / "words.json").write_text(json.dumps(words))
        write_anchors(shard, [anchor(name, kind) for name, kind in zip(names, kinds, strict=True)])
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_cache(tmp_path_factory.mktemp("anchored"))


def tiny(*overrides: str) -> Recipe:
    small = ("towers.architecture=mobilenetv4_conv_small_035", "towers.size_px=32", "towers.hidden=32")
    length = ("schedule.steps=12", "schedule.batch=12", "schedule.places=1", "schedule.warmup=1", "schedule.ema=0.5")
    return load_recipe(RECIPES / "u_csa_mini.toml", (*small, "towers.layout_channels=2", *length, *overrides))


def test_the_map_is_told_only_what_maps_show(cache: Path) -> None:
    anchors = read_anchors([cache / "train" / "place"], "listing")
    seen, drawn = anchors.texts[anchors.aerial[1]], anchors.texts[anchors.map[1]]
    assert "roof hint: courtyard" in seen
    assert "construction" in seen
    assert "roof" not in drawn
    assert "construction" not in drawn
    assert "building density: high" in drawn
    assert len(anchors.texts) == 3  # a field has neither roofs nor building sites to keep from the map
    assert anchors.attributes.shape == (12, 11)


def test_a_place_without_anchors_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"has no {FILE}"):
        read_anchors([cache / "train" / "place", tmp_path], "sentence")


def test_near_doubles_share_a_target() -> None:
    attributes = np.zeros((4, 11), np.uint8)
    attributes[1, 0] = attributes[2, :2] = attributes[3, :3] = 1
    none = np.zeros(4, np.int64)
    targets = AnchorTargets(TileAnchors(attributes, ("",), none, none), np.zeros((1, 4), np.float32), Anchors())
    expected = np.eye(4)
    for one, other, equal in ((0, 1, 10), (0, 2, 9), (1, 2, 10), (2, 3, 10), (1, 3, 9)):
        expected[one, other] = expected[other, one] = np.exp((equal - 11) / 0.5)
    np.testing.assert_allclose(targets.targets(np.arange(4)), expected, rtol=1e-6)  # 0 and 3 agree in 8: no target


def test_towers_learn_where_the_anchors_lie(cache: Path, tmp_path: Path) -> None:
    recipe = tiny("towers.dim=384", "schedule.steps=24")
    session = Session(recipe, TilePairs(cache, "train"), tmp_path)
    losses = [session.advance() for _ in range(24)]
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.2
    told = SentenceEncoder().encode(anchor_targets(TilePairs(cache, "train"), recipe.anchors).anchors.texts)
    before = session.batches(99)
    assert torch.isin(before.aerial_anchors[:, 0], torch.from_numpy(told)[:, 0]).all()
    assert before.captions.shape == (0, 384)
    assert not before.told.any()


@pytest.mark.parametrize("kind", ["trainable", "frozen_orthogonal"])
def test_a_projection_brings_text_to_other_dims(cache: Path, tmp_path: Path, kind: str) -> None:
    session = Session(tiny("towers.dim=24", f"anchors.text_projection={kind}"), TilePairs(cache, "train"), tmp_path)
    layer = session.model.anchor_projection
    assert isinstance(layer, torch.nn.Linear)
    before = layer.weight.detach().clone()
    session.advance()
    assert torch.equal(before, layer.weight) == (kind == "frozen_orthogonal")
    if kind == "frozen_orthogonal":
        torch.testing.assert_close(before @ before.T, torch.eye(24), atol=1e-5, rtol=0)


def test_text_that_does_not_fit_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'minilm' has 384 numbers and the towers 24"):
        Session(tiny("towers.dim=24"), TilePairs(cache, "train"), tmp_path)


def real_pairs(folder: Path) -> Path:
    """Twelve to learn from and five to calibrate on: two houses and a road, elsewhere in each."""
    rng = np.random.default_rng(4)
    names = [f"{i:04d}.png" for i in range(400)]
    chosen = [name for name in names if part_of(name) == "train"][:12]
    chosen += [name for name in names if part_of(name) == "calibration"][:5]
    for name in chosen:
        drawn, seen = np.full((48, 48, 3), (232, 229, 222), np.uint8), np.full((48, 48, 3), (60, 80, 50), np.uint8)
        y, x = rng.integers(4, 30, 2)
        drawn[y : y + 12, x : x + 9], seen[y : y + 12, x : x + 9] = (243, 240, 234), (150, 140, 130)
        drawn[:, 40:44], seen[:, 40:44] = (254, 254, 253), (90, 90, 90)
        for kind, picture in (("map", drawn), ("aerial", seen)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / kind / name)
    return folder


def smoke(pairs: Path) -> Sequence[str]:
    return (
        "data.train_seeds=[1, 0]", "data.val_seeds=[1, 0]", f"pairs.path={pairs}", "pairs.metres=80",
        "schedule.steps=3", "schedule.batch=8", "schedule.warmup=1", "matching.batch=16",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["u_csa", "u_csa_mini"])
def test_recipes_run_from_pictures_to_a_bundle(name: str, tmp_path: Path) -> None:
    pairs, run = real_pairs(tmp_path / "pairs"), tmp_path / "run"
    lines: list[str] = []
    folder = train(RECIPES / f"{name}.toml", run, overrides=smoke(pairs), smoke=True, log=lines.append)
    encoder = load_bundle(folder)
    pictures = [np.asarray(Image.open(path)) for path in sorted((pairs / "map").iterdir())]
    maps = encoder.encode(pictures, "map")["semantic"]
    weights = load_file(folder / WEIGHTS_NAME)
    fusion = {k.removeprefix(f"{PREFIX}."): v for k, v in weights.items() if k.startswith(f"{PREFIX}.")}
    belief = FusionScorer(fusion).probability(maps, maps)
    assert encoder.matcher is not None
    judged = encoder.matcher.judge({"semantic": maps}, {"semantic": maps})
    np.testing.assert_allclose(judged.probability, belief, atol=1e-6)
    manifest = read_bundle(folder)
    assert "real pairs of aerial and map pictures" in manifest.training_data
    assert not any("synthetic pictures only" in limit or "English" in limit for limit in manifest.limits)
    assert belief.shape == (17,)
    assert ((belief >= 0) & (belief <= 1)).all()
    assert not any(key.startswith(("text.", "anchor_")) for key in weights)
    figures = json.loads((run / "matching.json").read_text())
    assert len(figures["epochs"]) == 2
    assert 1 <= figures["epochs"][-1]["protos_used"] <= 50
    again = train(RECIPES / f"{name}.toml", run, overrides=smoke(pairs), smoke=True, resume=True)
    assert load_file(again / WEIGHTS_NAME).keys() == weights.keys()
    for key, array in load_file(again / WEIGHTS_NAME).items():
        np.testing.assert_array_equal(array, weights[key], err_msg=key)


def test_composites_bring_their_own_matches(tmp_path: Path) -> None:
    pairs = real_pairs(tmp_path / "pairs")
    train(RECIPES / "u_csa_mini.toml", tmp_path / "run", overrides=smoke(pairs), smoke=True)
    tiles = next(path for path in (tmp_path / "run").iterdir() if path.name.startswith("tiles-"))

    def grey(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(pixels.mean(axis=3).reshape(len(pixels), -1), np.float32)

    examples = examples_of(tiles, "val", (grey, grey), 1)
    assert examples.plain.sum() == 5
    assert 5 < len(examples) <= 5 * 4
    assert len(examples.edits) == len(examples) - 5
    assert sorted(set(examples.edits.kind.tolist())) == ["moved", "patch 25 %", "patch 50 %"]
    assert not examples.plain[examples.edits.row].any()
    changed = np.abs(examples.changed[0] - examples.maps[0][examples.edits.row]) > 0
    assert changed.any(axis=1).all()
    half = examples.edits.kind == "patch 50 %"
    assert (changed[half].mean(axis=1) <= 0.51).all()
    assert not (tiles / "test").exists()  # what is for judging is not even read


def test_drawn_places_bring_edits_of_their_vectors(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.geojson", "b.geojson")):
        town(tmp_path, name, seed)
    overrides = (
        *smoke(tmp_path / "absent"), f"data.osm_folder={tmp_path}", 'data.osm_train=["a.geojson"]',
        'data.osm_val=["b.geojson"]', "data.tiles_per_extract=12",
    )  # fmt: skip
    run, lines = tmp_path / "run", list[str]()
    bundle = train(RECIPES / "u_csa_mini.toml", run, overrides=overrides, smoke=True, log=lines.append)
    assert any("real pairs are left out" in line for line in lines)
    shard = next(run.glob("tiles-*")) / "train" / "osm-a"
    anchors = [Anchor.model_validate_json(line) for line in (shard / FILE).read_text().splitlines()]
    facts = json.loads((shard / "edits.json").read_text())
    assert len(anchors) == 12
    assert 0 < len(facts) <= 12
    assert {kind for _, kind, _ in facts} <= {"delete", "insert", "swap_block", "shift", "drop_road"}
    edited, maps = np.load(shard / "edits.npy"), np.load(shard / "map.npy")
    assert all((picture != maps[row, 0]).any() for picture, (row, _, _) in zip(edited, facts, strict=True))
    assert set(load_bundle(bundle).spaces["semantic"].modalities) == {"aerial", "map"}
    assert not any("real pairs" in line for line in read_bundle(bundle).training_data)
    assert any("synthetic pictures only" in limit for limit in read_bundle(bundle).limits)
