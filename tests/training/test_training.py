"""Batches, loop, checkpoints and export on a made-up cache of coloured squares: quick, and with a known answer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from geoanchor.errors import UsageError
from models.bundle import load_bundle, read_bundle
from models.text import SentenceEncoder
from training.augment import augment
from training.batches import Batches, true_of
from training.checkpoint import require_checkpoint
from training.data import KEYWORDS, TilePairs, keyword_phrases
from training.export import export
from training.fitting import follow, learning_rate
from training.loop import Session
from training.model import PairModel, branch_of
from training.recipe import Recipe, load_recipe
from training.validate import validate

SHIPPED_RECIPE = Path(__file__).resolve().parents[2] / "training" / "recipes" / "mini.toml"
TINY = (
    "towers.architecture=mobilenetv4_conv_small_035",
    "towers.size_px=32",
    "towers.dim=32",
    "towers.hidden=48",
    "towers.layout_channels=4",
    "schedule.batch=16",
    "schedule.places=2",
    "schedule.steps=30",
    "schedule.warmup=3",
    "schedule.ema=0.8",
    "schedule.log_every=10",
)
COLOURS = {"stadium": (200, 40, 40), "river": (40, 60, 200), "forest": (30, 120, 30), "beach": (220, 210, 120)}


def made_up_cache(folder: Path, places: int = 3, each: int = 8, px: int = 40) -> Path:
    """Tiles of one colour a concept with a mark in one of four corners; the map shows the same in other colours."""
    rng = np.random.default_rng(1)
    for split in ("train", "val"):
        for place in range(places):
            shard = folder / split / f"place-{place}"
            shard.mkdir(parents=True)
            names = [list(COLOURS)[i % 4] for i in range(each)]
            aerial = np.stack([np.full((px, px, 3), COLOURS[name], np.uint8) for name in names])
            aerial = (aerial + rng.integers(0, 20, aerial.shape)).astype(np.uint8)
            maps = np.repeat((255 - aerial)[:, None], 2, axis=1)
            captions = [[f"a {name} here", f"{name} to the north"] for name in names]
            texts = list(dict.fromkeys(text for own in captions for text in own))
            np.save(shard / "aerial.npy", aerial)
            np.save(shard / "map.npy", maps)
            np.save(shard / "sentences.npy", SentenceEncoder().encode(texts).astype(np.float16))
            words = {"tiles": names, "captions": captions, "concepts": [[n] for n in names], "texts": texts}
            (shard / "words.json").write_text(json.dumps(words))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny_recipe(*overrides: str) -> Recipe:
    return load_recipe(SHIPPED_RECIPE, (*TINY, *overrides))


def state(session: Session) -> dict[str, torch.Tensor]:
    return {**session.model.state_dict(), **{f"average {k}": v for k, v in session.average.state_dict().items()}}


def test_pairs_join_the_places(cache: Path) -> None:
    pairs = TilePairs(cache, "train")
    assert len(pairs) == 24
    assert pairs.place.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert len(pairs.texts) == 8
    np.testing.assert_allclose(pairs.sentences, SentenceEncoder().encode(pairs.texts), atol=1e-3)
    assert [pairs.texts[i] for i in pairs.captions[9]] == ["a river here", "river to the north"]
    assert pairs.oriented.tolist() == ["north" in text for text in pairs.texts]
    assert pairs.concepts.sum(axis=1).tolist() == [1] * 24
    assert KEYWORDS[int(pairs.concepts[9].argmax())].name == "river"
    picture, styles = pairs.aerial([9, 0]), pairs.map([9, 0], [0, 1])
    np.testing.assert_array_equal(styles, 255 - picture)


def test_an_empty_cache_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no tiles of split 'val'"):
        TilePairs(tmp_path, "val")


def test_a_batch_is_a_function_of_its_step(cache: Path) -> None:
    recipe = tiny_recipe()
    first, second = (Batches(TilePairs(cache, "train"), branch_of(recipe.towers), recipe.schedule) for _ in range(2))
    for name in ("aerial", "map", "captions", "keywords", "caption_of", "keyword_of"):
        assert torch.equal(getattr(first(5), name), getattr(second(5), name)), name
    assert not torch.equal(first(5).aerial, first(6).aerial)
    assert first(5).aerial.shape == (16, 3, 32, 32)


def test_words_are_true_of_every_tile_that_shares_them(cache: Path) -> None:
    recipe = tiny_recipe()
    batch = Batches(TilePairs(cache, "train"), branch_of(recipe.towers), recipe.schedule)(0)
    assert batch.caption_of.diagonal().eq(1).all()
    assert batch.caption_of.sum() > 16
    assert batch.keyword_of.sum(dim=1).eq(1).all()
    assert batch.keyword_of.sum(dim=0).gt(0).all()


def test_true_of_knows_own_and_shared_captions() -> None:
    captions = np.array([[0, 1], [2, -1], [1, 2]])
    assert true_of(captions, np.array([0, 2, 1])).tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]


def test_keywords_have_plain_words() -> None:
    phrases = dict(zip((concept.name for concept in KEYWORDS), keyword_phrases(), strict=True))
    assert {"stadium", "the stadium", "stadiums"} <= set(phrases["stadium"])
    assert {"river", "the river"} <= set(phrases["river"])
    assert "solar panels" in phrases["solar"]


def test_both_layers_are_cropped_and_turned_alike() -> None:
    """Without their colour changes, map and aerial picture of a pair still show the same, up to the map's own shift."""
    from training.augment import _frames, _sampled

    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (8, 40, 40, 3), dtype=torch.uint8, generator=generator)
    frames = _frames(torch.ones(8, dtype=torch.bool), generator)
    assert torch.linalg.det(frames[:, :, :2]).sign().unique().numel() == 2
    whole = _frames(torch.zeros(8, dtype=torch.bool), generator)
    assert (whole[:, 0, 1] == 0).all()
    assert (whole[:, 0, 0] > 0).all()
    identity = torch.eye(2, 3).repeat(8, 1, 1)
    same = _sampled(pixels, identity, 40).permute(0, 2, 3, 1) * 255
    torch.testing.assert_close(same, pixels.float(), atol=0.01, rtol=0)


def test_a_turn_is_an_exact_turn() -> None:
    from training.augment import _frames, _sampled

    pixels = torch.randint(0, 256, (64, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frames = _frames(torch.ones(64, dtype=torch.bool), torch.Generator().manual_seed(1))
    whole = frames[:, :, :2].abs().sum(dim=(1, 2)) == 2
    seen = (_sampled(pixels, frames, 16).permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    kinds = set()
    for before, after in zip(pixels[whole], seen[whole], strict=True):
        ways = [torch.rot90(m, k) for m in (before, before.flip(0)) for k in range(4)]
        kinds.add(next(i for i, way in enumerate(ways) if torch.allclose(way.float(), after.float(), atol=1)))
    assert len(kinds) == 8


def test_augmented_pictures_are_bytes_of_the_right_size() -> None:
    pixels = torch.randint(0, 256, (4, 40, 40, 3), dtype=torch.uint8)
    some = torch.tensor([True, False, True, False])
    seen, drawn = augment(pixels, pixels, some, 32, torch.Generator().manual_seed(0))
    assert seen.shape == drawn.shape == (4, 32, 32, 3)
    assert seen.dtype == drawn.dtype == torch.uint8


def test_training_beats_chance_and_its_bundle_agrees(cache: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    held_out = TilePairs(cache, "val")
    session = Session(recipe, TilePairs(cache, "train"), tmp_path, held_out)
    before = validate(session.average, held_out, branch_of(recipe.towers))
    lines: list[str] = []
    session.fit(lines.append)
    after = validate(session.average, held_out, branch_of(recipe.towers))
    assert after["keywords mAP"] > max(60, before["keywords mAP"] + 10)
    assert after["text R@1"] > 60  # chance is 25: four kinds
    losses = [json.loads(line)["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == list(
        map(json.loads, lines)
    )

    folder = export(session.average, recipe, tmp_path / "bundle")
    encoder = load_bundle(folder)
    pixels = [held_out.aerial([row])[0] for row in range(4)]
    with torch.inference_mode():
        from training.validate import vectors_of

        trained = vectors_of(session.average.aerial, np.stack(pixels), branch_of(recipe.towers))
    np.testing.assert_allclose(encoder.encode(pixels, "aerial")["semantic"], trained, atol=5e-3)
    assert "Not measured" in (folder / "CARD.md").read_text()
    assert read_bundle(folder).recipe["schedule"]["steps"] == 30
    assert "osm_folder" not in json.dumps(read_bundle(folder).recipe)


def test_a_resumed_run_equals_an_uninterrupted_one(cache: Path, tmp_path: Path) -> None:
    recipe, pairs = tiny_recipe("schedule.steps=8"), TilePairs(cache, "train")
    whole = Session(recipe, pairs, tmp_path / "whole")
    for _ in range(8):
        whole.advance()
    first = Session(recipe, pairs, tmp_path / "cut")
    for _ in range(3):
        first.advance()
    first.save()
    first.advance()  # lost with the process
    second = Session(recipe, pairs, tmp_path / "cut")
    second.load()
    assert second.step == 3
    for _ in range(5):
        second.advance()
    for (name, ours), theirs in zip(state(whole).items(), state(second).values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_checkpoint_of_another_model_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    pairs = TilePairs(cache, "train")
    Session(tiny_recipe(), pairs, tmp_path).save()
    with pytest.raises(UsageError, match="of another model"):
        Session(tiny_recipe("towers.hidden=40"), pairs, tmp_path).load()


def test_a_damaged_checkpoint_and_an_impossible_folder_are_one_sentence(cache: Path, tmp_path: Path) -> None:
    session = Session(tiny_recipe(), TilePairs(cache, "train"), tmp_path)
    session.save()
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UsageError, match="is damaged or cut short; remove it to start the run again"):
        session.load()
    for folder in (file / "run", Path("/proc/run")):
        with pytest.raises(UsageError, match="no folder can be made there for the run"):
            require_checkpoint(folder / "checkpoint.pt", False, tiny_recipe())


def test_a_run_is_resumed_by_its_own_recipe_alone(tmp_path: Path) -> None:
    """What is exported names a recipe, and must not name another than was learned by; the pace of notes may differ."""
    path = tmp_path / "run" / "checkpoint.pt"
    require_checkpoint(path, False, tiny_recipe())
    path.touch()
    require_checkpoint(path, True, tiny_recipe("schedule.checkpoint_s=1", "schedule.log_every=7"))
    with pytest.raises(UsageError, match=r"was started with schedule\.seed = 0, not 7; resume it with the same recipe"):
        require_checkpoint(path, True, tiny_recipe("schedule.seed=7"))
    require_checkpoint(path, True, tiny_recipe())


def test_the_average_follows() -> None:
    torch.manual_seed(0)
    shape = tiny_recipe().towers
    model, average = PairModel(shape), PairModel(shape)
    start, target = average.text["head"].inner.weight.clone(), model.text["head"].inner.weight
    follow(average, model, 0.75)
    torch.testing.assert_close(average.text["head"].inner.weight, 0.75 * start + 0.25 * target)


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    schedule = tiny_recipe("schedule.steps=100", "schedule.warmup=10", "schedule.learning_rate=1.0").schedule
    rates = [learning_rate(step, schedule) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)
