"""Splits: parts that never share a picture, the same for everybody, by name and by ground."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoanchor.errors import UsageError
from geoanchor.tiling import cell_at
from training.datasets import Captioned, read_captions
from training.datasets.split import SplitManifest, divide, read_manifest

NAMES = st.sets(st.text(min_size=1, max_size=12), min_size=1, max_size=60)


def items_of(names: set[str]) -> list[Captioned]:
    return [Captioned(image=name, captions=("x",)) for name in sorted(names)]


def parts_of(manifest: SplitManifest) -> list[set[str]]:
    return [set(names) for names in manifest.images.values()]


@given(NAMES)
def test_parts_are_disjoint_and_whole(names: set[str]) -> None:
    manifest = divide(items_of(names))
    assert sum(map(len, parts_of(manifest))) == len(names)
    assert set().union(*parts_of(manifest)) == names


@given(NAMES, NAMES)
def test_more_pictures_move_none(first: set[str], more: set[str]) -> None:
    small, large = divide(items_of(first)), divide(items_of(first | more))
    for part, names in small.images.items():
        assert set(names) <= set(large.images[part])


def test_shares_are_two_one_seven_and_validation_is_the_first_tenth() -> None:
    names = {f"{number}.jpg" for number in range(5000)}
    manifest = divide(items_of(names))
    sizes = {part: len(own) / len(names) for part, own in manifest.images.items()}
    assert sizes == pytest.approx({"validation": 0.1, "adapt": 0.2, "test": 0.7}, abs=0.02)
    tenth = {name for name in names if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0}
    assert set(manifest.images["validation"]) == tenth


@given(st.lists(st.tuples(st.floats(7, 9), st.floats(46, 48)), min_size=2, max_size=60))
def test_neighbours_stay_together(points: list[tuple[float, float]]) -> None:
    items = [Captioned(image=str(i), captions=("x",), lng=lng, lat=lat) for i, (lng, lat) in enumerate(points)]
    manifest = divide(items, "block")
    part_of = {name: part for part, names in manifest.images.items() for name in names}
    by_cell: dict[int, set[str]] = {}
    for item in items:
        by_cell.setdefault(cell_at(item.lng, item.lat, 6), set()).add(part_of[item.image])
    assert all(len(parts) == 1 for parts in by_cell.values())
    assert (manifest.by, manifest.resolution) == ("block", 6)


def test_a_picture_without_a_position_lies_in_no_block() -> None:
    with pytest.raises(UsageError, match=r"a\.jpg has no lng and lat"):
        divide(items_of({"a.jpg"}), "block")


def test_the_manifest_keeps_its_word_on_disk(tmp_path: Path) -> None:
    items = items_of({f"{number}.jpg" for number in range(50)})
    manifest = divide(items)
    path = tmp_path / "split.json"
    path.write_text(manifest.model_dump_json())
    assert read_manifest(path) == manifest
    (tmp_path / "c.json").write_text(json.dumps([{"image": item.image, "captions": ["x"]} for item in items]))
    chosen = {item.image for item in read_captions(tmp_path / "c.json", f"{path}:adapt")}
    assert chosen == set(manifest.images["adapt"])
    with pytest.raises(UsageError, match="no part 'train' in the split manifest"):
        read_captions(tmp_path / "c.json", f"{path}:train")


def test_a_manifest_with_a_picture_in_two_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    shares, images = {"adapt": 1, "test": 1}, {"adapt": ["a", "b"], "test": ["b"]}
    path.write_text(json.dumps({"by": "name", "shares": shares, "images": images}))
    with pytest.raises(UsageError, match="b is in 'adapt' and again in 'test'"):
        read_manifest(path)
    path.write_text("{}")
    with pytest.raises(UsageError, match="not a split manifest"):
        read_manifest(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_manifest(tmp_path / "none.json")


def test_a_manifest_of_other_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match=r"b\.jpg is not in the split manifest"):
        divide(items_of({"a.jpg"})).part(items_of({"a.jpg", "b.jpg"}), "test")


def test_hash_splits(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    names = [f"{number}.jpg" for number in range(200)]
    path.write_text(json.dumps([{"image": name, "captions": ["x"]} for name in names]))
    tenth = {item.image for item in read_captions(path, "hash:0/10")}
    rest = {item.image for item in read_captions(path, "hash:1-9/10")}
    assert tenth == {name for name in names if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0}
    assert tenth
    assert not tenth & rest
    assert tenth | rest == set(names)
    for bad in ("hash:10/10", "hash:3-1/10", "hash:a/b", "hash:0"):
        with pytest.raises(UsageError, match="a hash split is"):
            read_captions(path, bad)
