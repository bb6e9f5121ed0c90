"""A structure run from recipe to bundle, in small: drawn tiles, decoder, codes, critic; resumed bit for bit."""

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from app.commands.train import train
from geoanchor.errors import BadInput, UsageError
from geoanchor.protocols import Encoder
from geoanchor.structure import CLASSES
from models.bundle import MANIFEST_NAME, SHIPPED, load_bundle, read_bundle
from models.codes import CELLS
from models.structure import StructureNet
from training.structure.batches import Batches, Ground
from training.structure.fit import CHECKPOINT, StructureSession, dense_loss
from training.structure.recipe import Decoder, StructureSchedule, is_structure_recipe, load_structure_recipe
from training.structure.tiles import read_tiles
from training.structure.train import train_structure

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
RECIPE = RECIPES / "mini_structure.toml"
SMALL = ["data.tiles_per_city=6", "decoder.size_px=160", "schedule.steps=8"]
SCHEDULE = StructureSchedule(
    steps=6, batch=4, crop_px=64, warmup=2, log_every=2, checkpoint_s=0, ema=0.8, learning_rate=2e-3
)
DECODER = Decoder(widths=(8, 8, 12, 12, 16), pyramid=8, size_px=160)


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


@pytest.fixture(scope="module")
def encoder(run: Path) -> Encoder:
    return load_bundle(run / "bundle")


def pictures(count: int, *shape: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 256, (count, *shape, 3), np.uint8))


def test_a_recipe_of_structure_is_known_by_its_decoder(tmp_path: Path) -> None:
    assert is_structure_recipe(RECIPE)
    assert not is_structure_recipe(RECIPES / "mini.toml")
    with pytest.raises(UsageError, match="cannot read"):
        is_structure_recipe(tmp_path / "none.toml")


def test_overrides_win_over_smoke_and_nonsense_is_refused() -> None:
    plan = load_structure_recipe(RECIPE, ("schedule.steps=5",), smoke=True)
    assert (plan.schedule.steps, plan.schedule.batch, plan.pairs.share) == (5, 4, 0.0)
    for bad in ("decoder.size_px=100", "pairs.share=2.0", "decoder.depth=3"):
        with pytest.raises(UsageError, match=bad.split("=")[0]):
            load_structure_recipe(RECIPE, (bad,))


def test_a_run_that_exists_is_not_begun_anew_and_none_is_not_resumed(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train_structure(RECIPE, run, overrides=SMALL, smoke=True)
    with pytest.raises(UsageError, match="to resume from"):
        train_structure(RECIPE, tmp_path / "none", overrides=SMALL, smoke=True, resume=True)


def test_the_bundle_holds_base_and_structure(run: Path) -> None:
    manifest, base = read_bundle(run / "bundle"), read_bundle(SHIPPED / "mini")
    assert manifest.branches == base.branches
    assert set(manifest.spaces) == {"semantic", "structure", "structure_grid"}
    grid = manifest.spaces["structure_grid"]
    assert (grid.dim, grid.number, grid.metric) == (CELLS**2, "uint8", "codes")
    assert manifest.structure is not None
    assert manifest.structure.size_px == 160
    text = (run / "bundle" / MANIFEST_NAME).read_text()
    assert "structure: procedural cities" in text
    assert "shared/data" not in json.dumps(manifest.recipe["structure"])


def test_fingerprints_of_structure_go_with_the_shape_of_the_decoder(run: Path) -> None:
    manifest = read_bundle(run / "bundle")
    assert manifest.structure is not None
    other = manifest.model_copy(update={"structure": manifest.structure.model_copy(update={"size_px": 320})})
    mine, theirs = manifest.embedding_spaces(), other.embedding_spaces()
    for name in ("structure", "structure_grid"):
        assert mine[name].fingerprint != theirs[name].fingerprint
    assert mine["semantic"].fingerprint == theirs["semantic"].fingerprint


@pytest.mark.parametrize("modality", ["map", "aerial"])
def test_pictures_go_into_all_three_spaces(encoder: Encoder, modality: str) -> None:
    found = encoder.encode(pictures(3, 256, 256), modality)
    assert set(found) == {"semantic", "structure", "structure_grid"}
    for name, space in encoder.spaces.items():
        assert found[name].shape == (3, space.dim)
        assert found[name].dtype == np.dtype(space.number)
        assert encoder.encode([], modality)[name].shape == (0, space.dim)
    assert set(encoder.encode(["a lake"], "text")) == {"semantic"}


@pytest.mark.parametrize("shape", [(1, 1), (17, 23), (64, 700), (1500, 900), (256, 256), (640, 640)])
def test_maps_of_any_size_are_prepared_once(encoder: Encoder, shape: tuple[int, int]) -> None:
    (picture,) = pictures(1, *shape)
    prepared = encoder.prepare(picture, "map")
    assert CELLS <= min(prepared.shape[:2]) <= max(prepared.shape[:2]) <= 640
    np.testing.assert_array_equal(encoder.prepare(prepared, "map"), prepared)
    # No colour is made up, since mixed colours mean nothing.
    assert np.isin(*(colours.reshape(-1, 3).astype(int) @ (65536, 256, 1) for colours in (prepared, picture))).all()
    raw, ready = encoder.encode([picture], "map"), encoder.encode([prepared], "map")
    np.testing.assert_array_equal(raw["structure_grid"], ready["structure_grid"])


def test_aerial_pictures_are_prepared_to_the_decoder_s_square(encoder: Encoder) -> None:
    (picture,) = pictures(1, 300, 200)
    prepared = encoder.prepare(picture, "aerial")
    assert prepared.shape == (160, 160, 3)
    assert encoder.prepare(prepared, "aerial") is prepared
    raw, ready = encoder.encode([picture], "aerial"), encoder.encode([prepared], "aerial")
    for name, vectors in raw.items():
        np.testing.assert_array_equal(vectors, ready[name])


def test_threads_may_share_an_encoder(run: Path) -> None:
    fresh, (one, other) = load_bundle(run / "bundle"), pictures(2, 160, 160)
    wanted = [load_bundle(run / "bundle").encode([picture], "aerial")["structure_grid"] for picture in (one, other)]
    found: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        found[number] = fresh.encode([(one, other)[number % 2]], "aerial")["structure_grid"]

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, codes in found.items():
        np.testing.assert_array_equal(codes, wanted[number % 2])
    assert len(found) == 4


def test_the_matcher_judges_what_the_encoder_made(encoder: Encoder) -> None:
    assert encoder.matcher is not None
    maps, aerials = (encoder.encode(pictures(2, 256, 256), layer) for layer in ("map", "aerial"))
    judged = encoder.matcher.judge(maps, aerials)
    assert judged.probability.shape == (2,)
    assert ((judged.probability >= 0) & (judged.probability <= 1)).all()


def test_a_bundle_without_its_decoder_is_refused(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "bundle" / MANIFEST_NAME).read_text())
    data["structure"]["pyramid"] = 48
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / MANIFEST_NAME).write_text(json.dumps(data))
    (folder / "weights.safetensors").write_bytes((run / "bundle" / "weights.safetensors").read_bytes())
    with pytest.raises(BadInput, match="structure decoder"):
        load_bundle(folder).encode(pictures(1, 160, 160), "aerial")
    del data["structure"]
    (folder / MANIFEST_NAME).write_text(json.dumps(data))
    with pytest.raises(BadInput, match="backend 'towers' makes the space"):
        load_bundle(folder)


def test_tiles_are_drawn_with_their_classes(run: Path) -> None:
    folder = next(run.glob("structure-*"))
    for split in ("train", "val"):
        aerial, classes = read_tiles(folder, split)
        assert aerial.shape == (6, 256, 256, 3)
        assert classes.shape == (6, 256, 256)
        assert classes.max() < len(CLASSES)
        assert len(np.unique(classes)) >= 4
    with pytest.raises(UsageError, match="'test'"):
        read_tiles(folder, "test")


def test_going_on_after_the_end_gives_the_same_bundle(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calibration draws nothing from outside its seed, and drawn tiles are taken from the cache."""
    weights = run / "bundle" / "weights.safetensors"
    before, tensors, lines = weights.read_bytes(), load_file(weights), []
    known = {layer: tensors[f"coarse.{layer}"] for layer in ("map", "aerial")}
    # Half of a run's time, and a pure function that has tests of its own.
    monkeypatch.setattr("training.structure.train.learn_projections", lambda *_: known)
    train_structure(RECIPE, run, overrides=SMALL, smoke=True, resume=True, log=lines.append)
    assert not any(line.startswith("drew") for line in lines)
    assert weights.read_bytes() == before


# -- fitting ----------------------------------------------------------------------------------------------------------


def test_beside_a_kept_decoder_all_that_an_index_holds_stays(run: Path, tmp_path: Path) -> None:
    """Only what judges is learned anew, so that the index need not be made again."""
    overrides = [*SMALL, f"base={run / 'bundle'}", "decoder.keep=true", "schedule.seed=3"]
    kept = train_structure(RECIPE, tmp_path / "kept", overrides=overrides, smoke=True)
    old, new = (load_file(folder / "weights.safetensors") for folder in (run / "bundle", kept))
    assert old.keys() == new.keys()
    changed = {name.partition(".")[0] for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"critic", "calibration"}


def square_ground(count: int = 6, side: int = 80, share: float = 1.0) -> Ground:
    """Houses that are red on the ground; all else is green."""
    rng = np.random.default_rng(5)
    classes = np.full((count, side, side), 1, np.uint8)
    for row in range(count):
        for y, x in rng.integers(0, side - 24, (3, 2)).tolist():
            classes[row, y : y + 24, x : x + 24] = 3
    inks = np.zeros((7, 3), np.uint8)
    inks[1], inks[3] = (40, 160, 60), (190, 50, 40)
    return Ground(inks[classes], classes, share)


def session(folder: Path, schedule: StructureSchedule = SCHEDULE) -> StructureSession:
    return StructureSession(DECODER, schedule, [square_ground()], folder)


def same_weights(one: StructureNet, other: StructureNet) -> None:
    for (name, first), second in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


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
    assert again.step == 3  # the last whole checkpoint
    again.fit(lambda _: None)
    same_weights(again.model, whole.model)
    same_weights(again.average, whole.average)


def test_a_checkpoint_of_another_decoder_is_refused(tmp_path: Path) -> None:
    session(tmp_path).save()
    assert (tmp_path / CHECKPOINT).is_file()
    other = StructureSession(Decoder(widths=(8, 8, 8, 8, 8), pyramid=8), SCHEDULE, [square_ground()], tmp_path)
    with pytest.raises(UsageError, match="another model"):
        other.load()


def test_it_learns_what_is_plain_to_see(tmp_path: Path) -> None:
    schedule = SCHEDULE.model_copy(update={"steps": 60, "log_every": 10, "checkpoint_s": 1e9, "learning_rate": 5e-3})
    lines: list[str] = []
    session(tmp_path, schedule).fit(lines.append)
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.5 * losses[0]


def test_a_batch_is_a_function_of_its_step_and_shares_its_grounds() -> None:
    grounds = [square_ground(share=0.25), square_ground(count=3, side=64, share=0.75)]
    batches = Batches(grounds, SCHEDULE.model_copy(update={"batch": 8}))
    first, again, next_one = batches(3), batches(3), batches(4)
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.shares, again.shares)
    assert not torch.equal(first.pixels, next_one.pixels)
    assert first.pixels.shape == (8, 3, 64, 64)
    assert first.shares.shape == (8, 7, 16, 16)
    sums = first.shares.sum(dim=1)
    assert sums.max() <= 1 + 1e-6
    assert (first.shares[:, [0, 2, 4, 5, 6]] == 0).all()
    assert [count for _, count in batches._counts()] == [2, 6]


def test_pixels_and_classes_of_a_batch_lie_on_one_another() -> None:
    batch = Batches([square_ground()], SCHEDULE.model_copy(update={"batch": 16}))(0)
    red = torch.nn.functional.avg_pool2d((batch.pixels[:, :1] - batch.pixels[:, 1:2]), 4)[:, 0]
    known = batch.shares.sum(dim=1) > 0.999
    house = (batch.shares[:, 3] > 0.999) & known
    meadow = (batch.shares[:, 1] > 0.999) & known
    assert house.sum() > 50
    for row in range(16):
        if house[row].any() and meadow[row].any():
            assert red[row][house[row]].mean() > red[row][meadow[row]].mean()


def test_the_loss_is_the_cross_entropy_of_what_is_known() -> None:
    torch.manual_seed(0)
    logits, shares = torch.randn(2, 7, 3, 3), torch.rand(2, 7, 3, 3)
    shares = shares / shares.sum(dim=1, keepdim=True)
    shares[0, :, 0, 0] = 0
    total = 0.0
    for n in range(2):
        for y in range(3):
            for x in range(3):
                p = logits[n, :, y, x].double().softmax(dim=0)
                total -= float((shares[n, :, y, x] * p.log()).sum())
    assert float(dense_loss(logits, shares)) == pytest.approx(total / 17, rel=1e-5)


def test_trimming_leaves_out_the_cells_that_fit_worst() -> None:
    logits = torch.zeros(1, 7, 2, 5)
    logits[:, 0] = torch.arange(10.0).reshape(2, 5)  # class 0 fits ever better, any other ever worse
    shares = torch.zeros(1, 7, 2, 5)
    shares[:, 0] = 1
    cells = -logits.log_softmax(dim=1)[0, 0].flatten()
    wanted = cells.sort().values[:8].mean()
    assert float(dense_loss(logits, shares, 0.2)) == pytest.approx(float(wanted), rel=1e-5)
    assert float(dense_loss(logits, shares)) == pytest.approx(float(cells.mean()), rel=1e-5)
