"""Rows of a finished index get other words, and its texts follow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import geoanchor
from geoanchor.errors import IndexLocked, SpaceMismatch
from geoanchor.manifest import read_manifest
from indexer.lock import writing
from indexer.upkeep import Words, rephrase
from models.bundle import load_bundle
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving


@pytest.fixture
def folder(tmp_path: Path, painted_index: Path) -> Path:
    return Path(shutil.copytree(painted_index, tmp_path / "own.index"))


def facts(folder: Path) -> list[dict[str, object]]:
    names = ["id", "caption", "tags", "thumbnail", "cell", *(f"vector_{s}" for s in LanceStore.open(folder).spaces)]
    return list(LanceStore.open(folder).columns(names).to_pylist())


def test_captions_and_tags_become_texts_and_nothing_else_changes(folder: Path) -> None:
    index = geoanchor.open(folder)
    red, blue = (index.search(colour, layer="aerial", k=1)[0].id for colour in ("red", "blue"))
    before = facts(folder)
    words = [Words(red, "a red place", ("colour=red",)), Words(blue, "a blue place"), Words("nobody", "x")]
    assert rephrase(folder, words, ToyEncoder(), LanceStore, derive_serving) == 2
    after = facts(folder)
    told = {row["id"]: (row["caption"], row["tags"]) for row in after}
    assert told.pop(red) == ("a red place", ["colour=red"])
    assert told.pop(blue) == ("a blue place", [])
    assert set(map(str, told.values())) == {"('', [])"}
    for row in (*before, *after):
        del row["caption"], row["tags"]
    assert after == before
    texts = LanceStore.open(folder).texts(["text", "kind", "count"]).to_pylist()
    assert sorted((row["kind"], row["text"], row["count"]) for row in texts) == [
        ("caption", "a blue place", 1), ("caption", "a red place", 1), ("tag", "red", 1)
    ]  # fmt: skip
    assert read_manifest(folder).texts == 3
    index = geoanchor.open(folder)
    for id_, colour in ((red, "red"), (blue, "blue")):
        assert colour in index.describe(index.thumbnails([id_])[id_])[0].text


def test_again_with_the_same_words_and_then_with_others(folder: Path) -> None:
    id_ = str(facts(folder)[0]["id"])
    for caption in ("a red place", "a red place", "a blue place"):
        assert rephrase(folder, [Words(id_, caption)], ToyEncoder(), LanceStore, derive_serving) == 1
    assert [row["text"] for row in LanceStore.open(folder).texts(["text"]).to_pylist()] == ["a blue place"]


def test_refused_while_another_writes_and_by_another_model(folder: Path) -> None:
    words = [Words(str(facts(folder)[0]["id"]), "a red place")]
    with writing(folder), pytest.raises(IndexLocked):
        rephrase(folder, words, ToyEncoder(), LanceStore, derive_serving)
    with pytest.raises(SpaceMismatch):
        rephrase(folder, words, load_bundle("mini"), LanceStore, derive_serving)
    assert all(row["caption"] == "" for row in facts(folder))


def test_a_kill_on_the_way_leaves_an_index_that_answers_and_can_be_told_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [Words(str(facts(folder)[0]["id"]), "a red place")]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("indexer.upkeep.refresh_texts", killed)
        with pytest.raises(KeyboardInterrupt):
            rephrase(folder, words, ToyEncoder(), LanceStore, derive_serving)
    assert len(geoanchor.open(folder).search("red", k=3)) == 3
    rephrase(folder, words, ToyEncoder(), LanceStore, derive_serving)
    assert geoanchor.open(folder).describe(geoanchor.open(folder).thumbnails([words[0].id])[words[0].id])
