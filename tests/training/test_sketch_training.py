"""A run of sketches from recipe to bundle, in small: looked at once, fitted, resumed bit for bit, exported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from streets import PRIOR, ground, grounds

from app.commands.train import train
from geoanchor.errors import UsageError
from geoanchor.structure import shares
from geoanchor.tiling import tiles_in
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.render import render_map
from models.bundle import SHIPPED, SKETCHES_NAME, WEIGHTS_NAME, load_bundle, read_bundle
from models.decoding import Decoder
from models.registrar import FINE_CELLS
from models.registration import MAP_FLOOR, Spectra, best_shift, sharpened
from models.sketches import Sketches
from models.structure import StructureNet
from retrieval.calibration import FILE_NAME as RELEVANCE_NAME
from retrieval.calibration import read_calibration
from training.sketches.batches import REACH, Batch, Batches
from training.sketches.fit import CHECKPOINT, SketchSession, likeness, shift_loss
from training.sketches.judge import _SHARES, HeldOut, _lighter
from training.sketches.recipe import Sketch, SketchSchedule, is_sketch_recipe, load_sketch_recipe
from training.sketches.train import train_sketches
from training.sketches.views import Views, Window
from training.structure.base import Base
from training.structure.batches import Ground
from training.structure.export import decoder_arrays, export_parts

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
RECIPE = RECIPES / "mini_sketches.toml"
SMALL = ["data.tiles_per_city=5", "schedule.steps=4", "sketch.views=1"]
SHAPE = Sketch(channels=3, width=4)
SCHEDULE = SketchSchedule(steps=6, batch=4, warmup=2, log_every=2, checkpoint_s=0, ema=0.8, learning_rate=3e-3)
PYRAMID = 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command, as a user would."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(RECIPE, smoke=True, set_=SMALL, resume=False, run=folder)
    return folder


# -- recipe and bundle -------------------------------------------------------------------------------------------------


def test_a_recipe_of_sketches_is_known_by_its_table(tmp_path: Path) -> None:
    assert is_sketch_recipe(RECIPE)
    assert not is_sketch_recipe(RECIPES / "mini_structure.toml")
    with pytest.raises(UsageError, match="cannot read"):
        is_sketch_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("bad", ["sketch.channels=0", "schedule.trimmed=1.0", "sketch.depth=3"])
def test_nonsense_is_refused_by_its_name(bad: str) -> None:
    with pytest.raises(UsageError, match=bad.split("=")[0]):
        load_sketch_recipe(RECIPE, (bad,))


def test_the_bundle_is_the_base_with_sketches_and_the_same_spaces(run: Path) -> None:
    made, base = read_bundle(run / "bundle"), read_bundle(SHIPPED / "mini")
    assert made.embedding_spaces() == base.embedding_spaces()
    assert (run / "bundle" / WEIGHTS_NAME).read_bytes() == (SHIPPED / "mini" / WEIGHTS_NAME).read_bytes()
    assert made.sketches is not None
    assert (made.sketches.channels, made.sketches.width) == (4, 8)
    assert "shared/data" not in json.dumps(made.recipe["sketches"])
    told = [line for line in made.training_data if line.startswith("shifts: ")]
    assert len(told) == 1  # smoke learns from nothing real
    assert told[0] in (run / "bundle" / "CARD.md").read_text()


def test_the_bundle_tells_shifts_with_its_own_sketches(run: Path) -> None:
    city = City(17)
    tiles = list(tiles_in(city.extent, 17))[150:154]
    maps = [render_map(city, tile, 192) for tile in tiles]
    aerials = [render_aerial(city, tile, 192, LOOKS["A"], 0) for tile in tiles]
    found = []
    for folder in (run / "bundle", SHIPPED / "mini"):
        matcher = load_bundle(folder).matcher
        assert matcher is not None
        assert matcher.registrar is not None
        found.append(matcher.registrar.offsets(maps, aerials))
    assert np.abs(found).max() <= 0.1
    assert (found[0] != found[1]).any()


def test_going_on_after_the_end_gives_the_same_bundle(run: Path) -> None:
    file, lines = run / "bundle" / SKETCHES_NAME, []
    before = file.read_bytes()
    train_sketches(RECIPE, run, overrides=SMALL, smoke=True, resume=True, log=lines.append)
    assert not any(line.startswith(("drew", "looked")) for line in lines)
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="--resume"):
        train_sketches(RECIPE, run, overrides=SMALL, smoke=True)


def test_sketches_go_where_their_decoder_goes_and_no_further(tmp_path: Path) -> None:
    """A part that the decoder does not hang on leaves them; another decoder has other features."""
    base = read_bundle(SHIPPED / "mini")
    assert base.sketches is not None

    def exported(name: str, parts: dict[str, dict[str, np.ndarray]], continued: bool = False) -> Path:
        return export_parts(
            SHIPPED / "mini",
            parts,
            tmp_path / name,
            lambda own, sha256: own.model_copy(update={"weights_sha256": sha256}),
            continued=continued,
        )

    kept = exported("kept", {"calibration": {"terms": np.zeros(4, np.float32)}})
    assert read_bundle(kept).sketches == base.sketches
    assert (kept / SKETCHES_NAME).read_bytes() == (SHIPPED / "mini" / SKETCHES_NAME).read_bytes()
    assert base.structure is not None
    other = StructureNet(base.structure.widths, base.structure.pyramid)
    moved = exported("moved", {"decoder": decoder_arrays(other)})
    bare = read_bundle(moved)
    assert bare.sketches is None
    # Nor does it say that it had learned from what only they did.
    assert "sketches" in base.recipe
    assert "sketches" not in bare.recipe
    assert not any(line.startswith("shifts: ") for line in bare.training_data)
    assert set(bare.training_data) < set(base.training_data)
    assert not (moved / SKETCHES_NAME).exists()
    # But one that was merely moved a little.
    moved = exported("continued", {"decoder": decoder_arrays(other)}, continued=True)
    assert read_bundle(moved).sketches == base.sketches
    assert (moved / SKETCHES_NAME).is_file()


@pytest.mark.parametrize(("part", "kept"), [("decoder", True), ("map", False)])
def test_relevance_stays_while_words_and_pictures_have_their_vectors(tmp_path: Path, part: str, kept: bool) -> None:
    made = export_parts(
        SHIPPED / "mini",
        {part: {"some.weight": np.zeros(3, np.float32)}},
        tmp_path / "made",
        lambda own, sha256: own.model_copy(update={"weights_sha256": sha256}),
    )
    former, now = read_calibration(SHIPPED / "mini" / RELEVANCE_NAME), read_calibration(made / RELEVANCE_NAME)
    assert former is not None
    space = read_bundle(made).embedding_spaces()["semantic"].fingerprint
    assert now == (former.model_copy(update={"space": space}) if kept else None)
    assert space != former.space


def test_other_windows_are_looked_at_anew(run: Path, tmp_path: Path) -> None:
    """What was looked at for one recipe is not taken for another's, though both run in one folder."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / CHECKPOINT).unlink()
    lines: list[str] = []
    train_sketches(RECIPE, tmp_path / "run", overrides=[*SMALL, "sketch.views=2"], smoke=True, log=lines.append)
    looked = [line for line in lines if line.startswith("looked")]
    assert len(looked) == 1
    assert looked[0].startswith("looked at 10 windows")
    assert not any(line.startswith("drew") for line in lines)


def test_a_base_without_a_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sees no structure"):
        Base(str(_without_structure(tmp_path / "plain")))


def _without_structure(folder: Path) -> Path:
    base = read_bundle(SHIPPED / "mini")
    folder.mkdir()
    text = base.model_copy(
        update={"structure": None, "sketches": None, "spaces": {"semantic": base.spaces["semantic"]}}
    )
    (folder / "bundle.json").write_text(text.model_dump_json())
    return folder


# -- windows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("middle", [True, False])
def test_a_told_shift_is_that_by_which_the_map_lies_off(middle: bool) -> None:
    """Oracle: the classes of the picture's own window, compared with those of the moved map, cell by cell."""
    rng, off = np.random.default_rng(4), []
    for seed in range(12):
        classes = ground(seed, 400)
        window = Window.within(400, rng, middle=middle)
        assert (window.turn == 0) if middle else (0 <= window.turn < 8)
        maps, (dx, dy) = window.moved(classes, rng)
        assert max(abs(dx), abs(dy)) <= 0.1
        own = sharpened(shares(window.of(classes), FINE_CELLS)[None], MAP_FLOOR)
        rows = np.arange(1)
        whole, _ = best_shift(Spectra(sharpened(maps[None], MAP_FLOOR), own, REACH).likeness(rows, rows))
        off.append(np.abs(whole[0] - np.array([dx, dy]) * FINE_CELLS).max())
    assert max(off) <= 1


def test_windows_look_every_way_and_stay_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    windows = [Window.within(300, rng) for _ in range(200)]
    assert {window.turn for window in windows} == set(range(8))
    for window in windows:
        room = int(0.1 * window.side)
        assert min(window.top, window.left) >= min(room, (300 - window.side) // 2)
        assert max(window.top, window.left) + window.side + min(room, (300 - window.side) // 2) <= 300


def decoder() -> Decoder:
    torch.manual_seed(2)
    return Decoder(StructureNet((4, 4, 4, 4, 4), PYRAMID), 160)


def town(count: int = 5, side: int = 120) -> Ground:
    """Pictures in which each class has an ink of its own."""
    classes = grounds(count, 3, side)
    inks = np.random.default_rng(9).integers(0, 256, (7, 3)).astype(np.uint8)
    return Ground(inks[classes], classes, 1.0)


def views(folder: Path, each: int = 2, lines: list[str] | None = None) -> Views:
    return Views(town(), decoder(), folder, each, 0, (lines if lines is not None else []).append)


def test_what_was_looked_at_is_kept_and_what_is_missing_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.sketches.views._PICTURES_A_SHARD", 2)
    lines: list[str] = []
    views(tmp_path, lines=lines)
    assert len(lines) == 3
    files = sorted(tmp_path.glob("*.npy"))
    before = {file.name: file.read_bytes() for file in files}
    files[1].unlink()
    again: list[str] = []
    whole = views(tmp_path, lines=again)
    assert len(again) == 1
    assert {file.name: file.read_bytes() for file in sorted(tmp_path.glob("*.npy"))} == before
    assert len(whole.windows) == 10
    beliefs, features = whole.seen(np.array([0, 9, 4]))
    assert beliefs.shape == (3, FINE_CELLS, FINE_CELLS, 7)
    assert features.shape == (3, FINE_CELLS, FINE_CELLS, PYRAMID)
    np.testing.assert_allclose(np.exp(beliefs).sum(axis=-1), 1, atol=0.02)


def test_a_batch_is_a_function_of_its_step(tmp_path: Path) -> None:
    batches = Batches([views(tmp_path)], PRIOR, SCHEDULE)
    first, again, other = batches(3), batches(3), batches(4)
    for name in ("features", "shares", "plain", "shifts"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    assert first.features.shape == (4, PYRAMID, FINE_CELLS, FINE_CELLS)
    assert first.shares.shape == (4, 7, FINE_CELLS, FINE_CELLS)
    assert first.plain.shape == (4, 2 * REACH + 1, 2 * REACH + 1)
    assert first.shifts.abs().max() <= 0.1 * FINE_CELLS


# -- fitting -----------------------------------------------------------------------------------------------------------


def test_likeness_with_a_gradient_is_that_without() -> None:
    maps, pictures = (np.random.default_rng(n).normal(size=(3, 20, 20, 4)).astype(np.float32) for n in (0, 1))
    rows = np.arange(3)
    wanted = Spectra(maps, pictures, REACH).likeness(rows, rows)
    ours, theirs = (torch.from_numpy(np.moveaxis(t, -1, 1).copy()).requires_grad_() for t in (maps, pictures))
    found = likeness(ours, theirs)
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-3)
    found.square().sum().backward()
    assert ours.grad is not None
    assert torch.isfinite(ours.grad).all()


def test_the_loss_is_least_where_the_true_shift_is_likeliest() -> None:
    """East is the last axis: a peak two cells east and one north is right for a map that lies there and no other."""
    logits = torch.zeros(1, 7, 7)
    logits[0, 3 - 1, 3 + 2] = 9.0
    right = shift_loss(logits, torch.tensor([[2.0, -1.0]]))
    for wrong in ([-1.0, 2.0], [2.0, 1.0], [-2.0, -1.0], [0.0, 0.0]):
        assert right < shift_loss(logits, torch.tensor([wrong]))


def test_a_shift_between_cells_is_shared_among_them() -> None:
    between = torch.tensor([[0.5, 0.0]])
    one, both = torch.zeros(1, 7, 7), torch.zeros(1, 7, 7)
    one[0, 3, 3] = both[0, 3, 3] = both[0, 3, 4] = 6.0
    assert shift_loss(both, between) < shift_loss(one, between)


def test_trimming_leaves_out_the_rows_that_are_told_worst() -> None:
    logits = torch.zeros(4, 7, 7)
    logits[:, 3, 3] = 8.0
    shifts = torch.zeros(4, 2)
    shifts[2] = 3.0
    rows = torch.stack([shift_loss(logits[row : row + 1], shifts[row : row + 1]) for row in range(4)])
    assert float(shift_loss(logits, shifts, 0.25)) == pytest.approx(float(rows[[0, 1, 3]].mean()), rel=1e-5)
    assert float(shift_loss(logits, shifts)) == pytest.approx(float(rows.mean()), rel=1e-5)


class _Untaught:
    """Held-out pictures are not what these tests are about."""

    def within(self, sketches: object) -> float:
        return 0.0


def session(folder: Path, sketch: Sketch = SHAPE, schedule: SketchSchedule = SCHEDULE) -> SketchSession:
    batches = Batches([views(folder / "views")], PRIOR, schedule)
    return SketchSession(PYRAMID, sketch, schedule, batches, _Untaught(), folder)  # type: ignore[arg-type]


def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    whole = session(tmp_path / "whole")
    whole.fit(lambda _: None)

    def power_cut(line: str) -> None:
        if json.loads(line)["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session(tmp_path / "cut").fit(power_cut)
    again = session(tmp_path / "cut")
    again.load()
    assert 0 < again.step < 6
    torch.manual_seed(99)
    again.fit(lambda _: None)
    for (name, first), second in zip(
        whole.average.state_dict().items(), again.average.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name


def test_a_checkpoint_of_other_sketches_is_refused(tmp_path: Path) -> None:
    session(tmp_path).save()
    assert (tmp_path / CHECKPOINT).is_file()
    with pytest.raises(UsageError, match="another model"):
        session(tmp_path, SHAPE.model_copy(update={"channels": 5})).load()


# -- what is learned ---------------------------------------------------------------------------------------------------


def crooked(step: int) -> Batch:
    """Classes say nothing; features are the ground's classes, drawn two cells too far east."""
    rng, cells = np.random.default_rng([7, step]), 40
    features, maps, shifts = [], [], []
    for _ in range(8):
        whole = shares(ground(int(rng.integers(200)), 240), cells + 20)
        dx, dy = rng.integers(-6, 7, 2).tolist()
        maps.append(whole[10 - dy : 10 - dy + cells, 10 - dx : 10 - dx + cells])
        features.append(whole[10 : 10 + cells, 8 : 8 + cells])
        shifts.append((dx, dy))
    ours, theirs = (torch.from_numpy(np.moveaxis(np.stack(grids), -1, 1).copy()) for grids in (maps, features))
    return Batch(theirs, ours, torch.zeros(8, 2 * REACH + 1, 2 * REACH + 1), torch.tensor(shifts).float())


def test_sketches_learn_what_the_classes_cannot_tell(tmp_path: Path) -> None:
    schedule = SCHEDULE.model_copy(update={"steps": 60, "checkpoint_s": 1e9, "ema": 0.9, "learning_rate": 1e-2})
    learner = SketchSession(7, SHAPE.model_copy(update={"width": 8}), schedule, crooked, _Untaught(), tmp_path)  # type: ignore[arg-type]
    model, unseen = learner.fit(lambda _: None), crooked(10_000)
    with torch.no_grad():
        table = likeness(model.of_maps(unseen.shares), model.of_pictures(unseen.features)).numpy()
    rows = np.abs(best_shift(table)[0] - unseen.shifts.numpy()).max(axis=1)
    assert (rows <= 1).sum() >= 7  # plain features would be told two cells off


def test_the_weight_is_that_by_which_most_held_out_shifts_are_told() -> None:
    """Sketches that draw noise are made as light as can be; the ones given stay as they were."""
    own = town(6, 160)
    held_out = HeldOut(own.aerial, own.classes, decoder(), PRIOR, 0)
    noise = Sketches(PYRAMID, SHAPE.channels, SHAPE.width).eval()
    with torch.no_grad():
        noise.weight.fill_(3.0)
    lighter, share = held_out.weighed(noise)
    told = {one: held_out.within(_lighter(noise, one)) for one in _SHARES}
    assert told[share] == max(told.values()) == held_out.within(lighter)
    assert lighter.weight.item() == pytest.approx(3.0 + np.log(share))
    assert noise.weight.item() == 3.0
