"""Names in a query and map tags of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from indexer.concepts import CONCEPTS, tags_of
from retrieval.naming import Naming
from retrieval.serving import Serving
from training.relevance.fit import meanings

TAGS = [["leisure=stadium"], [], ["leisure=pitch", "sport=tennis"], None, ["leisure=pitch"], ["natural=water"]]
CALLED = {
    "stadium": ("leisure=stadium",), "sports arena": ("leisure=stadium",), "pitch": ("leisure=pitch",),
    "tennis court": ("sport=tennis&leisure=pitch",), "lake": ("natural=water",), "volcano": ("natural=volcano",),
}  # fmt: skip


def naming(tags: Sequence[str] = ()) -> Naming:
    serving = Serving.__new__(Serving)
    serving.rows = pa.record_batch({"tags": pa.array(TAGS, pa.list_(pa.string()))})
    return Naming(serving, CALLED, tags)


def bearing(text: str, tags: Sequence[str] = ()) -> list[list[int]]:
    found = naming(tags).bearing(text)
    return [] if found is None else [np.flatnonzero(column).tolist() for column in found.T]


def test_names_are_found_in_sentences_whatever_their_number_and_article() -> None:
    assert bearing("a sports arena") == bearing("STADIUMS") == [[0]]
    assert bearing("two lakes and the sports arenas") == [[5], [0]]
    assert bearing("something grey") == []


def test_both_tags_are_needed_where_a_name_needs_both() -> None:
    assert bearing("tennis courts") == [[2]]
    assert bearing("pitch") == [[2, 4]]


def test_what_no_row_bears_is_named_all_the_same() -> None:
    assert bearing("volcano") == [[]]


def test_tags_are_names_by_their_own_words_and_add_to_what_a_name_means() -> None:
    assert bearing("tennis") == []
    assert bearing("tennis", ["sport=tennis"]) == [[2]]
    assert bearing("tennis court", ["sport=tennis"]) == [[2]]
    assert bearing("pitches", ["sport=tennis", "leisure=pitch"]) == [[2, 4]]
    assert bearing("stadium", ["building=stadium"]) == bearing("stadium") == [[0]]
    assert bearing("lake", ["leisure=lake"]) == [[5]]


def test_meanings_are_those_of_the_concepts() -> None:
    called = meanings()
    assert "leisure=stadium" in called["arena"]
    assert set(tags_of(CONCEPTS["football"])) <= set(called["football pitch"])
    assert "natural=water&water=pond" in called["pond"]
    assert not any("tall" in tag or "*" in tag for tags in called.values() for tag in tags)
    assert "structure" not in called
    assert called["park"] == ("leisure=park",)
    assert "amenity=parking" in called["car park"]
    assert "amenity=bus_station" in called["station"]
    assert "amenity=fuel" not in called["station"]
