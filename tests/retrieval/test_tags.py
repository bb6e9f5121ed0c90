"""Rows whose map tags say what a text names come first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geoanchor.query import Query, RadiusRegion, TextPart
from geoanchor.tiling import Tile, tile_at
from models.toy import ToyEncoder
from retrieval.calibration import FEATURES, Calibration, Domain, Judge, Model, packed
from retrieval.searcher import Searcher
from retrieval.serving import Serving
from tests.retrieval.test_searcher import COLOURS, colour_row, cosines, make_row, make_searcher, town

CALLED = {"red": ("amenity=school",), "blue": ("natural=water",), "arena": ("leisure=stadium",)}
SCHOOL, LAKE = "amenity=school", "natural=water"


def knowing(folder: Path, rows: list[dict]) -> Searcher:
    """A searcher whose calibration knows what the words mean."""
    serving = make_searcher(folder, rows)._serving
    judge = Judge(hit=Model(weights={}, bias=0.0), answer=Model(weights={}, bias=0.0), found=0.5)
    reference = packed(ToyEncoder().encode(COLOURS, "text")["semantic"])
    calibration = Calibration(
        space=serving.manifest.spaces["semantic"].fingerprint, bank=COLOURS, bank_vectors=reference, called=CALLED,
        domains=(Domain(name="some", reference_vectors=reference, judges=dict.fromkeys(FEATURES, judge)),),
    )  # fmt: skip
    return Searcher(Serving.open(folder, serving.manifest), ToyEncoder, lambda: calibration)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """A town with two layers; a third of its rows bear one tag or both."""
    random, found = np.random.default_rng(3), town()
    for row in found:
        row["tags"] = [tag for tag in (SCHOOL, LAKE) if random.random() < 0.2] or ["building=yes"]
    return found


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> Searcher:
    return knowing(tmp_path_factory.mktemp("tagged"), rows)


def ask(text: str, **more: object) -> Query:
    return Query.model_validate({"parts": (TextPart(text=text),), **more})


def truth(rows: list[dict], text: str, *tags: str) -> dict[str, float]:
    """The oracle: the cosine and the share of the named tags."""
    likeness = cosines(rows, text)
    return {row["id"]: likeness[row["id"]] + sum(tag in row["tags"] for tag in tags) / len(tags) for row in rows}


@pytest.mark.parametrize("k", [1, 15, 60, 289])
@pytest.mark.parametrize(("text", "tags"), [("red", (SCHOOL,)), ("red and blue", (SCHOOL, LAKE))])
def test_order_and_scores_are_those_of_likeness_and_tags(
    searcher: Searcher, rows: list[dict], text: str, tags: tuple[str, ...], k: int
) -> None:
    wanted = truth(rows, text, *tags)
    hits = searcher.search(ask(text, k=k)).hits
    assert [hit.id for hit in hits] == sorted(wanted, key=wanted.get, reverse=True)[:k]
    assert [hit.score for hit in hits] == pytest.approx([wanted[hit.id] for hit in hits], abs=1e-6)
    for hit in hits:
        assert hit.why.get("tags", 0) == sum(tag in hit.tags for tag in tags) / len(tags)
        assert hit.why["semantic"] == pytest.approx(hit.score - hit.why.get("tags", 0), abs=1e-6)


@pytest.mark.parametrize("weight", [-0.5, -2.0])
def test_rows_tagged_as_what_is_unwanted_fall_behind(searcher: Searcher, rows: list[dict], weight: float) -> None:
    parts = (TextPart(text="red"), TextPart(text="blue", weight=weight))
    hits = searcher.search(Query(parts=parts, k=289)).hits
    tags = {row["id"]: (SCHOOL in row["tags"]) + weight * (LAKE in row["tags"]) for row in rows}
    assert [hit.why.get("tags", 0.0) for hit in hits] == [tags[hit.id] for hit in hits]
    assert [hit.score for hit in hits] == pytest.approx([hit.why["semantic"] + tags[hit.id] for hit in hits], abs=1e-6)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.id for hit in hits}) == len(rows)
    few = searcher.search(Query(parts=parts, k=23)).hits
    assert [hit.id for hit in few] == [hit.id for hit in hits[:23]]


def test_filters_hold_and_a_heat_map_shows_the_same_scores(searcher: Searcher, rows: list[dict]) -> None:
    disc = RadiusRegion(lng=rows[100]["lng"], lat=rows[100]["lat"], radius_m=700.0)
    query = ask("red", region=disc, layer="map", k=500)
    hits = searcher.search(query).hits
    wanted = truth(rows, "red", SCHOOL)
    assert [hit.id for hit in hits] == sorted((hit.id for hit in hits), key=wanted.get, reverse=True)
    assert 0 < sum("tags" in hit.why for hit in hits) < len(hits)
    scores, _ = searcher.scores(query)
    assert sorted(scores.tolist(), reverse=True) == pytest.approx([hit.score for hit in hits], abs=1e-6)


def test_where_no_row_is_left_none_comes(searcher: Searcher) -> None:
    for text in ("red", "red by the blue"):
        assert searcher.search(ask(text, region=RadiusRegion(lng=0, lat=0, radius_m=10))).hits == ()


@pytest.mark.parametrize("query", [ask("red", tags=False), ask("arena"), ask("grey")])
def test_tags_do_not_count_where_unwanted_borne_by_none_or_not_named(
    searcher: Searcher, rows: list[dict], query: Query
) -> None:
    wanted = cosines(rows, query.parts[0].text)
    hits = searcher.search(query).hits
    assert [hit.id for hit in hits] == sorted(wanted, key=wanted.get, reverse=True)[:10]
    assert not any("tags" in hit.why for hit in hits)


def test_imagery_of_a_tagged_map_comes_first_too(tmp_path: Path) -> None:
    first = tile_at(14.5, 48.2, 17)
    tiles = [Tile(17, first.x + i, first.y) for i in range(30)]
    rows = [colour_row(tile, "green") | {"tags": []} for tile in tiles]
    rows += [
        make_row(tile, "map", None, tags=[SCHOOL] if i == 17 else ["building=yes"]) for i, tile in enumerate(tiles)
    ]
    rows[4] = colour_row(tiles[4], "red") | {"tags": []}
    hits = knowing(tmp_path, rows).search(ask("red", layer="aerial", k=3)).hits
    assert [hit.id for hit in hits[:2]] == [f"aerial/{tiles[17]}", f"aerial/{tiles[4]}"]
    assert hits[0].tags == (SCHOOL,)


def test_a_relation_believes_tags_before_looks(tmp_path: Path) -> None:
    first = tile_at(14.5, 48.2, 17)
    words = {(5, 5): "red", (6, 5): "blue", (14, 14): "red", (15, 14): "blue"}
    tagged = {(10, 2): SCHOOL, (11, 2): LAKE}
    grid = [(x, y) for x in range(20) for y in range(20)]
    rows = [
        colour_row(Tile(17, first.x + x, first.y + y), words.get((x, y), "green"))
        | {"tags": [tagged.get((x, y), "building=yes")]}
        for x, y in grid
    ]
    searcher = knowing(tmp_path, rows)
    hits = searcher.search(ask("red by the blue", k=400)).hits
    assert hits[0].tile == (17, first.x + 10, first.y + 2)
    assert hits[0].why["relation"]["object_id"] == f"aerial/{Tile(17, first.x + 11, first.y + 2)}"
    assert {hit.tile for hit in hits[1:3]} == {(17, first.x + x, first.y + y) for x, y in ((5, 5), (14, 14))}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    by_looks = searcher.search(ask("red by the blue", tags=False)).hits
    assert by_looks[0].tile in {(17, first.x + x, first.y + y) for x, y in ((5, 5), (14, 14))}
