"""A scenes run from recipe to bundle, in small: coloured pictures with captions beside drawn tiles."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.commands.train import train
from geoanchor.errors import UsageError
from geoanchor.protocols import Encoder
from models.bundle import Branch, load_bundle, read_bundle
from training.data import TilePairs, cache_folder
from training.scenes.batches import SceneBatches
from training.scenes.fit import ScenesSession, recall
from training.scenes.maps import MapModel
from training.scenes.model import Memory, SceneLoss
from training.scenes.pictures import ScenePictures, part_of
from training.scenes.recipe import Objective, ScenesRecipe, is_scenes_recipe, load_scenes_recipe
from training.scenes.views import view
from training.validate import vectors_of

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
RECIPE = RECIPES / "mini_scenes.toml"
COLOURS = {"Forest": (30, 120, 30), "Beach": (220, 210, 120), "River": (40, 60, 200)}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that point the recipe at sixty pictures of one colour each."""
    folder = tmp_path_factory.mktemp("scenes")
    rng, listed = np.random.default_rng(0), []
    with tarfile.open(folder / "images.tar", "w") as tar:
        for number in range(60):
            kind = list(COLOURS)[number % 3]
            pixels = np.clip(np.array(COLOURS[kind]) + rng.integers(-15, 15, (40, 40, 3)), 0, 255).astype(np.uint8)
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "PNG")
            member = tarfile.TarInfo(f"{kind}_{number}.png")
            member.size = len(data.getvalue())
            tar.addfile(member, io.BytesIO(data.getvalue()))
            captions = [f"a {kind.lower()} seen from above", f"here is a {kind.lower()}", f"{kind.lower()} and more"]
            listed.append({"image": member.name, "scene": kind, "captions": captions})
    (folder / "captions.json").write_text(json.dumps(listed))
    return [
        f"scenes.pictures={folder / 'images.tar'}",
        f"scenes.captions={folder / 'captions.json'}",
        "scenes.cache_px=40",
        "data.tiles_per_city=12",
        "data.tile_px=64",
        "data.cache_px=48",
        "towers.architecture=mobilenetv4_conv_small_050",
        "towers.size_px=64",
        "towers.dim=32",
        "towers.hidden=32",
        "map_tower.size_px=32",
        "map_tower.dim=32",
        "map_tower.hidden=32",
        "matching.width=32",
        "schedule.batch=20",
        "schedule.drawn=4",
        "map_schedule.batch=8",
    ]


@pytest.fixture(scope="module")
def run(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command, as a user would."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(RECIPE, smoke=True, set_=[*settings, "pairs.path=nowhere.tar"], resume=False, run=folder)
    return folder


@pytest.fixture(scope="module")
def encoder(run: Path) -> Encoder:
    return load_bundle(run / "bundle")


def tiny(settings: list[str], *more: str) -> ScenesRecipe:
    return load_scenes_recipe(RECIPE, [*settings, *more], smoke=True)


def session(settings: list[str], run: Path, folder: Path, *more: str) -> ScenesSession:
    plan = tiny(settings, *more)
    drawn = TilePairs(cache_folder(run, tiny(settings, "pairs.path=nowhere.tar").data), "train")
    parts = (ScenePictures(run / "scenes", part) for part in ("train", "validation"))
    return ScenesSession(plan, *parts, drawn, folder)


def test_a_recipe_of_scenes_is_known_by_its_pictures() -> None:
    assert is_scenes_recipe(RECIPE)
    assert not is_scenes_recipe(RECIPES / "mini.toml")
    assert load_scenes_recipe(RECIPE).data.countries == ("A", "B")  # C stays unseen


def test_the_parts_share_nothing(run: Path) -> None:
    train_part, held_out = (ScenePictures(run / "scenes", part) for part in ("train", "validation"))
    assert not set(train_part.names) & set(held_out.names)
    assert len(train_part) + len(held_out) == 60
    assert all(part_of(name) == "validation" for name in held_out.names)


def test_the_bundle_sees_hears_and_keeps_its_structure(run: Path, encoder: Encoder) -> None:
    manifest = read_bundle(run / "bundle")
    assert manifest.branches["aerial"].size_px == 64
    assert manifest.branches["map"].size_px == 32
    assert {"semantic", "structure", "structure_grid"} == set(manifest.spaces)
    assert any("RSICD" in line for line in manifest.training_data)
    picture = np.full((50, 70, 3), 90, np.uint8)
    for modality in ("aerial", "map"):
        vector = encoder.encode([picture], modality)["semantic"]
        np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1, rtol=1e-5)
    assert encoder.encode(["a forest"], "text")["semantic"].shape == (
        1,
        read_bundle(run / "bundle").spaces["semantic"].dim,
    )
    assert encoder.matcher is not None


def test_what_was_told_apart_is_found(settings: list[str], run: Path, tmp_path: Path) -> None:
    stages = "stages=[{size_px=32, steps=60}]"
    learned = session(settings, run, tmp_path, stages, "schedule.ema=0.8", "objective.mixed=0.0")
    model = learned.fit(lambda _: None)
    held_out = ScenePictures(run / "scenes", "validation")
    figures = recall(model, held_out, Branch(architecture="mobilenetv4_conv_small_050", size_px=32))
    by_chance = 100 / len(held_out)
    assert figures["text R@1"] > 2 * by_chance


def test_a_cut_run_ends_as_an_uncut_one(settings: list[str], run: Path, tmp_path: Path) -> None:
    short = "stages=[{size_px=32, steps=2}, {size_px=64, steps=2}]"
    whole = session(settings, run, tmp_path / "whole", short)
    whole.fit(lambda _: None)
    cut = session(settings, run, tmp_path / "cut", short)
    for _ in range(2):
        cut.advance()
    cut.save()
    again = session(settings, run, tmp_path / "cut", short)
    again.load()
    again.fit(lambda _: None)
    for name, tensor in whole.average.state_dict().items():
        torch.testing.assert_close(again.average.state_dict()[name], tensor, rtol=0, atol=0)


def test_batches_grow_and_repeat_themselves(settings: list[str], run: Path) -> None:
    plan = tiny(settings, "stages=[{size_px=32, steps=3}, {size_px=64, steps=1}]")
    drawn = TilePairs(cache_folder(run, tiny(settings, "pairs.path=nowhere.tar").data), "train")
    scenes = ScenePictures(run / "scenes", "train")
    batches = SceneBatches(scenes, drawn, plan)
    assert [batches(step).views.shape[-1] for step in (0, 2, 3)] == [32, 32, 64]
    assert torch.equal(batches(1).views, batches(1).views)
    per_epoch = len(scenes) // 16
    rows = torch.cat([batches(step).rows for step in range(per_epoch)])
    assert len(rows) == len(rows.unique())  # each once an epoch
    for step in range(6):
        torch.testing.assert_close(batches(step).mix.sum(dim=1), torch.ones(16))


def test_views_keep_the_whole_range_and_leave_oriented_pictures_upright() -> None:
    pixels = torch.zeros(40, 32, 32, 3, dtype=torch.uint8)
    pixels[:, :10] = 255  # bright in the north
    seen = view(pixels, torch.zeros(40), 32, torch.Generator().manual_seed(3))
    assert seen.shape == (40, 3, 32, 32)
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    north, south = seen[:, :, :4].mean(dim=(1, 2, 3)), seen[:, :, -4:].mean(dim=(1, 2, 3))
    assert float((north > south).float().mean()) > 0.9
    turned = view(pixels, torch.ones(40), 32, torch.Generator().manual_seed(3))
    north, south = turned[:, :, :4].mean(dim=(1, 2, 3)), turned[:, :, -4:].mean(dim=(1, 2, 3))
    assert 0.2 < float((north > south).float().mean()) < 0.8


def test_targets_are_shares_and_alike_captions_get_some(run: Path) -> None:
    scenes, mean = ScenePictures(run / "scenes", "train"), np.eye(4, 384, dtype=np.float32)
    mean[1] = 0.9 * mean[0] + np.sqrt(1 - 0.81) * mean[1]
    scenes.mean = mean
    loss = SceneLoss(Objective(soft=0.4), scenes)
    targets = loss.targets(torch.tensor([0, 2]), torch.tensor([0, 1, 2, 3]))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(2))
    assert targets[0, 0] > targets[0, 1] > 10 * targets[0, 3]
    assert targets[1, 2] > 0.99


def test_with_a_bank_a_picture_is_asked_for_its_captions_among_all_that_were_told(
    settings: list[str], run: Path, tmp_path: Path
) -> None:
    alone = ("objective.mixed=0.0", "objective.drawn=0.0", "objective.keyword=0.0", "objective.kind=0.0")
    among_few, among_all = (
        session(settings, run, tmp_path, *alone, f"objective.bank={share}") for share in ("0.0", "1.0")
    )
    scenes, batch = ScenePictures(run / "scenes", "train"), among_all._batches(0)
    model = among_all.model.eval()
    told = [caption for own in scenes.captions for caption in own]
    with torch.no_grad():
        pictures = model.aerial(batch.views)[: len(batch.rows)]
        texts = model.words(torch.from_numpy(scenes.sentences))[told]  # one as often as it was told
        beliefs = (model.scene_scale() * pictures @ texts.T).log_softmax(dim=1)
        # Told by three pictures or by one: a caption's belief is shared out among its copies.
        copies = [np.flatnonzero(np.array(told) == caption) for caption in range(len(scenes.sentences))]
        whole = torch.stack([beliefs[:, own].logsumexp(dim=1) for own in copies], dim=1)
        expected = -np.mean([whole[n, scenes.captions[row]].mean() for n, row in enumerate(batch.rows.tolist())])
        own_way = 2 * float(among_all._loss(model, batch, Memory(0, 32)))
        other_half = 2 * float(among_few._loss(model, batch, Memory(0, 32)))
        few = (model.scene_scale() * pictures @ model.words(batch.told).T).log_softmax(dim=1)
        target = among_few._loss.targets(batch.rows, batch.rows)
    assert own_way - other_half == pytest.approx(expected + float((target * few).sum(dim=1).mean()), abs=1e-4)


def test_a_bundle_is_learned_on_from(settings: list[str], run: Path, encoder: Encoder, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    naming = ("objective.scenes=0.0", "objective.drawn=0.0", "objective.keyword=0.0")
    later = session(settings, run, tmp_path, f"start={run / 'bundle'}", *naming)
    branch = Branch(architecture="mobilenetv4_conv_small_050", size_px=64, views=4)
    taken = vectors_of(later.average.aerial, picture[None], branch)
    np.testing.assert_allclose(taken, encoder.encode([picture], "aerial")["semantic"], atol=5e-3)
    later.model.eval()
    loss = float(later.loss(0).detach())
    later.settle()
    assert float(later.loss(0).detach()) < loss
    np.testing.assert_array_equal(vectors_of(later.average.aerial, picture[None], branch), taken)
    with pytest.raises(UsageError, match="another network"):
        session(settings, run, tmp_path, f"start={run / 'bundle'}", "towers.hidden=48")


def test_the_memory_forgets_the_oldest() -> None:
    memory = Memory(3, 2)
    for row in range(4):
        memory.keep(torch.full((1, 2), float(row)), torch.zeros(1, 384), torch.tensor([row]))
    assert memory.rows.tolist() == [3, 2, 1]
    assert memory.vectors[:, 0].tolist() == [3, 2, 1]


def test_the_map_tower_alone_learns(run: Path) -> None:
    assert (run / "maps.pt").is_file()
    assert not [
        name for name, _ in MapModel(load_scenes_recipe(RECIPE).map_tower).named_parameters() if "aerial" in name
    ]


def test_pictures_that_are_not_there_are_named(settings: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json"):
        train(RECIPE, smoke=True, set_=[*settings, "scenes.captions=nowhere.json"], resume=False, run=tmp_path / "run")
