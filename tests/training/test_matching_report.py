"""Reports of scores made by hand, a matcher that reads one colour, and pairs listed in every accepted way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from structured import GridEncoder, draw, town_block

from geoanchor.errors import BadInput, UsageError
from geoanchor.protocols import Judgement
from models.toy import ToyEncoder
from retrieval import metrics
from training.encoding import silent, untold
from training.evaluate import evaluate_map_to_aerial, evaluate_matching
from training.matching_report import imagery_swapped, report
from training.matching_table import matching_table
from training.pairlist import Pair, read_pairs
from training.pairscores import EncodedPairs, encode_pairs, scorers
from training.ranking import ranked


class RedMatcher:
    """Probability of a pair is what redness the two have in common; its ranking prefers what `cosine` would not."""

    spaces = ("semantic",)
    cells = 0
    registrar: Any = None

    def judge(self, maps: Mapping[str, Any], aerials: Mapping[str, Any], max_offset: float = 0.1) -> Judgement:
        probability = 1 - np.abs(maps["semantic"][:, 0] - aerials["semantic"][:, 0])
        none = np.zeros((len(probability), 1, 1), np.float32)
        return Judgement(probability, none[:, 0], none[:, 0, 0], none, none, none, {})

    def rank(self, maps: Mapping[str, Any], aerials: Mapping[str, Any], max_offset: float = 0.1) -> Any:
        scores = -np.abs(maps["semantic"][:, None, 0] - aerials["semantic"][None, :, 0])
        offsets = np.broadcast_to(np.array([0.05, 0.0], np.float32), (*scores.shape, 2))
        return scores.astype(np.float32), offsets


class RedEncoder(ToyEncoder):
    matcher = RedMatcher()


def encoded(labels: list[int], *, places: int, kinds: list[str] | None = None, **columns: Any) -> EncodedPairs:
    """Pair n stands at aerial picture n % places and has a map of its own."""
    n = len(labels)
    pairs = tuple(
        Pair(aerial=Path(f"a{i % places}"), map=Path(f"m{i}"), label=label, kind=kinds[i] if kinds else "",
             **{name: values[i] for name, values in columns.items()})
        for i, label in enumerate(labels)
    )  # fmt: skip
    nothing = np.zeros(n)
    return EncodedPairs(pairs, np.arange(n), np.arange(n) % places, {}, {}, nothing, nothing[:places], 0, 0)


class Numbering:
    """Offsets name the map and the picture that they are of."""

    spaces = ("semantic",)

    def rank(self, maps: Mapping[str, Any], aerials: Mapping[str, Any]) -> Any:
        ours, theirs = maps["semantic"][:, 0], aerials["semantic"][:, 0]
        offsets = np.stack(np.meshgrid(ours, theirs, indexing="ij"), axis=-1)
        return np.zeros(offsets.shape[:2]), offsets


def test_each_pair_s_offset_is_that_of_its_own_map_and_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.ranking._CHUNK", 3)
    map_of, aerial_of = np.array([4, 0, 3, 6, 1, 5, 2]), np.array([1, 3, 0, 2, 3, 1, 0])
    numbers = np.arange(7.0)[:, None]
    pairs = replace(
        encoded([1] * 7, places=4), map_of=map_of, aerial_of=aerial_of, maps={"semantic": numbers},
        aerials={"semantic": numbers[:4]},
    )  # fmt: skip
    _, offsets, _ = ranked(Numbering(), [{"semantic": numbers}], pairs)  # type: ignore[arg-type]
    np.testing.assert_array_equal(offsets, np.stack([map_of, aerial_of], axis=1))


def giving(scores: list[float]) -> Any:
    """A scorer that looks at the map alone."""
    return lambda maps, _aerials: np.asarray(scores, float)[maps]


def test_scores_of_the_map_alone_show_in_the_control() -> None:
    labels = [1, 0] * 8
    told = report(giving([float(label) for label in labels]), encoded(labels, places=8), 0)
    assert told["auroc"] == 1.0
    assert told["auroc_imagery_swapped"] == 1.0
    assert told["f1_match"] == told["f1_mismatch"] == 1.0
    assert told["intervals"]["auroc"] == [1.0, 1.0]


def test_scores_that_need_the_picture_fall_to_chance_without_it() -> None:
    rng = np.random.default_rng(0)
    labels = [1, 0] * 100
    pairs = encoded(labels, places=100)
    nature = rng.normal(size=100)
    shown = np.where(labels, nature[pairs.aerial_of], rng.normal(size=200))

    def scorer(maps: NDArray[np.int64], aerials: NDArray[np.int64]) -> NDArray[np.float64]:
        return -np.abs(shown[maps] - nature[aerials])

    told = report(scorer, pairs, 0)
    assert told["auroc"] == 1.0
    assert told["auroc_imagery_swapped"] == pytest.approx(0.5, abs=0.08)
    assert imagery_swapped(scorer, encoded([1, 0, 1, 0], places=1), 0) is None


def test_each_kind_is_judged_beside_matches_made_alike() -> None:
    kinds = ["", "", "swap", "swap", "patch", "patch", "patch", "patch"]
    labels = [1, 1, 0, 0, 1, 1, 0, 0]
    scores = [0.9, 0.8, 0.1, 0.2, 0.3, 0.5, 0.4, 0.2]
    told = report(giving(scores), encoded(labels, places=4, kinds=kinds), 0)["kinds"]
    assert (told["swap"]["auroc"], told["swap"]["pairs"]) == (1.0, 2)
    # Of the four couples of a patched match and a patched mismatch, three stand in the right order.
    assert told["patch"]["auroc"] == 0.75


def test_bins_hold_the_share_that_changed() -> None:
    labels = [1, 1, 0, 0, 0, 0]
    changed = [None, None, 0.05, 0.1, 0.3, 0.9]
    scores = [0.9, 0.8, 0.85, 0.1, 0.3, 0.2]
    told = report(giving(scores), encoded(labels, places=3, changed=changed), 0)["changed"]
    assert {name: own["pairs"] for name, own in told.items()} == {"none": 2, "<10 %": 2, "25-50 %": 1, ">50 %": 1}
    assert (told["<10 %"]["auroc"], told["25-50 %"]["auroc"]) == (0.75, 1.0)
    assert "auroc" not in told["none"]


def test_one_label_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="two pairs or more of each label"):
        report(giving([0.0] * 4), encoded([1, 1, 1, 0], places=2), 0)


def test_equal_pairs_are_one_where_two_are_needed() -> None:
    labels = [1, 1, 0, 0, 0]
    pairs = encoded(labels, places=5)
    twice = (pairs.pairs[0], pairs.pairs[0], *pairs.pairs[2:])
    with pytest.raises(UsageError, match="equal pairs count as one"):
        report(giving([0.9, 0.9, 0.1, 0.2, 0.3]), replace(pairs, pairs=twice), 0)


def test_labels_are_counted_before_any_picture_is_read() -> None:
    nowhere = [Pair(aerial=Path("no.png"), map=Path("no.png"), label=1)] * 3
    with pytest.raises(UsageError, match="two pairs or more of each label"):
        evaluate_matching(ToyEncoder(), nowhere)


def test_auroc_interval_agrees_with_resampling_by_hand() -> None:
    rng = np.random.default_rng(3)
    scores, groups = rng.integers(0, 6, 60).astype(float), np.repeat(np.arange(20), 3)
    positive = rng.random(60) < 0.5
    draws = np.random.default_rng(0)
    found = []
    for _ in range(60):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in draws.integers(0, 20, 20)])
        found.append(metrics.auroc(scores[rows], positive[rows]))
    expected = np.percentile(found, [2.5, 97.5])
    assert metrics.auroc_interval(scores, positive, groups, 0, resamples=60) == pytest.approx(
        expected.tolist(), abs=1e-9
    )


def test_f1_interval_holds_the_value_and_shrinks_with_pairs() -> None:
    predicted = np.tile([True, True, False, False], 100)
    positive = np.tile([True, False, True, False], 100)
    few = metrics.f1_interval(predicted[:40], positive[:40], np.arange(40))
    many = metrics.f1_interval(predicted, positive, np.arange(400))
    assert few[0] < many[0] < metrics.f1_of(predicted, positive) == 0.5 < many[1] < few[1]


def paint(path: Path, colour: tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


REDS = (250, 180, 120, 60, 5)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """MSTcons: places by redness; the map's green misleads a cosine, not the matcher."""
    for city, split in (("Austin", "test"), ("Vienna", "test"), ("Vienna", "train")):
        for red in REDS:
            paint(tmp_path / "Inria" / city / split / "Image" / f"{red}.png", (red, 40, 40))
            paint(tmp_path / "Inria" / city / split / "map" / f"{red}.jpg", (red, 40, 40))
    return tmp_path


def test_folders_side_by_side_are_pairs_and_swaps(layout: Path) -> None:
    pairs = read_pairs(layout, "test")
    matches, swaps = ([pair for pair in pairs if pair.label == label] for label in (1, 0))
    assert len(matches) == len(swaps) == 10
    assert {pair.kind for pair in swaps} == {"swap"}
    assert all(pair.aerial.stem == pair.map.stem for pair in matches)
    assert all(pair.aerial.stem != pair.map.stem and pair.aerial.parts[-3] == pair.map.parts[-3] for pair in swaps)
    assert all("Austin" in str(pair.map) for pair in swaps if "Austin" in str(pair.aerial))
    assert len(read_pairs(layout)) == 30
    assert read_pairs(layout, "test", 1) != pairs
    assert len(read_pairs(layout / "Inria" / "Austin" / "test")) == 10
    with pytest.raises(UsageError, match="no pairs of split 'val'"):
        read_pairs(layout, "val")


def test_splits_may_lie_below_the_layers(tmp_path: Path) -> None:
    for layer, ending in (("image", ".png"), ("map", ".jpg")):
        for split, reds in (("train", REDS[:3]), ("test", REDS[3:])):
            for red in reds:
                paint(tmp_path / layer / split / f"{red}{ending}", (red, 40, 40))
    assert len(read_pairs(tmp_path)) == 2 * len(REDS)
    pairs = read_pairs(tmp_path, "test")
    assert {pair.aerial.name for pair in pairs} == {f"{red}.png" for red in REDS[3:]}
    assert {pair.map.parent.name for pair in pairs} == {"test"}
    with pytest.raises(UsageError, match="no pairs of split 'val'"):
        read_pairs(tmp_path, "val")


def test_columns_that_are_known_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("aerial,map,label,kind,changed,dx,dy\na.png,b.png,0,delete,0.25,,\nc.png,d.png,1,,,-0.05,0.1\n")
    first, second = read_pairs(path)
    assert (first.kind, first.changed, first.dx) == ("delete", 0.25, None)
    assert (second.kind, second.changed, second.dx, second.dy) == ("", None, -0.05, 0.1)
    assert first.aerial == tmp_path / "a.png"
    path.write_text("aerial,map,label,changed\na.png,b.png,0,7\n")
    with pytest.raises(UsageError, match="line 2: changed"):
        read_pairs(path)
    with pytest.raises(UsageError, match="no splits"):
        read_pairs(path, "test")


def test_the_matcher_is_what_is_judged_where_there_is_one(layout: Path) -> None:
    told = evaluate_matching(RedEncoder(), read_pairs(layout, "test"))
    assert (told["score"], told["auroc"], told["pairs"]) == ("matcher", 1.0, 20)
    assert list(told["baselines"]) == ["cosine", "density", "random"]
    assert evaluate_matching(ToyEncoder(), read_pairs(layout, "test"))["score"] == "cosine"
    table = matching_table(told).splitlines()
    assert [line.split(" | ")[0] for line in table[4:]] == ["| matcher", "| cosine", "| density", "| random"]
    assert "AUROC swap" in table[2]
    assert len({line.count("|") for line in table[2:]}) == 1


def test_the_matcher_ranks_both_ways_and_its_offsets_are_checked(tmp_path: Path) -> None:
    rows = []
    for n, red in enumerate(REDS):
        paint(tmp_path / f"a{n}.png", (red, 40, 40)), paint(tmp_path / f"m{n}.png", (red, 40, 40))
        rows.append(f"a{n}.png,m{n}.png,1,{'0.055' if n < 3 else ''},")
    (tmp_path / "pairs.csv").write_text("aerial,map,label,dx,dy\n" + "\n".join(rows))
    told = evaluate_map_to_aerial(RedEncoder(), read_pairs(tmp_path / "pairs.csv"))
    assert told["score"] == "matcher"
    assert told["map_to_aerial"]["R@1"] == told["aerial_to_map"]["R@1"] == 100.0
    offsets = {"told": 100.0, "median": 0.005, "within_1_percent": 60.0, "of_told": 60.0, "of_top_10": 60.0}
    assert told["offsets"] == offsets


def test_offsets_are_told_from_the_pictures_where_the_model_can(tmp_path: Path) -> None:
    class Registrar:
        """Of a red of n the offset is n thousandths; of none, none is told."""

        def offsets(self, maps: Any, aerials: Any, max_offset: float = 0.1) -> Any:
            assert all((a == b).all() for a, b in zip(maps, aerials, strict=True))
            return np.array([[int(picture[0, 0, 0]) / 1000 or np.nan, 0] for picture in maps], np.float32)

    class Encoder(RedEncoder):
        matcher = RedMatcher()

    Encoder.matcher.registrar = Registrar()
    for n in range(70):
        paint(tmp_path / f"{n}.png", (n, 40, 40))
    rows = (f"{n}.png,{n}.png,1,{n / 1000 + 0.02 * (n == 69)},0" for n in range(70))
    (tmp_path / "pairs.csv").write_text("aerial,map,label,dx,dy\n" + "\n".join(rows))
    found = evaluate_map_to_aerial(Encoder(), read_pairs(tmp_path / "pairs.csv"))["offsets"]
    assert found.pop("of_top_10") == pytest.approx(97.14, abs=0.1)
    assert found == {"told": 98.57, "median": 0.0, "within_1_percent": 97.14, "of_told": 98.55}


def test_what_was_compared_is_named(tmp_path: Path) -> None:
    for n in range(4):
        Image.fromarray(draw(town_block(n))).save(tmp_path / f"{n}.png")
    rows = (f"{n}.png,{m}.png,{int(n == m)}" for n in range(4) for m in (n, (n + 1) % 4))
    (tmp_path / "pairs.csv").write_text("aerial,map,label\n" + "\n".join(rows))
    pairs = read_pairs(tmp_path / "pairs.csv")
    for evaluate in (evaluate_matching, evaluate_map_to_aerial):
        grid, toy = GridEncoder(), ToyEncoder()
        told = evaluate(grid, pairs)
        assert (told["score"], told["spaces"]) == ("matcher", {"grid": grid.spaces["grid"].fingerprint})
        assert not {"space", "fingerprint"} & set(told)
        told = evaluate(toy, pairs)
        assert (told["score"], told["space"]) == ("cosine", "semantic")
        assert told["fingerprint"] == toy.spaces["semantic"].fingerprint
        assert "spaces" not in told


def test_pictures_without_a_readable_partner_are_no_rivals(layout: Path) -> None:
    folder = layout / "Inria" / "Austin" / "test"
    (folder / "map" / "250.jpg").write_bytes(b"")
    found = encode_pairs(ToyEncoder(), [pair for pair in read_pairs(folder) if pair.label == 1], 4, silent, untold)
    assert (len(found.pairs), found.skipped, len(found.aerials["semantic"]), len(found.edges)) == (4, 1, 4, 4)
    names = [pair.aerial.stem for pair in found.pairs]
    assert found.aerials["semantic"][found.aerial_of, 0].argmax() == names.index("180")


def test_density_sets_built_maps_beside_busy_pictures(tmp_path: Path) -> None:
    found = encoded([1, 0, 1], places=3)
    busy = EncodedPairs(found.pairs, found.map_of, found.aerial_of, {"semantic": np.eye(3)}, {"semantic": np.eye(3)},
                        np.array([0.0, 0.2, 0.6]), np.array([0.01, 0.05, 0.2]), 0, 0)  # fmt: skip
    density = scorers(ToyEncoder(), busy, 0)["density"]
    rows = np.arange(3)
    assert density(rows, rows).tolist() == [0, 0, 0]
    assert density(rows, rows[::-1]) == pytest.approx([-2 / 3, 0, -2 / 3])


def test_every_picture_that_cannot_be_read_is_named_once(layout: Path) -> None:
    folder = layout / "Inria" / "Austin" / "test"
    damaged, pairs = folder / "map" / "250.jpg", read_pairs(folder)
    damaged.write_bytes(b"")
    (gone := next(pair.aerial for pair in pairs if pair.aerial.stem != "250")).unlink()
    bad: list[BadInput] = []
    assert evaluate_matching(ToyEncoder(), pairs, on_bad=bad.append)["skipped"] > 2
    assert {error.where for error in bad} == {str(gone), str(damaged)}
    assert len(bad) == 2
    assert "cannot be read (No such file or directory)" in str(bad[0])


def test_pairs_saved_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes("\ufeffaerial,map,label\na.png,m.png,1\n".encode())
    assert [pair.label for pair in read_pairs(tmp_path / "pairs.csv")] == [1]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_however_a_spreadsheet_parts_its_fields(tmp_path: Path, mark: str) -> None:
    lines = ["aerial,map,label", "a.png,b.png,1", "", ",,", "c.png,d.png,0"]
    path = tmp_path / "pairs.csv"
    path.write_text("\r\n".join(lines).replace(",", mark), "utf-8")
    assert [(pair.aerial.name, pair.map.name, pair.label) for pair in read_pairs(path)] == [
        ("a.png", "b.png", 1), ("c.png", "d.png", 0)
    ]  # fmt: skip
    path.write_text(path.read_text("utf-8") + f"\ne.png{mark}f.png{mark}7", "utf-8")
    with pytest.raises(UsageError, match=r"line 6: label: .*1"):
        read_pairs(path)
