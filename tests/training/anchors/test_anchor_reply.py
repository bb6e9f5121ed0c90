"""A model's answers: how they are read, mended and remembered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_anchor_schema import anchor, attributes

from geoanchor.image import Pixels
from training.anchors.qwen import Message, PairAnnotator, usable
from training.anchors.reply import first_object, read_reply, unfit_words
from training.anchors.schema import Anchor
from training.memory import key_of

PICTURE = np.zeros((28, 28, 3), np.uint8)
MAP = PICTURE + np.uint8(9)


def answer(summary: str = "low houses in rows", **changed: str) -> str:
    side = attributes().model_dump()
    return json.dumps({"aerial": side | changed, "map": side, "agreement": 11, "summary": summary})


class Scripted:
    name = "scripted"

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[list[Message], float]] = []

    def reply(self, messages: Sequence[Message], pictures: Sequence[Pixels], temperature: float) -> str:
        assert [p.shape for p in pictures] == [PICTURE.shape, MAP.shape]
        self.asked.append((list(messages), temperature))
        return self.replies[min(len(self.asked), len(self.replies)) - 1]


def run(script: Scripted, folder: Path) -> Anchor:
    return PairAnnotator(script, folder).annotate(PICTURE, MAP, "t", lambda: anchor("t", open_space="little"))


def test_braces_in_strings_and_words_around_do_not_matter() -> None:
    assert json.loads(first_object('Sure: ```{"a": "}{", "b": {"c": "\\"}"}} and } more')) == {
        "a": "}{",
        "b": {"c": '"}'},
    }
    for text in ("nothing", '{"a": 1', "}"):
        with pytest.raises(ValueError):
            first_object(text)


def test_spelling_is_forgiven() -> None:
    text = answer(building_density="Very Low", block_pattern="grid", building_arrangement="Row-Houses")
    found = read_reply(f"Here it is:\n{text}").aerial
    assert (found.building_density, found.block_pattern, found.building_arrangement) == (
        "very_low", "grid_blocks", "attached_rows",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no idea", "no JSON"),
        ("{'aerial': 1}", "no valid JSON"),
        (answer(building_density="gigantic"), "aerial.building_density"),
        (answer(colour="x"), "aerial.colour"),
        (answer("word " * 41), "40 words"),
        ('{"aerial": 3}', "map: Field required"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_reply(text)


def test_words_that_a_summary_must_not_use() -> None:
    assert unfit_words("red roofs cast shadows near Main street") == ["red", "shadows", "Main"]
    assert unfit_words("Low houses, l shaped. Grid of roads") == []


def test_a_valid_answer_is_taken_at_once(tmp_path: Path) -> None:
    script = Scripted(answer(open_space="little"))
    made = run(script, tmp_path)
    assert (made.source, made.retries, made.metrics, len(script.asked)) == ("qwen", 0, {"agreement": 10.0}, 1)
    assert made.attributes.open_space == "little"
    assert usable(made)


def test_pairs_that_differ_are_told(tmp_path: Path) -> None:
    made = run(Scripted(answer(open_space="little", road_pattern="none", roof_hint="unknown")), tmp_path)
    assert made.metrics["agreement"] == 8.0
    assert not usable(made)


def test_errors_go_back_as_a_turn(tmp_path: Path) -> None:
    script = Scripted(answer(open_space="huge"), answer())
    made = run(script, tmp_path)
    assert (made.source, made.retries) == ("qwen", 1)
    *_, said, asked = script.asked[1][0]
    assert said == {"role": "assistant", "content": [{"type": "text", "text": answer(open_space="huge")}]}
    assert "aerial.open_space" in asked["content"][0]["text"]


def test_after_three_repairs_one_try_with_chance_then_geometry(tmp_path: Path) -> None:
    script = Scripted("no")
    made = run(script, tmp_path)
    assert [temperature for _, temperature in script.asked] == [0.0, 0.0, 0.0, 0.0, 0.2]
    assert (made.source, made.retries, made.attributes.open_space) == ("osm_fallback", 4, "little")


def test_unfit_words_get_one_turn_then_our_own_sentence(tmp_path: Path) -> None:
    mended = run(Scripted(answer("red houses"), answer("low houses")), tmp_path / "a")
    assert (mended.summary, mended.retries) == ("low houses", 1)
    script = Scripted(answer("red houses"))
    stubborn = run(script, tmp_path / "b")
    assert (len(script.asked), stubborn.retries, stubborn.source) == (2, 1, "qwen")
    assert "red" not in stubborn.summary.split()


def test_a_valid_answer_stands_when_only_its_wording_could_not_be_mended(tmp_path: Path) -> None:
    made = run(Scripted(answer("red houses", open_space="little"), "no", "no", "no", "no"), tmp_path)
    assert (made.source, made.attributes.open_space) == ("qwen", "little")
    assert "red" not in made.summary.split()


def test_a_pair_is_asked_about_once(tmp_path: Path) -> None:
    first, second = Scripted(answer()), Scripted("no")
    assert run(first, tmp_path) == run(second, tmp_path)
    assert (len(first.asked), len(second.asked)) == (1, 0)
    keys = {key_of(PICTURE, MAP, "m"), key_of(MAP, PICTURE, "m"), key_of(PICTURE, MAP, "n")}
    assert len(keys) == 3
    file = next(tmp_path.rglob("*.json"))
    file.write_text("torn")
    run(second, tmp_path)
    assert len(second.asked) == 5
