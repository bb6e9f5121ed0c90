"""What counts as right, wrong and beyond telling."""

from __future__ import annotations

import numpy as np

from geoanchor.words import stems
from indexer.concepts import CONCEPTS
from training.relevance.cases import cases_of
from training.relevance.galleries import Gallery
from training.relevance.truth import MAYBE_CALLED, THINGS, caption_shows, concept_shows, tells


def shows(thing: str, captions: str, scene: str = "park") -> bool | None:
    return caption_shows(THINGS[thing], stems(captions), scene)


def test_captions_show_what_they_name_and_may_show_what_goes_with_it() -> None:
    assert shows("airplanes", "several planes on the ground") is True
    assert shows("airplanes", "a long runway") is None
    assert shows("airplanes", "a forest") is False
    assert shows("stadium", "a forest", scene="stadium") is True
    assert shows("tall buildings", "many tall white buildings") is True
    assert shows("tall buildings", "tall trees") is False
    assert tells(THINGS["river"], "Many trees by the river.")
    assert not tells(THINGS["river"], "Many trees.")


def test_the_tables_are_of_stems_scenes_and_concepts() -> None:
    for thing in THINGS.values():
        for word in frozenset().union(thing.doubtful, *thing.names):
            assert stems(word) == {word} or word == thing.scene, (thing.text, word)
    assert frozenset().union(*MAYBE_CALLED) <= set(CONCEPTS)


def test_concepts_that_overlap_are_beyond_telling() -> None:
    assert concept_shows(frozenset({"house", "detached"}), frozenset({"detached", "road"})) is True
    assert concept_shows(frozenset({"detached"}), frozenset({"house"})) is None
    assert concept_shows(frozenset({"stadium"}), frozenset({"house"})) is False


def test_a_hundred_questions_to_captions_each_without_what_nobody_can_tell() -> None:
    scenes = sorted({thing.scene for thing in THINGS.values() if thing.scene})
    names = {thing.scene: thing.text for thing in THINGS.values()}
    n = 20 * len(scenes)
    said = [(f"view {row} of the {names[scenes[row % len(scenes)]]} .",) for row in range(n)]
    kinds = [frozenset({scenes[row % len(scenes)]}) for row in range(n)]
    empty = [()] * n, [""] * n
    gallery = Gallery("rsicd", [str(row) for row in range(n)], *empty, kinds, said, np.zeros((n, 2)))
    cases = cases_of(gallery)
    assert [case.answerable for case in cases] == [True, False] * 100
    assert len({case.text for case in cases}) == 100
    viaduct = cases[[case.text for case in cases].index("viaduct")]
    doubtful = [row for row in range(n) if "bridge" in said[row][0]]
    assert doubtful
    assert not viaduct.keep[doubtful].any()
