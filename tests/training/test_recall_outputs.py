"""What an evaluation is shown as: rows beside published ones, Markdown, a plot, a sheet of queries."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoanchor.errors import UsageError
from models.toy import ToyEncoder
from training.datasets import Captioned, Pictures
from training.evaluate import encode_captioned, retrieval_result
from training.published import datasets, measured, provenance, published, read_result
from training.recall import EncodedSet
from training.recall_plot import FORMATS, plot_recall
from training.recall_sheet import best_and_worst, query_sheet
from training.recall_table import comparison, recall_report

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    for name, colour in COLOURS.items():
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{name}.png")
    return Pictures(tmp_path)


@pytest.fixture
def encoded(pictures: Pictures) -> EncodedSet:
    told = {"red": ("red", "green"), "green": ("green",), "blue": ("blue",)}
    return encode_captioned(ToyEncoder(), pictures, [Captioned(image=f"{n}.png", captions=t) for n, t in told.items()])


def test_published_means_follow_from_their_rows() -> None:
    whole = [row for dataset in datasets() for row in published(dataset) if len(row.to_text) == len(row.to_image) == 3]
    assert len(whole) > 25
    for row in whole:
        assert row.mean == pytest.approx(np.mean([*row.to_text, *row.to_image]), abs=0.011), row.name


def test_published_rows_are_marked() -> None:
    for dataset in datasets():
        for row in published(dataset):
            assert row.trained_on
            assert row.image_weights
            assert row.source
            assert list(row.to_text) == sorted(row.to_text)
            assert list(row.to_image) == sorted(row.to_image)
            assert not row.ours
    with pytest.raises(UsageError, match="no published figures of 'nowhere'; there are some of: rsicd"):
        published("nowhere")


def test_our_row_stands_where_its_mean_belongs(encoded: EncodedSet) -> None:
    result = retrieval_result(ToyEncoder(), encoded, 3) | {"split": "hash:0/10", "trained_on": []}
    result["mean_recall"], result["intervals"]["mean_recall"] = 16.0, [14.5, 17.5]
    lines = comparison("rsicd", [measured(result, "rsicd", "a.json")]).splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ") and line[2] not in "-m"]
    means = [float(row[1].strip("*").split(" ")[0]) for row in rows]
    assert means == sorted(means)
    (own,) = [row for row in rows if "**" in row[0]]
    assert own[1] == "**16.00 [14.50, 17.50]**"
    assert own[8] == "no RSICD (zero-shot)"
    assert own[10] == "3 images, hash:0/10"
    assert {len(row) for row in rows} == {12}
    assert "toy: not on the official test half" in "\n".join(lines)


def test_a_model_that_learned_from_the_set_is_marked_so(encoded: EncodedSet) -> None:
    result = retrieval_result(ToyEncoder(), encoded, 3) | {"trained_on": ["RSICD training half"]}
    assert measured(result, "rsicd", "a.json").trained_on == "RSICD and more"
    assert measured(result, "ucm", "a.json").trained_on == "no UCM (zero-shot)"


def test_a_shipped_bundle_says_what_it_learned_from() -> None:
    told = provenance("mini")
    assert told["trained_on"]
    assert told["image_weights"] in ("none, from scratch", "ImageNet")


def test_what_a_model_without_a_bundle_learned_from_is_told_where_it_is_known(encoded: EncodedSet) -> None:
    assert "RSICD" in provenance("remoteclip-vit-l-14")["trained_on"]
    assert provenance("skyclip-vit-b-32")["trained_on"] == ["SkyScript"]
    assert provenance("clip:ViT-B-32/own.safetensors")["trained_on"] is None
    result = retrieval_result(ToyEncoder(), encoded, 3)
    assert result["trained_on"] is None
    assert measured(result, "rsicd", "a.json").trained_on == "not known"
    spain = result | {"trained_on": ["target: data/spain/captions.csv"]}
    assert measured(spain, "uc-spain", "a.json").trained_on == "UC-SPAIN and more"


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.json: is no result"):
        measured({"auroc": 1}, "rsicd", "a.json")
    for text in ("nothing", "[]"):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(UsageError, match=r"r\.json"):
            read_result(tmp_path / "r.json")


def test_the_report_tells_exact_equal_and_chance(encoded: EncodedSet) -> None:
    result = retrieval_result(ToyEncoder(), encoded, 5)
    text = recall_report(result)
    assert f"**{result['mean_recall']:.2f}** [" in text
    assert "over 3 images with 4 captions; 2 images skipped" in text
    assert "| text to image | 75.00 [" in text  # the red picture is called green once
    assert "| text to image, the same words count | 100.00" in text
    assert "| text to image, by chance | 33.33" in text


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_plot_is_a_file_of_its_kind(encoded: EncodedSet, suffix: str) -> None:
    data = plot_recall(encoded, "toy", suffix)
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert data.startswith(begins[suffix])
    if suffix == ".png":
        assert len(np.unique(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_best_and_worst_are_what_the_scores_say(encoded: EncodedSet) -> None:
    best, worst = best_and_worst(encoded, count=1, hits=3)
    asked = worst[0].caption
    assert (encoded.texts[asked], int(encoded.owner[asked]), worst[0].rank) == ("green", 0, 3)
    assert best[0].rank == 1
    assert best[0].found[0] == int(encoded.owner[best[0].caption])


def test_a_picture_is_shown_once_in_each_half(encoded: EncodedSet) -> None:
    for half in best_and_worst(encoded, count=5):
        owners = [int(encoded.owner[own.caption]) for own in half]
        assert sorted(owners) == [0, 1, 2]


def test_the_sheet_frames_what_is_right(encoded: EncodedSet, pictures: Pictures) -> None:
    sheet = np.asarray(Image.open(io.BytesIO(query_sheet(encoded, pictures, count=1, hits=3))))
    colours = {tuple(colour) for colour in np.unique(sheet.reshape(-1, 3), axis=0).tolist()}
    assert {(30, 140, 60), (215, 160, 20), (190, 190, 190), *COLOURS.values()} <= colours
    assert query_sheet(encoded, pictures, ".jpg").startswith(b"\xff\xd8")
