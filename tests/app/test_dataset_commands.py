"""The dataset commands and the whole of `evaluate retrieval` and `evaluate table`, on files that users have."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from commandline import run
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (250, 250, 250)}


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """captions.json and images.tar of twelve pictures of four colours, in Karpathy's JSON and in a plain list."""
    monkeypatch.chdir(tmp_path)
    plain, karpathy = [], []
    with tarfile.open("images.tar", "w") as tar:
        for number in range(12):
            colour = list(COLOURS)[number % 4]
            buffer = io.BytesIO()
            Image.new("RGB", (16, 16), COLOURS[colour]).save(buffer, "PNG")
            info = tarfile.TarInfo(f"{colour}_{number}.png")
            info.size = len(buffer.getvalue())
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
            split = "test" if number < 4 else "train"
            plain.append({"image": info.name, "captions": [f"a {colour} field", colour], "split": split})
            karpathy.append({"filename": info.name, "split": split, "sentences": [{"raw": colour}]})
    Path("captions.json").write_text(json.dumps(plain))
    Path("karpathy.json").write_text(json.dumps({"images": karpathy}))
    return tmp_path


RETRIEVAL = ("evaluate", "retrieval", "--images", "images.tar", "--model", "toy", "--captions")


@pytest.mark.usefixtures("colours")
def test_json_keeps_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *RETRIEVAL, "captions.json", "--split", "test", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["text_to_image"] == result["image_to_text"] == {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0}
    assert (result["mean_recall"], result["images"], result["captions"], result["split"]) == (100.0, 4, 8, "test")
    assert result["text_equivalent"]["mean_recall"] == 100.0


@pytest.mark.usefixtures("colours")
def test_equal_colours_are_told_apart_only_by_chance(capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(run(capsys, *RETRIEVAL, "karpathy.json", "--json")[1])
    assert result["text_to_image"]["R@1"] == pytest.approx(33.33)
    assert result["text_equivalent"]["text_to_image"]["R@1"] == 100.0
    assert result["ties"] == "expected recall under random tie-breaking"


def test_report_plot_and_picture(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("--markdown", "out/r.md", "--plot", "out/r.svg", "--picture", "out/r.png")
    code, out, err = run(capsys, *RETRIEVAL, "captions.json", *files)
    assert code == 0, err
    assert "mean_recall: " in out
    assert (colours / "out" / "r.md").read_text("utf-8").startswith("# Retrieval: toy")
    assert (colours / "out" / "r.svg").read_bytes().startswith(b"<?xml")
    assert Image.open(colours / "out" / "r.png").width > 800


@pytest.mark.usefixtures("colours")
def test_hash_and_manifest_splits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dataset", "split", "captions.json", "split.json")[0] == 0
    manifest = json.loads(Path("split.json").read_text())
    assert sum(map(len, manifest["images"].values())) == 12
    sizes = [
        json.loads(run(capsys, *RETRIEVAL, "captions.json", "--split", split, "--json")[1])["images"]
        for split in ("hash:0-4/10", "hash:5-9/10")
    ]
    assert sum(sizes) == 12
    result = json.loads(run(capsys, *RETRIEVAL, "captions.json", "--split", "split.json:test", "--json")[1])
    assert result["images"] == len(manifest["images"]["test"])


@pytest.mark.usefixtures("colours")
def test_our_rows_stand_beside_published_ones(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, *RETRIEVAL, "captions.json", "--json")
    Path("toy.json").write_text(out)
    code, out, _ = run(capsys, "evaluate", "table", "--dataset", "rsitmd", "--result", "toy.json")
    assert code == 0
    assert out.startswith("# RSITMD")
    assert "| **toy** | **" in out
    assert "| AMFMN | 29.01 |" in out
    now = ("--images", "images.tar", "--captions", "captions.json", "--split", "test", "--model", "toy")
    code, out, _ = run(capsys, "evaluate", "table", *now)
    assert code == 0
    assert "4 images, test" in out


@pytest.mark.usefixtures("colours")
def test_a_set_overlaps_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "dataset", "overlap", "captions.json", "karpathy.json", "--splits", "train", "test",
        "--images", "images.tar", "images.tar", "--drop", "drop.txt", "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert (found["images"], found["shared_captions"]) == ([8, 4], 8)
    dropped = Path("drop.txt").read_text().split()
    assert found["drop"] == len(dropped) == 8
    assert run(capsys, "dataset", "split", "captions.json", "rest.json", "--without", "drop.txt")[0] == 0
    left = {name for names in json.loads(Path("rest.json").read_text())["images"].values() for name in names}
    assert len(left) == 4
    assert not left & set(dropped)
    # As an editor of another system saves it, with a name that is of no picture.
    Path("drop.txt").write_text("\ufeff" + " \r\n".join([*dropped, "nix.jpg"]), "utf-8")
    code, _, said = run(capsys, "dataset", "split", "captions.json", "rest.json", "--without", "drop.txt")
    assert code == 0
    assert {name for names in json.loads(Path("rest.json").read_text())["images"].values() for name in names} == left
    assert "drop.txt: 1 of its names are of no picture in captions.json, 'nix.jpg' for one" in said
    code, out, _ = run(capsys, "dataset", "overlap", "captions.json", "karpathy.json")
    assert code == 0
    assert "shared captions: 12" in out
    assert "candidates" not in out


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*RETRIEVAL, "captions.json", "--plot", "r.gif"), "r.gif: the name of such a file ends in .png, .svg or .pdf"),
        ((*RETRIEVAL, "images.tar"), "in a format that is known"),
        ((*RETRIEVAL, "captions.json", "--split", "val"), "splits in it: test, train"),
        (("evaluate", "table", "--dataset", "none"), "no published figures of 'none'"),
        (("evaluate", "table", "--images", "images.tar"), "--images and --captions belong together"),
        (("dataset", "overlap", "captions.json", "captions.json", "--drop", "d"), "--drop needs --images"),
        (("dataset", "split", "captions.json", "s.json", "--by", "block"), "has no lng and lat"),
        (("dataset", "split", "captions.json", "s.json", "--without", "none.txt"), "none.txt: cannot be read"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
