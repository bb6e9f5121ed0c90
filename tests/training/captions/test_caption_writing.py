"""Captions of many pictures: the best prompt is kept, answers are remembered, what fails falls back on the tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import shapely
from PIL import Image

from geoanchor.errors import BadInput, UsageError
from geoanchor.feature import Feature
from geoanchor.image import Pixels
from geoanchor.tiling import Tile
from indexer.featurestore import FeatureStore
from indexer.sources.registry import SourceOptions, open_source
from models.toy import ToyEncoder
from training.captions.prompts import prompts_for
from training.captions.records import summary, write_file
from training.captions.subjects import Subject, Wording, features_of, subjects_of
from training.captions.write import Answer, Asking, write_captions, write_templates
from training.datasets import read_captions
from training.memory import Memory, key_of

TAGS = ("waterway=river",)
GOOD = "The picture shows a wide river with trees on both sides and some fields further to the north."
POOR = "The picture shows a stadium with many cars around it and a long road to the north of it all."


class Scripted:
    """Answers by prompt; raises while there are more than `most` pictures at once, and always on `bad` ones."""

    name, weights = "scripted", "w1"
    form: Literal["instruction", "chat", "continuation"] = "instruction"

    def __init__(self, answer: Callable[[str], str], most: int = 99, bad: int = -1) -> None:
        self.answer, self.most, self.bad = answer, most, bad
        self.calls: list[int] = []

    def caption(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str]:
        self.calls.append(len(pictures))
        if len(pictures) > self.most or any(int(picture[0, 0, 0]) == self.bad for picture in pictures):
            raise RuntimeError("CUDA out of memory")
        return [self.answer(prompt) for prompt in prompts]


def subject(number: int, tags: tuple[str, ...] = TAGS, texts: tuple[str, ...] = ("a river",)) -> Subject:
    return Subject(
        f"{number}.png", f"row/{number}", "aerial", tags, texts, lambda: np.full((8, 8, 3), number, np.uint8)
    )


def by_prompt(prompt: str) -> str:
    return GOOD if "map of this place" in prompt else POOR


def asking(model: Scripted, folder: Path) -> Asking:
    return Asking(model, prompts_for("instruction"), Memory(folder, Answer), batch_size=4)


def run(model: Scripted, folder: Path, subjects: Sequence[Subject], bad: list[BadInput] | None = None):  # type: ignore[no-untyped-def]
    return write_captions(subjects, asking(model, folder), None, ([] if bad is None else bad).append, lambda _: None)


def test_the_best_prompt_is_kept(tmp_path: Path) -> None:
    written = run(Scripted(by_prompt), tmp_path, [subject(n) for n in range(5)])
    assert [item.captions for item in written] == [(GOOD,)] * 5
    assert {(item.by, item.prompt) for item in written} == {("scripted", "map")}
    figures = summary(written)
    assert [(row["prompt"], row["kept"]) for row in figures["prompts"]] == [("known", 0), ("map", 5), ("plain", 0)]
    assert figures["by"] == {"scripted": 5}


def test_a_second_run_asks_nothing_and_other_weights_ask_again(tmp_path: Path) -> None:
    first, second, other = Scripted(by_prompt), Scripted(by_prompt), Scripted(by_prompt)
    subjects = [subject(n) for n in range(6)]
    told = [item.captions for item in run(first, tmp_path, subjects)]
    assert [item.captions for item in run(second, tmp_path, subjects)] == told
    assert (sum(first.calls), second.calls) == (18, [])
    other.weights = "w2"
    run(other, tmp_path, subjects)
    assert sum(other.calls) == 18


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    class Stopped(Scripted):
        def caption(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str]:
            if len(self.calls) == 4:
                raise KeyboardInterrupt
            return super().caption(pictures, prompts)

    subjects = [subject(n) for n in range(8)]
    with pytest.raises(KeyboardInterrupt):
        run(Stopped(by_prompt), tmp_path, subjects)
    model = Scripted(by_prompt)
    assert len(run(model, tmp_path, subjects)) == 8
    assert sum(model.calls) == 24 - 16


def test_a_batch_too_large_is_halved_and_the_picture_that_fails_gets_its_tags(tmp_path: Path) -> None:
    model = Scripted(by_prompt, most=2, bad=3)
    written = run(model, tmp_path, [subject(n) for n in range(4)])
    assert [item.by for item in written] == ["scripted"] * 3 + ["templates"]
    assert written[3].captions == ("a river",)
    again = Scripted(by_prompt)
    assert [item.by for item in run(again, tmp_path, [subject(n) for n in range(4)])] == ["scripted"] * 4
    assert sum(again.calls) == 3  # a failure is not remembered


def test_nonsense_falls_back_and_where_nothing_is_known_it_is_said(tmp_path: Path) -> None:
    bad: list[BadInput] = []
    written = run(Scripted(lambda _: "zz zz zz"), tmp_path, [subject(0), subject(1, (), ())], bad)
    assert [item.captions for item in written] == [("a river",)]
    assert [item.where for item in bad] == ["1.png"]


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    def torn() -> Pixels:
        raise BadInput("9.png", "is damaged")

    bad: list[BadInput] = []
    broken = Subject("9.png", "row/9", "aerial", TAGS, ("a river",), torn)
    assert len(run(Scripted(by_prompt), tmp_path, [broken, subject(1)], bad)) == 1
    assert bad[0].reason == "is damaged"


def test_without_tags_only_the_plain_prompt_is_put(tmp_path: Path) -> None:
    model = Scripted(by_prompt)
    (item,) = run(model, tmp_path, [subject(0, ())])
    assert (list(item.variants), model.calls) == (["plain"], [1])


def test_an_encoder_prefers_what_suits_the_picture(tmp_path: Path) -> None:
    def red(_: str) -> str:
        return "a red place with nothing else to be seen on it in any part of the picture at all"

    def painted(number: int, colour: tuple[int, int, int]) -> Subject:
        pixels = np.full((16, 16, 3), colour, np.uint8)
        return Subject(f"{number}", f"{number}", "aerial", (), (), lambda: pixels)

    subjects = [painted(0, (205, 25, 20)), painted(1, (20, 35, 200))]
    model = Scripted(red)
    written = write_captions(subjects, asking(model, tmp_path), ToyEncoder(), [].append, lambda _: None)
    first, second = (item.quality.likeness for item in written)
    assert first is not None
    assert second is not None
    assert first > 0.5 > second


def test_the_file_is_one_that_everything_reads(tmp_path: Path) -> None:
    written = write_templates([subject(0, texts=("a river", "the river")), subject(1, (), ())], [].append)
    write_file(written, tmp_path / "sub" / "c.json")
    (item,) = read_captions(tmp_path / "sub" / "c.json")
    assert (item.image, item.captions) == ("0.png", ("a river", "the river"))
    with pytest.raises(UsageError, match="cannot be written"):
        write_file(written, tmp_path)


def test_georeferenced_pictures_are_told_by_the_vectors_below_them(tmp_path: Path) -> None:
    tile = Tile(17, 68236, 47794)
    west, south, east, north = tile.bounds
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    step = ((east - west) / 64, (north - south) / 64)
    (tmp_path / "a.pgw").write_text(
        f"{step[0]}\n0\n0\n{-step[1]}\n{west + step[0] / 2}\n{north - step[1] / 2}\n", "utf-8"
    )
    river = Feature("r", shapely.LineString([(west, south), (east, north)]), {"waterway": "river"})
    source = open_source(str(tmp_path), SourceOptions())
    told = list(subjects_of(source, FeatureStore([river]), Wording(count=2), [].append))
    assert [(item.name, item.tags, len(item.texts)) for item in told] == [("a.png", TAGS, 2), ("b.png", (), 0)]
    assert "river" in told[0].texts[0]
    assert told[0].read().shape == (64, 64, 3)
    with pytest.raises(UsageError, match="holds no vectors"):
        features_of(source)


def test_two_may_keep_the_same_answer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Memory(tmp_path, Answer) for _ in range(2))
    write = Path.write_text

    def interrupted(self: Path, *what: str) -> int:
        monkeypatch.undo()
        written = write(self, *what)
        second.keep("key", Answer(text="a river"))
        return written

    monkeypatch.setattr(Path, "write_text", interrupted)
    first.keep("key", Answer(text="a road"))
    assert first.find("key") == Answer(text="a road")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["key.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["ke"]


def test_a_memory_survives_torn_files_and_tells_inputs_apart(tmp_path: Path) -> None:
    memory = Memory(tmp_path, Answer)
    keys = {
        key_of("ab", "c"),
        key_of("a", "bc"),
        key_of(np.zeros((2, 1, 3), np.uint8)),
        key_of(np.zeros((1, 2, 3), np.uint8)),
    }
    assert len(keys) == 4
    key = keys.pop()
    memory.keep(key, Answer(text="a road"))
    assert memory.find(key) == Answer(text="a road")
    next(tmp_path.rglob("*.json")).write_text("{torn")
    assert memory.find(key) is None
