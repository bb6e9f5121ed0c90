"""Captions in every format that the field uses, as small files of those formats; bad ones are told what is wrong."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest
from PIL import Image

from geoanchor.errors import BadInput, UsageError
from training.datasets import Captioned, Pictures, read_captions
from training.datasets import pictures as pictures_module

EXPECTED = {
    "a_1.jpg": ("train", ("a river .", "a wide river")),
    "b_2.jpg": ("test", ("two ships, one red", 'a "port"')),
}


def facts(items: list[Captioned]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    return {item.image: (item.split, item.captions) for item in items}


def write_plain(folder: Path) -> Path:
    items = [{"image": name, "captions": told, "split": split} for name, (split, told) in EXPECTED.items()]
    path = folder / "captions.json"
    path.write_text("\ufeff" + json.dumps(items), "utf-8")
    return path


def write_karpathy(folder: Path) -> Path:
    images = [
        {
            "filename": name, "imgid": number, "split": split, "sentids": [0, 1],
            "sentences": [{"raw": raw, "tokens": raw.split(), "imgid": number, "sentid": 0} for raw in told],
        }
        for number, (name, (split, told)) in enumerate(EXPECTED.items())
    ]  # fmt: skip
    path = folder / "dataset_rsicd.json"
    path.write_text(json.dumps({"images": images, "dataset": "rsicd"}))
    return path


def write_lists(folder: Path, names_each: int) -> Path:
    for name, (split, told) in EXPECTED.items():
        (folder / f"{split}_caps.txt").write_text("\n".join(told) + "\n")
        (folder / f"{split}_filename.txt").write_text("\n".join([f"b'{name}'"] * names_each) + "\n")
    return folder


def write_table(folder: Path, header: tuple[str, str], delimiter: str) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["number", *header, "split"])
        for name, (split, told) in EXPECTED.items():
            writer.writerows([7, name, text, split] for text in told)
    return path


def write_urbancross(folder: Path) -> Path:
    """A table without splits and a list of names beside it for each."""
    path = folder / "dataset_rsicd.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_name", "description"])
        for name, (split, told) in EXPECTED.items():
            writer.writerows([name, text] for text in told)
            (folder / f"{split}_list.txt").write_text(f"{name}\n")
    return path


@pytest.mark.parametrize(
    "write",
    [
        write_plain,
        write_karpathy,
        write_urbancross,
        lambda folder: write_lists(folder, 1),
        lambda folder: write_lists(folder, 2),
        lambda folder: write_table(folder, ("filepath", "title"), ","),
        lambda folder: write_table(folder, ("image", "text"), ","),
        lambda folder: write_table(folder, ("Image_Name", "Description"), "\t"),
    ],
    ids=["plain", "karpathy", "urbancross", "lists-each-image", "lists-each-caption", "skyscript", "image-text", "tsv"],
)
def test_every_format_tells_the_same(tmp_path: Path, write) -> None:
    path = write(tmp_path)
    assert facts(read_captions(path)) == EXPECTED
    assert [item.image for item in read_captions(path, "test")] == ["b_2.jpg"]


def test_one_list_by_itself(tmp_path: Path) -> None:
    write_lists(tmp_path, 1)
    assert facts(read_captions(tmp_path / "test_caps.txt")) == {"b_2.jpg": EXPECTED["b_2.jpg"]}


def test_verified_lists_go_before_those_that_hold_validation_too(tmp_path: Path) -> None:
    for name, images in (("train_{}", "ab"), ("train_{}_verify", "a"), ("val_{}_verify", "b")):
        (tmp_path / f"{name.format('caps')}.txt").write_text("".join(f"a {image}\n" for image in images))
        (tmp_path / f"{name.format('filename')}.txt").write_text("".join(f"{image}.jpg\n" for image in images))
    assert facts(read_captions(tmp_path)) == {"a.jpg": ("train", ("a a",)), "b.jpg": ("val", ("a b",))}


def test_blank_captions_are_left_out_and_other_facts_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('[{"image": "a", "captions": ["", " ", "a lake"], "class": "Lake", "lng": 8.5, "lat": 47, "x": 1}]')
    (item,) = read_captions(path)
    assert (item.captions, item.scene, item.lng, item.lat) == (("a lake",), "Lake", 8.5, 47.0)
    path = tmp_path / "c.csv"
    path.write_text("filepath,title,lon,lat\na.jpg,a lake,8.5,47\nb.jpg,,8.5,47\n")
    assert [(item.image, item.lng) for item in read_captions(path)] == [("a.jpg", 8.5)]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("x.txt", "hello\nworld\n", "not a list of captions in a format that is known: a JSON list"),
        ("x.csv", "a,b\n1,2\n", "in a format that is known"),
        ("x.bin", "\x00\x01", "in a format that is known"),
        ("x.json", '{"pictures": []}', "images: Field required"),
        ("x.json", '{"images": [{"filename": "a", "sentences": []}]}', "captions"),
        ("x.csv", "filepath,title\na.jpg\n", r"line 2: has 1 fields, fewer than the header"),
        ("x.csv", "filepath,title,lat\na.jpg,a sea,95\n", r"line 2: lat"),
        ("x.csv", "filepath,title\n,a sea\n", r"line 2: image"),
        ("x.csv", "filepath,title,split\na.jpg,a sea,train\na.jpg,a sea,test\n", "a.jpg is in two splits"),
        ("test_caps.txt", "one\ntwo\nthree\n", "test_filename.txt: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_captions(tmp_path / name)


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "test_caps.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "test_filename.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(UsageError, match="3 captions, which 2 names in test_filename"):
        read_captions(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no lists of captions"):
        read_captions(tmp_path / "empty")


def test_a_name_in_two_lists_is_refused(tmp_path: Path) -> None:
    path = write_urbancross(tmp_path)
    (tmp_path / "val_list.txt").write_text("a_1.jpg\n")
    with pytest.raises(UsageError, match=r"a_1\.jpg is in train_list\.txt as well"):
        read_captions(path)


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, files: dict[str, bytes], link: tuple[str, str] | None = None, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_finds_a_picture_by_its_path_or_the_only_end_of_one(tmp_path: Path, mode: str) -> None:
    files = {"./a.png": png("red"), "deep/b.png": png("lime"), "x/c.png": png("blue"), "y/c.png": png("red")}
    pictures = Pictures(write_tar(tmp_path / "p.tar", files, mode=mode))
    assert pictures.read("a.png")[0, 0].tolist() == [255, 0, 0]
    assert pictures.read("b.png")[0, 0].tolist() == [0, 255, 0]
    assert pictures.read("x/c.png")[0, 0].tolist() == [0, 0, 255]
    for name in ("c.png", "other/b.png", "none.png", "../a.png"):
        with pytest.raises(BadInput, match="no such picture"):
            pictures.read(name)


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png("red"))
    pictures = Pictures(write_tar(tmp_path / "p.tar", {}, ("a.png", str(tmp_path / "secret.png"))))
    with pytest.raises(BadInput, match="no such picture"):
        pictures.read("a.png")


def test_files_beyond_the_bound_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_module, "_MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(png("red"))
    tar = write_tar(tmp_path / "p.tar", {"a.png": png("red")})
    for source in (tmp_path, tar):
        with pytest.raises(BadInput, match="bytes, more than any picture"):
            Pictures(source).read("a.png")


def test_a_folder_is_not_left_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(png("red"))
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadInput, match="outside"):
        Pictures(tmp_path / "in").read("a.png")


def test_a_damaged_tar_says_so(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "p.tar", {"a.png": png("red"), "b.png": png("red")}, mode="w:gz")
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:60])
    with pytest.raises(UsageError, match="nor a tar file"):
        Pictures(tmp_path / "cut.tar")


def test_the_real_set_reads_as_its_readme_says(shared_data: Path) -> None:
    items = read_captions(shared_data / "rsicd" / "captions.json")
    assert (len(items), sum(len(item.captions) for item in items), len({item.scene for item in items})) == (
        8973, 44865, 30,
    )  # fmt: skip


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_picture_is_found_in_whichever_way_unicode_writes_its_name(
    tmp_path: Path, on_disk: Literal["NFC", "NFD"], in_list: Literal["NFC", "NFD"]
) -> None:
    Image.new("RGB", (4, 3), (1, 2, 3)).save(tmp_path / normalize(on_disk, "Grün.png"))
    assert Pictures(tmp_path).read(normalize(in_list, "Grün.png")).shape == (3, 4, 3)
