"""What a matcher is calibrated on: wrong maps of each kind, the critic, the calibration, coarse vectors, real pairs."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streets import grids_of, grounds, seen

from geoanchor.errors import BadInput
from geoanchor.structure import CLASS_OF, VOID
from indexer.styles import STYLES
from models.codes import CELLS
from models.critic import Critic, feature_count
from training.patches import Box
from training.structure.calibrate import (
    Examples,
    balanced,
    fit_calibration,
    fit_critic,
    fit_folds,
    held_out_logits,
    joined,
    judged_by_kind,
    learn_codebooks,
    make_clearings,
    make_examples,
)
from training.structure.clearings import Clearing, clearing, laid, openness
from training.structure.coarse import learn_projections
from training.structure.negatives import KINDS, Kind, differs, jittered, wrong_map
from training.structure.pairs import part_of, read_real_pairs
from training.structure.variants import Variants

HOUSE, LAND, GREEN = CLASS_OF["building"], CLASS_OF["other"], CLASS_OF["green"]


class Steady(np.random.Generator):
    """A generator that never jitters: its single draws are 0.4."""

    def random(self, *args: object, **named: object) -> object:
        return super().random(*args, **named) if args else 0.4


def steady(seed: int) -> Steady:
    return Steady(np.random.PCG64(seed))


@pytest.fixture(scope="module")
def variants() -> Variants:
    """Ten places of two groups; the windows of group 1 lie half a window apart."""
    whole, wide = grounds(6, 3), grounds(4, 4, 240)
    pairs = [window for picture in wide for window in (picture[:160, :160], picture[:160, 80:])]
    classes = np.concatenate([whole, np.stack(pairs)])
    partner = np.array([-1] * 6 + [7, 6, 9, 8, 11, 10, 13, 12])
    place = np.array([0, 1, 2, 3, 4, 5, 6, 6, 7, 7, 8, 8, 9, 9])
    grids = grids_of(classes)
    prior = np.maximum(grids.mean(axis=(0, 1, 2)), 0.002)
    beliefs = seen(grids) + np.log(prior)
    beliefs -= np.log(np.exp(beliefs).sum(axis=-1, keepdims=True))
    return Variants(np.array([0] * 6 + [1] * 8), place, partner, classes, beliefs.astype(np.float32))


def drawn(kind: Kind, row: int, variants: Variants, seed: int = 0) -> np.ndarray | None:
    return wrong_map(kind, row, variants, steady(seed))


def test_the_right_map_is_left_alone(variants: Variants) -> None:
    np.testing.assert_array_equal(drawn("same", 3, variants), variants.classes[3])


@pytest.mark.parametrize("row", [0, 4, 7, 12])
def test_swaps_come_from_another_place_of_the_group(variants: Variants, row: int) -> None:
    for seed in range(12):
        found = drawn("swap", row, variants, seed)
        assert found is not None
        source = [r for r in range(len(variants)) if np.array_equal(found, variants.classes[r])]
        assert source
        assert variants.group[source[0]] == variants.group[row]
        assert variants.place[source[0]] != variants.place[row]


def test_maps_that_are_nearly_alike_are_no_swap(variants: Variants) -> None:
    plain = np.zeros_like(variants.classes)
    assert drawn("swap", 0, replace(variants, classes=plain)) is None
    assert drawn("patch", 0, replace(variants, classes=plain)) is None
    assert drawn("moved", 6, replace(variants, classes=plain)) is None


def test_a_moved_map_is_its_partner(variants: Variants) -> None:
    assert drawn("moved", 0, variants) is None
    np.testing.assert_array_equal(drawn("moved", 6, variants), variants.classes[7])


def test_a_patch_is_one_rectangle_of_another_map(variants: Variants) -> None:
    for seed in range(10):
        found = drawn("patch", 2, variants, seed)
        if found is None:
            continue
        y, x = np.nonzero(found != variants.classes[2])
        box = np.s_[y.min() : y.max() + 1, x.min() : x.max() + 1]
        assert any(np.array_equal(found[box], variants.classes[r][box]) for r in range(6) if r != 2)
        assert differs(found, variants.classes[2]) <= 0.72


def test_deleted_houses_leave_land_and_nothing_else_changes(variants: Variants) -> None:
    for seed in range(10):
        own = variants.classes[1]
        if (found := drawn("delete", 1, variants, seed)) is not None:
            changed = found != own
            assert (own[changed] == HOUSE).all()
            assert (found[changed] == LAND).all()
            assert changed.any()


def test_inserted_houses_stand_on_open_land(variants: Variants) -> None:
    made = 0
    for seed in range(10):
        own = variants.classes[1]
        if (found := drawn("insert", 1, variants, seed)) is not None:
            changed, made = found != own, made + 1
            assert np.isin(own[changed], (LAND, GREEN)).all()
            assert (found[changed] == HOUSE).all()
    assert made


def clearings(variants: Variants, row: int, count: int = 30) -> list[Clearing]:
    land = openness(variants)
    made = (clearing(row, variants, land, steady(seed)) for seed in range(count))
    return [one for one in made if one is not None]


def test_what_is_cleared_is_land_and_beside_it_lie_ground_that_is_bare_there_and_ground_that_is_not() -> None:
    classes = grounds(8, 3)
    classes[5:] = LAND
    classes[6, :80] = GREEN
    classes[7, :80] = HOUSE
    place = np.arange(8)
    few = Variants(np.zeros(8, int), place, np.full(8, -1), classes, np.zeros((8, CELLS, CELLS, 7), np.float32))
    parts, found = set(), clearings(few, 1)
    for one in found:
        top, left, bottom, right = (4 * edge for edge in one.part)
        assert (one.drawn[top:bottom, left:right] == LAND).all()
        outside = np.ones(one.drawn.shape, bool)
        outside[top:bottom, left:right] = False
        assert (one.drawn == classes[1])[outside].all()
        inside = np.isin(classes[:, top:bottom, left:right], (LAND, GREEN)).mean(axis=(1, 2))
        assert inside[one.bare] >= 0.97
        assert one.bare != 1
        assert one.built == 1 or inside[one.built] < 0.8
        parts.add(one.part)
    assert len(found) > 20
    assert len(parts) > 20
    free = [clearing(1, few, openness(few), np.random.default_rng(seed)) for seed in range(60)]
    assert 15 <= sum(one.built == 1 for one in free if one) <= 45, "half of the wrong ones show their own ground"
    assert 15 <= sum(one.part == (0, 0, CELLS, CELLS) for one in free if one) <= 33
    assert not clearings(replace(few, classes=np.full_like(classes, LAND)), 1)
    assert not clearings(replace(few, classes=grounds(8, 3)), 1), "no other place is bare"


def test_a_picture_with_a_part_of_another_s() -> None:
    codes = np.zeros((2, CELLS, CELLS), np.uint8)
    codes[1] = 1
    mixed = laid(codes, 0, Box(3, 5, 9, 20), 1)
    assert (mixed[3:9, 5:20] == codes[1, 3:9, 5:20]).all()
    assert (mixed != codes[0]).sum() == 6 * 15


def test_a_cleared_map_is_as_often_right_as_wrong(variants: Variants) -> None:
    """So that it is not told by what it lacks alone."""
    classes = variants.classes.copy()
    classes[3] = LAND
    some = replace(variants, classes=classes)
    made = make_clearings(some, learn_codebooks(variants, 0), 0)
    assert (made.kind[::2] == "bare").all()
    assert (made.kind[1::2] == "clear").all()
    assert (made.agree == (made.kind == "bare")).all()
    both = joined(made, made)
    assert len(both.agree) == len(both.features) == 2 * len(made.agree) > 0
    weights = balanced(np.array(["same"] * 6 + ["bare", "clear"] + ["swap"] * 4))
    np.testing.assert_allclose(weights, [0.25 / 6] * 6 + [0.25] * 2 + [0.25 / 4] * 4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_map_and_leaves_the_variants_alone(variants: Variants, kind: Kind) -> None:
    before = variants.classes.copy()
    one, again = (wrong_map(kind, 8, variants, np.random.default_rng(4)) for _ in range(2))
    assert (one is None) == (again is None)
    if one is not None and again is not None:
        np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(variants.classes, before)


def test_half_of_the_maps_lie_a_little_off(variants: Variants) -> None:
    rng, own = np.random.default_rng(0), variants.classes[0]
    still, reach = 0, int(0.05 * len(own))
    for _ in range(60):
        found = jittered(own, rng)
        if np.array_equal(found, own):
            still += 1
            continue
        kept = np.flatnonzero((found != VOID).any(axis=1)), np.flatnonzero((found != VOID).any(axis=0))
        assert all(len(own) - len(side) <= reach for side in kept)
        box = np.ix_(*kept)
        assert np.isin(found[box], np.unique(own)).all()
    assert 18 <= still <= 45


def test_differs_is_the_share_of_other_pixels() -> None:
    one = np.zeros((4, 5), np.uint8)
    other = one.copy()
    other[0] = 2
    assert differs(one, other) == 0.25
    assert differs(one, one) == 0


# -- critic and calibration -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_an_easy_case_is_told_apart_by_a_critic_that_never_saw_the_place(variants: Variants) -> None:
    books = learn_codebooks(variants, 0)
    assert np.abs(books.prior - variants.shares(np.arange(14)).mean(axis=(0, 1, 2))).max() < 0.01
    again = learn_codebooks(variants, 0)
    for name, array in books.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    examples = make_examples(variants, books, 0)
    assert examples.features.shape == (len(examples.agree), feature_count())
    assert set(examples.kind) == set(KINDS)
    assert ((examples.kind == "same") == examples.agree).all()
    critics = fit_folds(examples, 0)
    logits = held_out_logits(examples, critics)
    judged = judged_by_kind(examples, logits)
    assert set(judged) == set(KINDS[1:])
    assert judged["swap"] > 0.98
    assert judged["moved"] > 0.95
    assert judged["patch"] > 0.8
    # The critic of all places is one more of the same make.
    final = Critic(fit_critic(examples, 0))(examples.features)
    assert final[examples.agree].mean() > 0 > final[~examples.agree].mean()
    # Each example's logit is that of the critic of its fold, which is the one that was fitted without it.
    fold = examples.place % len(critics)
    for number, critic in enumerate(critics):
        np.testing.assert_allclose(logits[fold == number], critic(examples.features[fold == number]), atol=1e-6)


def made_up(count: int = 400, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    agree = np.arange(count) % 2 == 0
    found = rng.normal(size=(count, feature_count())).astype(np.float32)
    found[:, 0] += np.where(agree, 1.5, -1.5)
    kind = np.where(agree, "same", np.where(np.arange(count) % 4 == 1, "swap", "patch"))
    return Examples(found, agree, np.arange(count) // 4, kind)


def test_held_out_logits_do_not_know_labels_that_are_chance() -> None:
    examples = made_up()
    shuffled = np.random.default_rng(1).permutation(examples.agree)
    kind = np.where(shuffled, "same", "swap")
    noise = replace(examples, agree=shuffled, kind=kind)
    chance = judged_by_kind(noise, held_out_logits(noise, fit_folds(noise, 0)))["swap"]
    assert 0.4 < chance < 0.6
    real = judged_by_kind(examples, held_out_logits(examples, fit_folds(examples, 0)))
    assert real["swap"] > 0.75  # one true feature among fifty that are noise


def test_calibrated_probabilities_rise_with_the_term_and_hit_the_frequencies() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=20_000) * 2
    agree = rng.random(len(logits)) < 1 / (1 + np.exp(-(1.5 * logits - 0.5)))
    kind = np.where(agree, "same", "swap")
    bias, weight = fit_calibration(logits[:, None].astype(np.float32), agree, kind)
    # Right and wrong count the same: the odds of the mixture are taken off the bias.
    wanted = -0.5 - np.log(agree.mean() / (1 - agree.mean()))
    assert weight == pytest.approx(1.5, abs=0.1)
    assert bias == pytest.approx(wanted, abs=0.1)


def test_a_term_that_says_nothing_gets_no_weight() -> None:
    examples = made_up()
    terms = np.stack([examples.features[:, 0], examples.features[:, 9]], axis=1)
    _, says, mute = fit_calibration(terms, examples.agree, examples.kind)
    assert says > 1
    assert abs(mute) < 0.5


# -- coarse vectors ---------------------------------------------------------------------------------------------------


def correlated(count: int, width: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) @ np.diag(0.8 ** np.arange(width))).astype(np.float32)


def test_full_rank_gives_the_inner_products_back() -> None:
    maps, aerials = correlated(200), correlated(150, seed=1)
    learned = learn_projections(maps, aerials, 30)
    found = (maps @ learned["map"]) @ (aerials @ learned["aerial"]).T
    np.testing.assert_allclose(found, maps @ aerials.T, atol=1e-2 * np.abs(maps @ aerials.T).max())


def test_few_numbers_keep_more_than_as_many_at_random() -> None:
    maps, aerials = correlated(300), correlated(300, seed=1)
    learned, wanted = learn_projections(maps, aerials, 6), maps @ aerials.T
    error = np.square((maps @ learned["map"]) @ (aerials @ learned["aerial"]).T - wanted).mean()
    for seed in range(5):
        basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(30, 6)))[0]
        assert error < 0.5 * np.square((maps @ basis) @ (aerials @ basis).T - wanted).mean()
    assert error < 0.1 * np.square(wanted).mean()


# -- real pairs -------------------------------------------------------------------------------------------------------


def test_the_parts_of_real_pairs_never_change() -> None:
    found = [part_of(f"{number}.jpg") for number in range(1, 13)]
    assert found == [
        "calibration",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "validation",
        "train",
        "train",
        "train",
    ]
    many = [part_of(f"{number}.png") for number in range(4000)]
    assert 0.08 < many.count("validation") / 4000 < 0.12
    assert 0.08 < many.count("calibration") / 4000 < 0.12


def files(count: int = 40) -> dict[str, bytes]:
    """aerial/NAME and map/NAME; each map all water of the standard style, each aerial picture of its own grey."""
    found = {}
    for number in range(count):
        for layer, colour in (("aerial", (number,) * 3), ("map", tuple(bytes.fromhex(WATER[1:])))):
            file = io.BytesIO()
            Image.new("RGB", (24, 24), colour).save(file, "PNG")
            found[f"{layer}/{number}.png"] = file.getvalue()
    return found


WATER = STYLES["standard"].areas["water"].fill


def in_tar(path: Path, own: dict[str, bytes], prefix: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in own.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["folder", "tar", "nested tar"])
def test_pairs_are_read_from_folder_and_tar(tmp_path: Path, kind: str) -> None:
    own = files() | {"aerial/alone.png": files(1)["aerial/0.png"], "notes/readme.txt": b"not a picture"}
    if kind == "folder":
        path = tmp_path / "pairs"
        for name, data in own.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    else:
        path = in_tar(tmp_path / "pairs.tar", own, "set/" if kind == "nested tar" else "")
    read = {part: read_real_pairs(path, part) for part in ("train", "calibration", "validation")}
    names = [name for pairs in read.values() for name in pairs.names]
    assert sorted(names) == sorted(f"{number}.png" for number in range(40))
    for part, pairs in read.items():
        assert {part_of(name) for name in pairs.names} == {part}
        assert pairs.aerial.shape == (len(pairs), 24, 24, 3)
        assert (pairs.classes == CLASS_OF["water"]).all()
        assert pairs.aerial[:, 0, 0, 0].tolist() == [int(name.removesuffix(".png")) for name in pairs.names]


def test_what_is_no_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a folder nor a tar"):
        read_real_pairs(tmp_path / "none.tar", "train")
    with pytest.raises(BadInput, match="holds no pairs"):
        read_real_pairs(in_tar(tmp_path / "empty.tar", {}), "train")
    own = files()
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    name = next(name for name in own if name.startswith("map/") and part_of(name.removeprefix("map/")) == "train")
    with pytest.raises(BadInput, match="one size"):
        read_real_pairs(in_tar(tmp_path / "odd.tar", own | {name: file.getvalue()}), "train")
    (tmp_path / "text.tar").write_text("not a tar")
    with pytest.raises(BadInput):
        read_real_pairs(tmp_path / "text.tar", "train")
