"""The matcher: chunks against pairs one by one, ranks against judgement and brute force, shifts, and no torch."""

import subprocess
import sys

import numpy as np
import pytest
from streets import books, coded, grounds, plain_critic, plain_matcher

from geoanchor.protocols import Judgement
from models.codes import CELLS
from models.fusion import FusionScorer
from models.matcher import CODES, SEMANTIC, StructureMatcher
from models.registration import MAP_FLOOR, PICTURE_FLOOR, Spectra, best_shift, sharpened

BOOKS = books()
MATCHER = plain_matcher()
ARRAYS = ("probability", "offset", "content", "evidence", "shares", "beliefs")


def same(found: Judgement, wanted: Judgement, rows: slice = slice(None)) -> None:
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(found, name)[rows], getattr(wanted, name), atol=1e-5, err_msg=name)
    for name, values in wanted.parts.items():
        np.testing.assert_allclose(found.parts[name][rows], values, atol=1e-4)


def test_many_pairs_are_judged_as_each_would_be_alone() -> None:
    some = grounds(20)
    maps, aerials = coded(BOOKS, some, "map")[CODES], coded(BOOKS, some, "aerial")[CODES]
    many = np.arange(270) % 20, (np.arange(270) // 13) % 20
    gaps = np.random.default_rng(1).random((270, CELLS, CELLS)) < np.linspace(0, 0.5, 270)[:, None, None]
    whole = MATCHER.judge({CODES: maps[many[0]]}, {CODES: aerials[many[1]]}, gaps=gaps)
    assert whole.probability.shape == (270,)
    assert whole.evidence.shape == (270, CELLS, CELLS)
    for row in (0, 255, 256):
        one = {CODES: maps[many[0][[row]]]}, {CODES: aerials[many[1][[row]]]}
        alone = MATCHER.judge(*one, gaps=gaps[[row]])
        same(whole, alone, slice(row, row + 1))


def test_one_row_stands_for_all_on_either_side() -> None:
    some = grounds(6)
    maps, aerials = coded(BOOKS, some, "map")[CODES], coded(BOOKS, some, "aerial")[CODES]
    first = np.repeat(maps[:1], 6, axis=0)
    same(MATCHER.judge({CODES: maps[:1]}, {CODES: aerials}), MATCHER.judge({CODES: first}, {CODES: aerials}))
    first = np.repeat(aerials[:1], 6, axis=0)
    same(MATCHER.judge({CODES: maps}, {CODES: aerials[:1]}), MATCHER.judge({CODES: maps}, {CODES: first}))


def test_no_pairs_no_judgement() -> None:
    none = {CODES: np.zeros((0, CELLS**2), np.uint8)}
    judged = MATCHER.judge(none, none)
    assert judged.probability.shape == (0,)
    assert judged.beliefs.shape == (0, CELLS, CELLS, 7)


def test_own_ground_is_told_from_other_ground() -> None:
    some = grounds(30)
    maps, aerials = coded(BOOKS, some, "map"), coded(BOOKS, some, "aerial", seed=3)
    right = MATCHER.judge(maps, aerials)
    wrong = MATCHER.judge(maps, {CODES: np.roll(aerials[CODES], 1, axis=0)})
    assert right.probability.min() > wrong.probability.max()
    assert (right.evidence.mean(axis=(1, 2)) > wrong.evidence.mean(axis=(1, 2))).all()
    assert np.abs(right.offset).max() < 1 / CELLS
    np.testing.assert_allclose(right.beliefs.sum(axis=-1), 1, atol=1e-4)


PX = 160
SHIFTS = [(12, -8), (-16, 16), (4, 0), (0, -12)]


@pytest.fixture(scope="module")
def shifted() -> tuple[dict, dict]:
    """Maps that lie off by `SHIFTS` pixels east and south of 160, of the pictures' own ground."""
    large = grounds(len(SHIFTS), 5, PX + 40)
    here = large[:, 20 : 20 + PX, 20 : 20 + PX]
    there = [g[20 - dy : 20 - dy + PX, 20 - dx : 20 - dx + PX] for g, (dx, dy) in zip(large, SHIFTS, strict=True)]
    return coded(BOOKS, np.stack(there), "map"), coded(BOOKS, here, "aerial")


def test_a_shifted_map_is_judged_where_it_lies(shifted: tuple[dict, dict]) -> None:
    judged = MATCHER.judge(*shifted)
    np.testing.assert_allclose(judged.offset, np.array(SHIFTS) / PX, atol=0.2 / CELLS)
    taken = MATCHER.judge(*shifted, max_offset=0)
    np.testing.assert_array_equal(taken.offset, 0)
    assert (judged.probability[:2] > taken.probability[:2] + 0.1).all()
    # Where the move left no picture there is no belief and no evidence.
    gone = judged.beliefs.sum(axis=-1) < 0.5
    assert gone[0, :, :3].all()
    assert gone[0, -2:].all()
    assert not gone[0, :38, 3:].any()
    np.testing.assert_array_equal(judged.evidence[gone], 0)


def test_a_gap_in_the_picture_speaks_for_nothing_and_moves_with_it(shifted: tuple[dict, dict]) -> None:
    """Whatever the codes of its cells are."""
    gaps = np.zeros((len(SHIFTS), CELLS, CELLS), bool)
    gaps[:, 10:25, -12:] = True
    spoilt = shifted[1][CODES].copy()
    spoilt.reshape(-1, CELLS, CELLS)[gaps] = 3
    first, second = (MATCHER.judge(shifted[0], {CODES: codes}, gaps=gaps) for codes in (shifted[1][CODES], spoilt))
    same(first, second)
    np.testing.assert_allclose(second.offset, np.array(SHIFTS) / PX, atol=0.3 / CELLS)
    assert (MATCHER.judge(shifted[0], {CODES: spoilt}).evidence[0, 8:23, CELLS - 9 :] < 0).any()
    # The map lies 3 cells east and 2 north of where the picture shows its ground.
    unseen = second.beliefs[0].sum(axis=-1) < 0.5
    assert unseen[8:23, CELLS - 9 :].all()
    assert not unseen[8:23, 3 : CELLS - 9].any()
    np.testing.assert_array_equal(second.evidence[0][unseen], 0)


def test_a_map_that_says_nothing_is_judged_where_it_should_lie(shifted: tuple[dict, dict]) -> None:
    """However far it may lie off; beside it another is looked for."""
    maps = shifted[0][CODES].copy()
    maps[0] = BOOKS.encode(np.eye(7, dtype=np.float32)[np.zeros((1, CELLS, CELLS), int)], "map")
    expected = np.full((len(SHIFTS), 2), 0.025, np.float32)
    judged = MATCHER.judge({CODES: maps}, shifted[1], 0.5, expected)
    taken = MATCHER.judge({CODES: maps}, shifted[1], 0.0, expected)
    np.testing.assert_array_equal(judged.offset[0], expected[0])
    np.testing.assert_array_equal(judged.evidence[0], taken.evidence[0])
    np.testing.assert_allclose(judged.offset[1:], np.array(SHIFTS[1:]) / PX, atol=0.2 / CELLS)


def test_an_expected_shift_is_no_fault(shifted: tuple[dict, dict]) -> None:
    expected = np.array(SHIFTS, np.float32) / PX
    judged, plain = MATCHER.judge(*shifted, expected=expected), MATCHER.judge(*shifted)
    np.testing.assert_allclose(judged.offset, expected, atol=0.2 / CELLS)
    assert (judged.probability > plain.probability).all()
    with_it, _ = MATCHER.evidence(shifted[0][CODES], shifted[1][CODES], 0.1, expected)
    without, _ = MATCHER.evidence(shifted[0][CODES], shifted[1][CODES], 0.1, 0 * expected)
    assert with_it.moved.max() < 0.2 / CELLS < without.moved.min()
    assert (with_it.still > without.still).all()


def test_no_shift_is_told_beyond_the_farthest_asked_for(shifted: tuple[dict, dict]) -> None:
    asked = np.float32(0.02)
    assert np.abs(MATCHER.judge(*shifted).offset).max() > 2 * asked
    for offsets in (MATCHER.judge(*shifted, 0.02).offset, MATCHER.rank(*shifted, 0.02)[1]):
        assert np.abs(offsets).max() == asked


@pytest.mark.parametrize(("lies", "max_offset"), [(0.48, 0.5), (0.9, 0.5), (1.3, 0.0), (-0.6, 0.45)])
def test_frames_that_hardly_overlap_are_judged_all_the_same(
    shifted: tuple[dict, dict], lies: float, max_offset: float
) -> None:
    expected = np.full((len(SHIFTS), 2), lies, np.float32)
    judged = MATCHER.judge(*shifted, max_offset, expected)
    assert np.isfinite(judged.probability).all()
    assert np.isfinite(judged.offset).all()
    assert (np.abs(judged.offset - expected) <= max_offset + 1e-6).all()


def test_expected_shifts_go_with_their_pairs_through_the_chunks(shifted: tuple[dict, dict]) -> None:
    row = np.arange(300) % len(SHIFTS)
    expected = np.array(SHIFTS, np.float32) / PX
    maps, aerials = ({CODES: side[CODES][row]} for side in shifted)
    many = MATCHER.judge(maps, aerials, expected=expected[row])
    same(many, MATCHER.judge(*shifted, expected=expected), slice(296, 300))


@pytest.mark.parametrize("max_offset", [0.0, 0.1])
def test_ranks_of_few_are_the_likeness_of_each_pair(max_offset: float) -> None:
    maps, aerials = coded(BOOKS, grounds(7), "map"), coded(BOOKS, grounds(9), "aerial")
    scores, offsets = MATCHER.rank(maps, aerials, max_offset)
    assert scores.shape == (7, 9)
    assert offsets.shape == (7, 9, 2)
    shares = sharpened(BOOKS.decode(maps[CODES], "map"), MAP_FLOOR)
    odds = sharpened(BOOKS.decode(aerials[CODES], "aerial"), PICTURE_FLOOR)
    spectra = Spectra(shares, odds, 5 if max_offset else 0)
    for m in range(7):
        for p in range(9):
            whole, alike = best_shift(spectra.likeness(np.array([m]), np.array([p])))
            assert scores[m, p] == pytest.approx(float(alike[0]), abs=1e-5)
            assert np.abs(offsets[m, p] * CELLS - whole[0]).max() <= 1 + 1e-4
    assert (scores.argmax(axis=1) == np.arange(7)).all()
    assert (scores[:, :7].argmax(axis=0) == np.arange(7)).all()


def test_ranks_agree_with_judgement() -> None:
    maps, aerials = coded(BOOKS, grounds(5), "map"), coded(BOOKS, grounds(8), "aerial")
    scores, offsets = MATCHER.rank(maps, aerials)
    for m in range(5):
        judged = MATCHER.judge({CODES: maps[CODES][[m]]}, aerials)
        assert (np.argsort(judged.parts["structure"]) == np.argsort(scores[m])).all()
        np.testing.assert_allclose(offsets[m], judged.offset, atol=1e-6)


@pytest.mark.parametrize("compared", [1, 12, 150])
def test_one_map_is_looked_for_among_the_likeliest_alone(compared: int) -> None:
    some = grounds(150)
    maps, aerials = coded(BOOKS, some[:3], "map"), coded(BOOKS, some, "aerial")
    every, offsets = MATCHER.rank(maps, aerials)
    for n in range(3):
        own = {CODES: maps[CODES][[n]]}
        few, there = MATCHER.rank(own, aerials, compared=compared)
        best = np.argsort(-few[0])[:compared]
        np.testing.assert_allclose(few[0, best], every[n, best], atol=1e-5)
        assert (np.delete(few[0], best) <= few[0, best].min() - (compared < 150)).all()
        assert few[0].argmax() == n
        np.testing.assert_allclose(there[0, n], offsets[n, n], atol=1e-6)
        other, _ = MATCHER.rank({CODES: coded(BOOKS, some, "map")[CODES]}, {CODES: aerials[CODES][[n]]}, 0.1, compared)
        assert other[:, 0].argmax() == n


def test_of_a_large_gallery_the_shortlist_keeps_the_best() -> None:
    some = grounds(150)
    maps, aerials = coded(BOOKS, some[:3], "map"), coded(BOOKS, some, "aerial")
    scores, _ = MATCHER.rank(maps, aerials, compared=128)
    assert scores.shape == (3, 150)
    assert (scores.argmax(axis=1) == np.arange(3)).all()
    # With three maps every picture has all its partners compared; with 140 the tail keeps the coarse order.
    one_map = {CODES: np.repeat(maps[CODES][:1], 140, axis=0)}
    one_map[CODES][1:] = coded(BOOKS, grounds(139, 2), "map")[CODES]
    many, _ = MATCHER.rank(one_map, aerials, compared=128)
    np.testing.assert_allclose(np.sort(many[0])[-60:], np.sort(scores[0])[-60:], atol=1e-5)
    assert np.isfinite(many).all()
    assert many[0].argmax() == 0


@pytest.mark.parametrize("compared", [None, 1])
def test_what_is_left_of_a_picture_stands_for_the_whole(compared: int | None) -> None:
    some = grounds(40)
    maps, aerials = coded(BOOKS, some, "map"), coded(BOOKS, some, "aerial")
    hidden = np.zeros((40, CELLS, CELLS), bool)
    hidden[7, : 3 * CELLS // 4] = True
    found, _ = MATCHER.rank({CODES: maps[CODES][[7]]}, aerials, 0.05, compared, {"aerial": hidden})
    assert found[0].argmax() == 7
    whole, _ = MATCHER.rank({CODES: maps[CODES][[7]]}, aerials, 0.05, compared)
    assert found[0, 7] > 0.6 * whole[0, 7]


def random_fusion(dim: int = 8) -> FusionScorer:
    rng = np.random.default_rng(0)
    sizes = {"mlp.inner": (12, 4 * dim), "mlp.outer": (6, 12), "head.0": (6, 6), "head.1": (6, 6), "head.2": (1, 6)}
    arrays = {f"{name}.weight": rng.normal(size=size) for name, size in sizes.items()}
    arrays |= {f"{name}.bias": rng.normal(size=size[0]) for name, size in sizes.items()}
    arrays |= {"prototypes": rng.normal(size=(3, 6)), "skip": np.ones(1)}
    return FusionScorer({name: array.astype(np.float32) for name, array in arrays.items()})


def test_discriminator_and_prototypes_are_terms_of_their_own() -> None:
    calibration = np.array([0.5, 2.0, 0.3, -0.7], np.float32)
    matcher = StructureMatcher(BOOKS, plain_critic(), random_fusion(), calibration)
    assert matcher.spaces == (CODES, SEMANTIC)
    assert MATCHER.spaces == (CODES,)
    rng = np.random.default_rng(4)
    vectors = [unit / np.linalg.norm(unit, axis=1, keepdims=True) for unit in rng.normal(size=(2, 5, 8)).astype("f4")]
    maps = coded(BOOKS, grounds(5), "map") | {SEMANTIC: vectors[0]}
    aerials = coded(BOOKS, grounds(5), "aerial") | {SEMANTIC: vectors[1]}
    judged = matcher.judge(maps, aerials)
    terms = np.stack([judged.parts[name] for name in ("structure", "discriminator", "prototypes")], axis=1)
    np.testing.assert_allclose(terms[:, 1:].T, random_fusion().scores(vectors[1], vectors[0]), atol=1e-5)
    wanted = 1 / (1 + np.exp(-(calibration[0] + terms @ calibration[1:])))
    np.testing.assert_allclose(judged.probability, wanted, atol=1e-5)


def test_judging_needs_no_torch() -> None:
    program = (
        "import sys, numpy as np\n"
        "from streets import plain_matcher\n"
        "codes = {'structure_grid': np.zeros((2, 1600), np.uint8)}\n"
        "plain_matcher().judge(codes, codes); plain_matcher().rank(codes, codes)\n"
        "print('torch' in sys.modules)"
    )
    path = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=path)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("max_offset", [0.01, 0.5])
def test_the_farthest_and_the_nearest_reach_are_judged_too(shifted: tuple[dict, dict], max_offset: float) -> None:
    judged = MATCHER.judge(*shifted, max_offset=max_offset)
    for name in ARRAYS:
        assert np.isfinite(getattr(judged, name)).all(), name
    # A cell more than asked for is looked at, so that a peak is seen from both sides.
    assert np.abs(judged.offset).max() <= max_offset + 2 / CELLS
    if max_offset == 0.5:
        np.testing.assert_allclose(judged.offset, np.array(SHIFTS) / PX, atol=0.2 / CELLS)
