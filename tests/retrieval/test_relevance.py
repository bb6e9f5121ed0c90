"""Probabilities, the verdict, what is hidden, and calibrations that do not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import geoanchor
from geoanchor.errors import BadInput
from geoanchor.query import Query
from geoanchor.words import stems, tag_phrase
from retrieval.calibration import (
    FEATURES,
    UNFITTED,
    Calibration,
    Domain,
    Judge,
    Kind,
    Model,
    packed,
    read_calibration,
    unpacked,
)
from retrieval.relevance import Asked, Evidence, Relevance
from retrieval.serving import Serving


def test_what_stands_out_is_likelier_and_the_page_stays_as_it_was(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    hits = index.search("red", layer="aerial", k=16)
    likely = [hit.why["probability"] for hit in hits]
    assert likely == sorted(likely, reverse=True)
    assert likely[0] > 0.5 > likely[4]
    assert hits.answer.verdict == "found"
    assert (hits.answer.hidden, hits.answer.nearest) == (0, ())
    assert [hit.rank for hit in hits] == list(range(1, 17))


def test_improbable_hits_are_hidden_when_asked_and_counted(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    everything = index.search("red", layer="aerial", k=16)
    least = everything[0].why["probability"]
    few = index.search("red", layer="aerial", k=16, min_probability=least)
    assert [hit.id for hit in few] == [hit.id for hit in everything if hit.why["probability"] >= least]
    assert few.answer.hidden == 16 - len(few)
    assert few.answer.hidden_why == {"improbable": 16 - len(few)}
    assert few.total == 16


def test_nothing_matches_tells_the_nearest_misses(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    tile = next(hit for hit in index.search("blue", layer="aerial", k=1))
    assert tile.lng is not None
    assert tile.lat is not None
    nothing = index.search("red", layer="aerial", near=(tile.lat, tile.lng, 10.0), k=5, min_probability=0.5)
    assert nothing.answer.verdict == "nothing"
    assert len(nothing) == 0
    assert [hit.id for hit in nothing.answer.nearest] == [tile.id]
    assert nothing.answer.hidden == 1
    assert index.search("red", within=(0.0, 0.0, 1.0, 1.0)).answer.verdict == "nothing"
    far = index.search("red", layer="aerial", near=(tile.lat, tile.lng, 10.0), offset=1)
    assert far.answer.verdict == "nothing"
    assert [hit.id for hit in far.answer.nearest] == [tile.id]


def test_places_alone_have_no_probability_and_pictures_always_an_answer(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    hit = index.search("red", k=1)[0]
    at = index.search(at=(hit.lat or 0.0, hit.lng or 0.0), k=3)
    assert all("probability" not in found.why for found in at)
    assert at.answer.verdict == "found"
    like = index.search(like=hit.id, k=3)
    assert all(0 <= found.why["probability"] <= 1 for found in like)
    assert like.answer.verdict == "found"


def test_a_relation_is_as_likely_as_both_its_things(painted_index: Path) -> None:
    index = geoanchor.open(painted_index)
    both = index.search("green next to red", layer="aerial", k=16)
    assert "relation" in both[0].why
    alone = {hit.id: hit.why["probability"] for hit in index.search("green", layer="aerial", k=16)}
    assert all(hit.why["probability"] <= alone[hit.id] + 1e-4 for hit in both)


def test_suppressed_neighbours_are_counted(painted_index: Path) -> None:
    answer = geoanchor.open(painted_index).search("green", layer="aerial", k=3, suppress=900.0).answer
    assert answer.hidden_why["suppressed"] == answer.hidden > 0


def test_a_calibration_of_another_space_does_not_count(painted_index: Path) -> None:
    serving = Serving.open(painted_index, geoanchor.open(painted_index).manifest)
    foreign = UNFITTED.model_copy(update={"space": "0" * 64})
    assert Relevance(serving, foreign).calibration is UNFITTED
    own = UNFITTED.model_copy(update={"space": serving.manifest.spaces["semantic"].fingerprint})
    assert Relevance(serving, own).calibration is own


def test_calibration_files(tmp_path: Path) -> None:
    path = tmp_path / "relevance.json"
    assert read_calibration(path) is None
    path.write_text(UNFITTED.model_dump_json(), "utf-8")
    assert read_calibration(path) == UNFITTED
    path.write_text("{}", "utf-8")
    with pytest.raises(BadInput, match="relevance"):
        read_calibration(path)


def test_the_shipped_calibration_belongs_to_the_shipped_bundle() -> None:
    from models.bundle import SHIPPED, load_bundle

    calibration = read_calibration(SHIPPED / "mini" / "relevance.json")
    assert calibration is not None
    assert calibration.space == load_bundle("mini").spaces["semantic"].fingerprint
    assert len(calibration.vectors) == len(calibration.bank) > 50
    assert all(len(domain.reference(256)) > 100 for domain in calibration.domains)
    assert {"named", "words"} <= set(calibration.domains[0].judges)
    assert "leisure=stadium" in calibration.called["stadium"]


def test_a_layer_is_judged_as_the_imagery_that_it_is_most_like(painted_index: Path) -> None:
    serving = Serving.open(painted_index, geoanchor.open(painted_index).manifest)
    vectors = serving.exact("semantic").vectors[serving.layers["aerial"]]
    judge = Judge(hit=Model(weights={}, bias=0.0), answer=Model(weights={}, bias=0.0), found=0.5)
    far, near = (
        Domain(name=name, reference_vectors=packed(some), judges={"plain": judge, "pictures": judge, "words": judge})
        for name, some in (("far", -vectors), ("near", vectors))
    )
    bank = {"bank": tuple("abc"), "bank_vectors": packed(vectors[:3])}
    space = serving.manifest.spaces["semantic"].fingerprint
    calibration = Calibration(space=space, domains=(far, near), **bank)  # type: ignore[arg-type]
    relevance = Relevance(serving, calibration)
    asked = Asked("red", lambda rows: serving.exact("semantic").rescore(vectors[0], rows), vectors[0], "semantic")
    assert {some.domain.name for some in relevance.evidence(asked, serving.layers["aerial"])} == {"near"}


def test_imagery_of_no_kind_that_was_fitted_on_is_judged_unsurely_and_never_as_nothing(painted_index: Path) -> None:
    serving = Serving.open(painted_index, geoanchor.open(painted_index).manifest)
    rows = serving.layers["aerial"]
    vectors = serving.exact("semantic").vectors[rows]
    asked = Asked("red", lambda rows: serving.exact("semantic").rescore(vectors[0], rows), vectors[0], "semantic")
    strict = Judge(hit=Model(weights={"height": 3.0}, bias=-9.0), answer=Model(weights={}, bias=-9.0), found=0.5)

    def judged(reference: np.ndarray) -> Relevance:
        domain = Domain(name="some", reference_vectors=packed(reference), judges={"pictures": strict, "words": strict})
        space = serving.manifest.spaces["semantic"].fingerprint
        bank = {"bank": tuple("abc"), "bank_vectors": packed(vectors[:3])}
        return Relevance(serving, Calibration(space=space, domains=(domain,), **bank))  # type: ignore[arg-type]

    rng = np.random.default_rng(0)
    alike, strange = judged(vectors), judged(rng.normal(0, 0.05, vectors.shape).astype(np.float32) - vectors)
    seen = {name: made.evidence(asked, rows) for name, made in (("alike", alike), ("strange", strange))}
    assert {some.kind for some in seen["alike"]} == {"pictures"}
    assert all(some.unsure == 0 for some in seen["alike"])
    assert all(some.unsure > 0.4 for some in seen["strange"])
    assert alike.answer(asked, rows) < 0
    assert strange.answer(asked, rows) == 0
    features = seen["strange"][0].features
    sure = strict.hit.probability(features, FEATURES["pictures"])
    unsure = strange.probability(asked, rows)
    assert ((unsure - 0.5) * (sure - 0.5) >= 0).all()
    assert (np.abs(unsure - 0.5) <= np.abs(sure - 0.5)).all()
    assert (np.abs(unsure - 0.5) < np.abs(sure - 0.5) - 0.01).any()


@pytest.mark.parametrize(
    ("kind", "name", "value", "answered"),
    [("words", "said", 1.0, True), ("words", "said", 0.0, False), ("pictures", "height", 1.0, False)],
)
def test_one_row_whose_words_are_likely_right_is_an_answer(
    painted_index: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str, value: float, answered: bool
) -> None:
    serving = Serving.open(painted_index, geoanchor.open(painted_index).manifest)
    judge = Judge(hit=Model(weights={name: 4.0}, bias=-3.0), answer=Model(weights={}, bias=-9.0), found=0.5)
    domain = Domain(name="some", judges={kind: judge})
    vector = serving.exact("semantic").vectors[0]
    relevance = Relevance(
        serving, Calibration(space=serving.manifest.spaces["semantic"].fingerprint, domains=(domain,))
    )
    features = np.zeros((10, len(FEATURES[kind])))
    features[7, FEATURES[kind].index(name)] = value
    found = [Evidence(kind, domain, np.arange(10), features)]
    monkeypatch.setattr(relevance, "evidence", lambda asked, rows: found)
    asked = Asked("red", lambda rows: np.zeros(len(rows)), vector, "semantic")
    assert (relevance.answer(asked, np.arange(10)) >= 0) == answered


def test_a_kind_of_row_that_a_domain_never_saw_is_judged_as_in_another() -> None:
    judge = Judge(hit=Model(weights={}, bias=0.0), answer=Model(weights={}, bias=0.0), found=0.5)
    bare, full = Domain(name="bare", judges={"plain": judge}), Domain(name="full", judges={"words": judge})
    calibration = Calibration(domains=(bare, full))
    assert calibration.judge(bare, "words") is full.judges["words"]
    assert calibration.judge(bare, "plain") is bare.judges["plain"]


def test_models_and_vectors_as_text() -> None:
    model = Model(weights={"a": 2.0, "gone": 9.0}, bias=-1.0)
    assert model.probability(np.array([[0.5], [100.0], [-100.0]]), ("a",)) == pytest.approx([0.5, 1, 0], abs=1e-4)
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert np.allclose(unpacked(packed(vectors), 4), vectors, atol=2e-3)


def test_words_are_compared_without_endings_and_empty_words() -> None:
    assert stems("Many ponds by the Churches of a city") == stems("city, church; POND")
    assert tag_phrase("leisure=sports_centre") == "sports centre"
    assert tag_phrase("building=yes") == "building"


def test_a_query_asks_for_a_probability_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="min_probability"):
        Query.model_validate({"parts": [{"kind": "text", "text": "x"}], "min_probability": 1.2})
