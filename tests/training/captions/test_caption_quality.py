"""A caption is judged by what the map knows; what no map would miss must not be made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoanchor.errors import UsageError
from indexer.concepts import CONCEPTS
from training.captions.prompts import phrases, prompts_for, telling
from training.captions.quality import concepts_named, is_sentence, judge

TAGS = ("amenity=school", "building=yes", "highway=residential", "leisure=pitch", "sport=soccer", "waterway=river")
GOOD = "A school with several buildings stands by a river, and a football pitch lies beside the street in the north."


def test_a_caption_that_names_all_is_best() -> None:
    quality = judge(GOOD, TAGS)
    assert (quality.coverage, quality.support, quality.variety, quality.length) == (1.0, 1.0, 1.0, 1.0)
    assert quality.score == 1.0


def test_what_is_left_out_costs_by_its_weight() -> None:
    # Weights: school 8, river 8, football 5, building 3; the road (1.5) need not be named.
    quality = judge("a school with houses in it seen from far above in the middle of the whole picture", TAGS)
    assert quality.coverage == pytest.approx(11 / 24)


def test_what_no_map_would_miss_is_made_up() -> None:
    quality = judge("an airport and a stadium by a river", TAGS)
    assert quality.invented == ("airport", "stadium")
    assert quality.support == pytest.approx(1 / 3)
    assert judge("trees, grass, cars and a swimming pool by a river", TAGS).invented == ()


def test_kin_is_a_mistake_but_not_made_up() -> None:
    assert judge("a canal by a soccer field", TAGS).invented == ()
    assert judge("a lake", TAGS).invented == ("lake",)


def test_without_tags_nothing_is_held_against_it() -> None:
    quality = judge("an airport", ())
    assert (quality.coverage, quality.support, quality.invented) == (None, None, ())


def test_repetition_and_length_count() -> None:
    stuck = judge("the river " * 30, TAGS)
    assert stuck.variety < 0.05
    assert stuck.score < judge("the river", TAGS).score < judge(GOOD, TAGS).score
    assert judge("word " * 200, ()).length == 0.0


def test_suiting_the_picture_counts_where_it_is_known() -> None:
    assert judge(GOOD, TAGS, likeness=0.1).score < judge(GOOD, TAGS, likeness=0.9).score < 1.0


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("a green road", True),
        ("Several planes are parked near a long building, with a runway to the north.", True),
        ("a river", False),
        ("##x qz ##y 3r", False),
        ("the the the the the the the the", False),
        ("", False),
        ("Ġa ĉĉĉ ?? 12", False),
    ],
)
def test_nonsense_is_no_sentence(text: str, sound: bool) -> None:
    assert is_sentence(text) == sound


@given(st.text(max_size=300), st.lists(st.sampled_from(TAGS), max_size=6))
def test_any_text_gets_a_score(text: str, tags: list[str]) -> None:
    assert 0.0 <= judge(text, tags).score <= 1.0


def test_every_noun_is_found_again() -> None:
    for concept in CONCEPTS.values():
        noun = concept.nouns[0]
        assert concepts_named(f"there is {noun.plural if not noun.mass else noun.singular} here"), noun


def test_the_longest_noun_wins() -> None:
    assert concepts_named("two railway stations by a football field") == ("football pitch", "railway station")


def test_tags_become_words_the_weightiest_first_and_the_vague_left_out() -> None:
    assert telling(["natural=water", "water=river"]) == ["water=river"]
    assert phrases((*TAGS, "amenity=pub")) == ["school", "river", "football pitch", "building", "road", "pub"]
    assert len(phrases([f"shop=kind{n}" for n in range(40)])) == 12


def test_prompts_carry_the_tags_and_those_that_need_none_do_without() -> None:
    told = prompts_for("instruction")
    assert [prompt.needs_tags for prompt in told] == [False, True, True]
    assert "school, river" in told[1].words(TAGS)[0]
    begun = prompts_for("continuation", ("tags",))[0]
    assert begun.words(("waterway=river",)) == ("an aerial picture of river and", "river and")
    assert prompts_for("chat") == told
    with pytest.raises(UsageError, match="plain, map, known"):
        prompts_for("instruction", ("nope",))
