"""Evaluation end to end with a colour-reading encoder whose answers are known by hand."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from geoanchor.errors import BadInput, UnsupportedModality, UsageError
from models.toy import ToyEncoder
from training.datasets import Pictures, read_captions
from training.evaluate import evaluate_map_to_aerial, evaluate_matching, evaluate_retrieval
from training.pairlist import read_pairs
from training.recall import normalised

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def paint(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


@pytest.fixture
def captioned(tmp_path: Path) -> tuple[Path, Path]:
    for name, colour in COLOURS.items():
        paint(tmp_path / "images" / f"{name}.png", colour)
    items = [{"image": f"{name}.png", "captions": [f"a {name} field .", name], "scene": "x"} for name in COLOURS]
    (tmp_path / "captions.json").write_text(json.dumps(items))
    return tmp_path / "images", tmp_path / "captions.json"


def test_retrieval_is_perfect_where_colours_tell_everything(captioned: tuple[Path, Path]) -> None:
    images, captions = captioned
    result = evaluate_retrieval(ToyEncoder(), Pictures(images), read_captions(captions))
    assert result["text_to_image"] == {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0}
    assert result["mean_recall"] == 100.0
    assert (result["images"], result["captions"], result["skipped"]) == (3, 6, 0)
    assert result["chance"]["text_to_image"]["R@1"] == pytest.approx(33.333)


def test_same_pictures_from_a_tar_give_the_same_figures(captioned: tuple[Path, Path], tmp_path: Path) -> None:
    images, captions = captioned
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for file in sorted(images.iterdir()):
            tar.add(file, arcname=file.name)
    of_folder = evaluate_retrieval(ToyEncoder(), Pictures(images), read_captions(captions))
    assert evaluate_retrieval(ToyEncoder(), Pictures(tmp_path / "images.tar"), read_captions(captions)) == of_folder


def test_unreadable_pictures_are_counted_not_fatal(captioned: tuple[Path, Path]) -> None:
    images, captions = captioned
    (images / "green.png").write_bytes(b"not a picture")
    (images / "red.png").unlink()
    result = evaluate_retrieval(ToyEncoder(), Pictures(images), read_captions(captions))
    assert (result["images"], result["captions"], result["skipped"]) == (1, 2, 2)


def test_identical_captions_count_only_in_text_equivalent_recall(tmp_path: Path) -> None:
    for name in ("one", "two"):
        paint(tmp_path / f"{name}.png", COLOURS["red"])
    items = [{"image": "one.png", "captions": ["Red."]}, {"image": "two.png", "captions": ["red"]}]
    (tmp_path / "captions.json").write_text(json.dumps(items))
    result = evaluate_retrieval(ToyEncoder(), Pictures(tmp_path), read_captions(tmp_path / "captions.json"))
    assert result["text_to_image"]["R@1"] == 50.0
    assert result["text_equivalent"]["text_to_image"]["R@1"] == 100.0
    assert normalised(" A Red.  field .") == "a red field"


def test_splits_and_bad_captions(captioned: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no picture of split 'test'; splits in it: none"):
        read_captions(captioned[1], "test")
    for text in ("{}", "[{}]", "nothing", '[{"image": "a.png", "captions": []}]'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UsageError, match=r"bad\.json"):
            read_captions(tmp_path / "bad.json")
    with pytest.raises(UsageError, match="cannot read captions"):
        read_captions(tmp_path / "absent.json")


def write_pairs(folder: Path, rows: list[tuple[str, str, int]]) -> Path:
    for name, colour in COLOURS.items():
        paint(folder / "aerial" / f"{name}.png", colour)
        paint(folder / "map" / f"{name}.png", tuple(round(0.8 * c) for c in colour))
    lines = ["aerial,map,label", *(f"aerial/{a}.png,map/{m}.png,{label}" for a, m, label in rows)]
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def test_map_to_aerial_uses_label_one_rows_only(tmp_path: Path) -> None:
    pairs = read_pairs(write_pairs(tmp_path, [("red", "red", 1), ("green", "green", 1), ("red", "blue", 0)]))
    result = evaluate_map_to_aerial(ToyEncoder(), pairs)
    assert result["map_to_aerial"]["R@1"] == result["aerial_to_map"]["R@1"] == 100.0
    assert (result["pairs"], result["chance"]["map_to_aerial"]["R@1"]) == (2, 50.0)


def test_matching_separates_same_from_different(tmp_path: Path) -> None:
    rows = [(a, m, int(a == m)) for a in COLOURS for m in COLOURS]
    result = evaluate_matching(ToyEncoder(), read_pairs(write_pairs(tmp_path, rows)))
    assert (result["auroc"], result["f1"], result["pairs"]) == (1.0, 1.0, 9)
    with pytest.raises(UsageError, match="two pairs or more of each label"):
        evaluate_matching(ToyEncoder(), read_pairs(write_pairs(tmp_path, [("red", "red", 1)])))


def test_pairs_name_the_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("aerial,map,label\na.png,b.png,1\na.png,b.png,maybe\n")
    with pytest.raises(UsageError, match="line 3"):
        read_pairs(path)
    path.write_text("aerial,label\n")
    with pytest.raises(UsageError, match="column map is missing"):
        read_pairs(path)


def test_pictures_do_not_leave_their_folder(captioned: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match="outside"):
        Pictures(captioned[0]).read("../captions.json")


def test_a_model_without_the_modality_says_so(captioned: tuple[Path, Path]) -> None:
    encoder = ToyEncoder()
    blind = encoder.spaces["semantic"].model_copy(update={"modalities": ("text",)})
    encoder._space = blind
    with pytest.raises(UnsupportedModality, match="aerial and text"):
        evaluate_retrieval(encoder, Pictures(captioned[0]), read_captions(captioned[1]))
