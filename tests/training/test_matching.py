"""Stage two on made-up vectors: places whose map vector is a noisy rotation of the aerial one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from geoanchor.errors import BadInput, UnsupportedModality, UsageError
from models.fusion import Calibration, FusionScorer
from models.fusion_matcher import FusionMatcher
from models.text import unit
from retrieval.metrics import auroc
from training.matching.calibrate import calibrate, platt
from training.matching.examples import Edits, Examples, in_views, joined
from training.matching.fit import MatchingSession, perplexity
from training.matching.judge import judged, trials
from training.matching.losses import assignment, hinge, prototype_margin, sinkhorn, weighted_mean
from training.matching.negatives import Negatives
from training.matching.network import FusionNet
from training.recipe import Matching
from training.swaps import derangement
from training.turns import WAYS, turned

DIM, VIEWS = 16, 2
SHAPE = Matching(epochs=25, batch=32, learning_rate=2e-3, prototype_rate=1e-3, width=32, prototypes=8, views=VIEWS)
TURN = np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)))[0].astype(np.float32)


def toy(seed: int, n: int = 300) -> Examples:
    """Maps are the aerial vectors turned, with a little noise; edited maps are turned and half another's."""
    rng = np.random.default_rng(seed)
    aerial = unit(rng.normal(size=(VIEWS, n, DIM)).astype(np.float32))
    maps = unit(aerial @ TURN + 0.1 * rng.normal(size=aerial.shape).astype(np.float32))
    row = np.repeat(np.arange(n), 2)
    strength = np.tile(np.array([1.0, 0.6], np.float32), n)
    other = rng.permutation(n)
    changed = unit(maps[:, row] * (1 - strength[:, None]) + strength[:, None] * maps[:, other][:, row])
    edits = Edits(row, np.where(strength == 1, "all", "some"), strength)
    return Examples(aerial, maps, changed, edits, rng.integers(0, 6, (n, 11)).astype(np.uint8), np.ones(n, bool))


@pytest.fixture(scope="module")
def trained() -> tuple[FusionNet, FusionScorer]:
    torch.set_num_threads(1)
    net = MatchingSession(SHAPE, toy(0)).fit()
    return net, net.scorer(calibrate(net.scorer(Calibration()), toy(1), SHAPE))


def test_a_bundle_without_a_decoder_judges_pairs_as_wholes(trained: tuple[FusionNet, FusionScorer]) -> None:
    matcher, unseen = FusionMatcher(trained[1]), toy(2, 40)
    maps, aerials = {"semantic": unseen.maps[0]}, {"semantic": unseen.aerial[0]}
    judged = matcher.judge(maps, aerials)
    np.testing.assert_allclose(judged.probability, trained[1].probability(unseen.aerial[0], unseen.maps[0]), atol=1e-6)
    assert judged.evidence.shape == (40, 0, 0)
    one = matcher.judge({"semantic": unseen.maps[0][:1]}, aerials)
    assert one.probability.shape == (40,)
    assert one.probability[0] == pytest.approx(judged.probability[0], abs=1e-6)
    none = {"semantic": unseen.maps[0][:0]}
    assert matcher.judge(none, none).probability.shape == (0,)
    scores, offsets = matcher.rank(maps, aerials)
    assert (scores.argsort(axis=1)[:, -5:] == np.arange(40)[:, None]).any(axis=1).mean() > 0.8
    assert np.isnan(offsets).all()
    order = scores.diagonal().argsort()
    assert (np.diff(judged.probability[order]) >= -1e-6).all()
    with pytest.raises(UnsupportedModality, match="whole pictures"):
        matcher.probes("map", maps)


def test_a_trained_toy_matcher_tells_matches_from_swaps(trained: tuple[FusionNet, FusionScorer]) -> None:
    """The sign of the paper's equation 8 put right: high means that map and ground agree."""
    scorer, unseen = trained[1], toy(2)
    swapped = unseen.maps[0][derangement(np.random.default_rng(0), len(unseen))]
    positive = np.arange(2 * len(unseen)) < len(unseen)
    aerial, maps = np.tile(unseen.aerial[0], (2, 1)), np.concatenate([unseen.maps[0], swapped])
    opinions = scorer.scores(aerial, maps)
    for score in (opinions[0], scorer.calibration.match_score(*opinions), scorer.probability(aerial, maps)):
        assert auroc(score.astype(np.float64), positive) > 0.9
    assert auroc(opinions[1].astype(np.float64), positive) > 0.8  # the prototypes by themselves
    cosine = (aerial * maps).sum(axis=1).astype(np.float64)
    assert auroc(cosine, positive) < 0.7  # nothing that the plain cosine would have known
    belief = scorer.probability(aerial, maps)
    assert abs(float(belief.mean()) - 0.5) < 0.1
    assert np.mean((belief > 0.5) == positive) > 0.85


def test_numpy_is_the_network(trained: tuple[FusionNet, FusionScorer]) -> None:
    net, scorer = trained
    unseen = toy(3, 5000)  # more than one chunk
    with torch.inference_mode():
        _, first, cosines = net(torch.from_numpy(unseen.aerial[0]), torch.from_numpy(unseen.maps[0]))
    ours = scorer.scores(unseen.aerial[0], unseen.maps[0])
    np.testing.assert_allclose(ours[0], first.numpy(), atol=2e-4)
    np.testing.assert_allclose(ours[1], cosines.max(dim=1).values.numpy(), atol=2e-5)
    again = FusionScorer(scorer.arrays())
    np.testing.assert_array_equal(
        again.probability(unseen.aerial[0], unseen.maps[0]), scorer.probability(unseen.aerial[0], unseen.maps[0])
    )
    assert ours[0].dtype == ours[1].dtype == scorer.probability(unseen.aerial[0], unseen.maps[0]).dtype == np.float32


def test_the_papers_inputs_work_too() -> None:
    net = FusionNet(DIM, SHAPE.model_copy(update={"inputs": "concat"}))
    unseen = toy(3, 10)
    with torch.inference_mode():
        _, first, _ = net(torch.from_numpy(unseen.aerial[0]), torch.from_numpy(unseen.maps[0]))
    np.testing.assert_allclose(
        net.scorer(Calibration()).scores(unseen.aerial[0], unseen.maps[0])[0], first.numpy(), atol=1e-5
    )


def test_the_discriminator_begins_with_the_cosine() -> None:
    unseen = toy(3, 50)
    aerial, maps = unseen.aerial[0], unseen.maps[0]
    torch.manual_seed(0)
    shut = FusionNet(DIM, SHAPE.model_copy(update={"skip": 0.0}))
    torch.manual_seed(0)
    opened = FusionNet(DIM, SHAPE.model_copy(update={"skip": 4.0}))
    first, second = (net.scorer(Calibration()).scores(aerial, maps)[0] for net in (shut, opened))
    np.testing.assert_allclose(second - first, 4 * (aerial * maps).sum(axis=1), atol=1e-5)
    assert not shut.skip.requires_grad


def test_damaged_weights_are_one_sentence(trained: tuple[FusionNet, FusionScorer]) -> None:
    arrays = trained[1].arrays()
    with pytest.raises(BadInput, match=r"head\.2\.bias is missing"):
        FusionScorer({name: array for name, array in arrays.items() if name != "head.2.bias"})
    with pytest.raises(BadInput, match="are for 64 inputs"):
        FusionScorer(arrays).scores(np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32))


def test_all_prototypes_stay_in_use() -> None:
    session = MatchingSession(SHAPE, toy(0))
    session.fit()
    assert session.history[-1]["protos_used"] == 8
    assert session.history[-1]["perplexity"] > 6
    assert session.history[-1]["loss"] < session.history[0]["loss"]


def test_a_prototype_that_nothing_uses_starts_again() -> None:
    session = MatchingSession(SHAPE, toy(0, 64))
    with torch.no_grad():
        session.net.prototypes[3] = 1e6 * session.net.prototypes[3].clone()
        fused = session.net.mlp(*(torch.from_numpy(side[0, :4]) for side in (toy(0).aerial, toy(0).maps)))
        session._revive(np.array([3]), fused, np.random.default_rng(0))
    revived = session.net.prototypes[3].detach()
    assert float(torch.linalg.norm(revived)) == pytest.approx(1, abs=1e-5)
    assert float((torch.nn.functional.normalize(fused, dim=-1) @ revived).max()) == pytest.approx(1, abs=1e-5)


def test_without_prototypes_only_the_discriminator_counts() -> None:
    shape = SHAPE.model_copy(update={"weight": 0.0, "epochs": 3})
    net = MatchingSession(shape, toy(0)).fit()
    assert calibrate(net.scorer(Calibration()), toy(1), shape).alpha == 1


def test_raw_fusion_is_the_papers_sum(trained: tuple[FusionNet, FusionScorer]) -> None:
    found = calibrate(trained[1], toy(1), SHAPE.model_copy(update={"fusion": "raw", "alpha": 0.7}))
    one, two = np.array([3.0], np.float32), np.array([0.5], np.float32)
    assert found.match_score(one, two)[0] == pytest.approx(0.7 * 3 + 0.3 * 0.5)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    shape = SHAPE.model_copy(update={"epochs": 4})
    whole = MatchingSession(shape, toy(0)).fit().state_dict()
    cut = MatchingSession(shape, toy(0))
    cut.history = [cut.advance(), cut.advance()]
    cut.save(tmp_path)
    cut.advance()  # lost with the process
    resumed = MatchingSession(shape, toy(0))
    resumed.load(tmp_path)
    assert resumed.epoch == 2
    for name, tensor in resumed.fit().state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    assert len(resumed.history) == 4
    with pytest.raises(UsageError, match="of another network"):
        MatchingSession(shape.model_copy(update={"width": 40}), toy(0)).load(tmp_path)


def test_near_doubles_are_no_mismatches() -> None:
    examples = toy(0, 40)
    alike = replace(examples, attributes=np.zeros((40, 11), np.uint8))
    rng = np.random.default_rng(0)
    rows, views = np.arange(40), np.zeros(40, np.int64)
    assert Negatives(alike, 0.0, 10)(rows, views, 0.0, rng).weight.sum() == 0
    assert Negatives(examples, 0.0, 10)(rows, views, 0.0, rng).weight.sum() == 40
    half = Negatives(alike, 0.5, 10)(rows, views, 0.0, rng).weight.sum()
    assert 10 < half < 30  # edits always count


def test_strong_edits_come_first() -> None:
    examples = toy(0, 200)
    rows, views = np.arange(200), np.ones(200, np.int64)
    for progress, seen in ((0.0, {1.0}), (1.0, {1.0, 0.6})):
        edited, which = Negatives(examples, 1.0, 10)._edits(rows, progress, np.random.default_rng(0))
        assert edited.all()
        assert set(np.round(examples.edits.strength[which].astype(float), 3)) == seen
        assert (examples.edits.row[which] == rows).all()
    maps = Negatives(examples, 1.0, 10)(rows, views, 0.0, np.random.default_rng(0)).maps
    np.testing.assert_array_equal(maps, examples.changed[1, ::2])


def test_hinge_and_margin_by_hand() -> None:
    matched, swapped = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.5])
    assert float(hinge(matched, swapped, torch.ones(2))) == pytest.approx(0.5 + 0.75)
    assert float(hinge(matched, swapped, torch.tensor([1.0, 0.0]))) == pytest.approx(0.5)
    near, far = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.4, 0.2], [0.1, 0.0]])
    assert float(prototype_margin(near, far, torch.ones(2), 0.3)) == pytest.approx(0.1 + 0.05)
    assert float(weighted_mean(torch.ones(3), torch.zeros(3))) == 0


def test_sinkhorn_shares_out_evenly() -> None:
    scores = torch.rand(64, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 1  # one prototype that all would rather have
    shares = sinkhorn(scores, 0.05, 100)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(shares.sum(dim=0), torch.full((8,), 8.0), atol=0.05, rtol=0)
    assert (scores.argmax(dim=1) == 0).all()
    assert float(assignment(scores)) > float(assignment(5 * shares))


def test_perplexity_counts_what_is_used() -> None:
    assert perplexity(np.array([5, 5, 5, 5, 0])) == pytest.approx(4)
    assert perplexity(np.array([9, 0, 0])) == pytest.approx(1)
    assert perplexity(np.zeros(3, np.int64)) == pytest.approx(1)


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20000)
    positive = rng.random(20000) < 1 / (1 + np.exp(-(2.0 * scores)))
    slope, intercept = platt(scores, positive)
    assert slope == pytest.approx(2.0, abs=0.1)
    assert intercept == pytest.approx(0.0, abs=0.1)
    slope, _ = platt(np.array([-1.0, 1.0]), np.array([False, True]))  # a line parts them
    assert 0 < slope < 20


def test_views_are_the_eight_turns() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    assert len({turned(pixels[0], way).tobytes() for way in range(WAYS)}) == WAYS
    np.testing.assert_array_equal(turned(pixels[0], 0), pixels[0])
    vectors = in_views(pixels, lambda seen: seen.reshape(len(seen), -1).astype(np.float32), 8, batch=1)
    assert vectors.shape == (8, 2, 75)
    np.testing.assert_array_equal(vectors[5, 1], turned(pixels[1], 5).reshape(-1))


def test_joined_sets_keep_their_edits() -> None:
    both = joined([toy(0, 10), toy(1, 20)])
    assert len(both) == 30
    assert both.edits.row.tolist() == [*np.repeat(np.arange(10), 2), *(10 + np.repeat(np.arange(20), 2))]
    np.testing.assert_array_equal(both.changed[:, 20:], toy(1, 20).changed)


def test_one_pair_is_too_few() -> None:
    with pytest.raises(UsageError, match="two pairs"):
        MatchingSession(SHAPE, toy(0, 1))


def test_judging_knows_each_kind_and_a_blind_score(trained: tuple[FusionNet, FusionScorer]) -> None:
    tests = trials(toy(7))
    assert list(tests) == ["swaps", "edits", "all", "some"]
    assert tests["swaps"].positive.sum() == 300
    assert len(tests["all"].positive) == 600
    assert len(tests["edits"].positive) == 1200
    figures = judged(trained[1].probability, tests, trials(toy(8)))
    assert figures["AUROC swaps"] > 0.9
    assert figures["AUROC edits"] > 0.75
    assert 0.4 < figures["AUROC edits, blind"] < 0.6
    assert 0.5 < figures["F1 match"] <= 1


def test_pairs_that_are_all_alike_have_no_swaps() -> None:
    alike = replace(toy(0, 20), attributes=np.zeros((20, 11), np.uint8))
    assert "swaps" not in trials(alike)
