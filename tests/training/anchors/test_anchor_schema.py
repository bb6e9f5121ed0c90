"""Vocabularies, words and the record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.anchors.agreement import compare
from training.anchors.schema import (
    ATTRIBUTES,
    MAP_ATTRIBUTES,
    VOCABULARY,
    Anchor,
    Attributes,
    agreement,
    listing,
    sentence,
)  # fmt: skip

any_attributes = st.fixed_dictionaries({name: st.sampled_from(VOCABULARY[name]) for name in ATTRIBUTES}).map(
    Attributes.model_validate
)


def attributes(**changed: str) -> Attributes:
    plain = {
        "building_density": "low", "block_pattern": "dispersed", "dominant_building_size": "small",
        "roof_hint": "compound", "construction_state": "established", "building_shape": "rectangular",
        "building_arrangement": "scattered", "orientation_order": "aligned", "road_pattern": "grid",
        "junction_density": "low", "open_space": "dominant",
    }  # fmt: skip
    return Attributes.model_validate(plain | changed)


def anchor(id: str, **changed: str) -> Anchor:
    return Anchor(id=id, attributes=attributes(**changed), summary="", source="osm", annotator_version="1")


def test_order_of_the_vocabularies_is_the_index() -> None:
    assert len(ATTRIBUTES) == 11
    assert attributes().codes() == (2, 2, 2, 2, 1, 1, 3, 1, 3, 1, 3)


@given(any_attributes, st.text(max_size=8))
def test_sentences_are_short_and_say_nothing_twice(found: Attributes, tile: str) -> None:
    for branch in ("aerial", "map"):
        text = sentence(found, tile, branch)  # type: ignore[arg-type]
        assert len(text.split()) <= 40
        assert "unknown" not in text
        assert "none" not in text
        assert sentence(found, tile, branch) == text  # type: ignore[arg-type]


@given(any_attributes, st.text(max_size=8), st.floats(0, 1))
def test_water_is_told_last(found: Attributes, tile: str, share: float) -> None:
    dry, wet = sentence(found, tile), sentence(found, tile, water_share=share)
    assert wet.startswith(dry.removesuffix("."))
    assert len(wet.split()) <= 40
    words = "open water" if share >= 0.9 else "mostly water" if share >= 0.5 else "some water" if share >= 0.1 else ""
    assert wet == dry if not words else wet.endswith(f"{words}.")


def test_there_are_three_ways_to_say_it() -> None:
    assert len({sentence(attributes(), str(n)) for n in range(40)}) == 3


def test_the_map_side_is_told_only_what_a_map_shows() -> None:
    one, other = attributes(), attributes(roof_hint="courtyard", construction_state="mixed")
    for tile in map(str, range(12)):
        assert sentence(one, tile, "map") == sentence(other, tile, "map")
        assert sentence(one, tile) != sentence(other, tile)
    assert listing(one, "map") == listing(other, "map")
    assert "roof hint: compound" in listing(one)
    assert listing(one, "map").count(":") == len(MAP_ATTRIBUTES) == 9


def test_agreement_counts_equal_words() -> None:
    assert agreement(attributes(), attributes()) == 11
    assert agreement(attributes(), attributes(road_pattern="none", open_space="little")) == 9


def test_the_record_refuses_what_is_not_in_the_schema() -> None:
    with pytest.raises(ValidationError):
        attributes(road_pattern="spiral")
    with pytest.raises(ValidationError):
        Attributes.model_validate(attributes().model_dump() | {"colour": "red"})
    with pytest.raises(ValidationError, match="40 words"):
        Anchor(id="a", attributes=attributes(), summary="word " * 41, source="osm", annotator_version="1")


def test_kappa_is_what_is_left_beyond_chance() -> None:
    one = [anchor(str(n), road_pattern="grid" if n < 6 else "none") for n in range(10)]
    other = [anchor(str(n), road_pattern="grid" if n < 4 or n >= 8 else "none") for n in range(10)]
    found = compare(one, other)
    # Observed 0.6; by chance 0.6 * 0.6 + 0.4 * 0.4 = 0.52.
    assert found.accuracy["road_pattern"] == pytest.approx(0.6)
    assert found.kappa["road_pattern"] == pytest.approx((0.6 - 0.52) / 0.48)
    assert (found.accuracy["roof_hint"], found.kappa["roof_hint"]) == (1.0, None)
    assert found.markdown().count("\n") == 13
