"""The same query as JSON, from Python and on the command line, gives the same rows and scores."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from queries import WORDS, generated_queries

import geoanchor
from app.cli import run
from app.index import Index

SAID = ("total", "note", "verdict", "hidden", "hidden_why")
"""What an answer says beside its hits."""


@pytest.fixture(scope="module")
def index(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


def test_200_queries_mean_the_same_in_python_and_on_the_command_line(
    index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found, verdicts = 0, set()
    for query in generated_queries(list(index.search("red", k=40)), 200):
        mine = index.query(query)
        monkeypatch.setattr(sys, "stdin", io.StringIO(query.model_dump_json()))
        assert run(["search", str(index.folder), "--query", "-", "--format", "json"]) == 0
        theirs = json.loads(capsys.readouterr().out)
        assert [(hit["id"], hit["rank"], hit["score"]) for hit in theirs["hits"]] == [
            (hit.id, hit.rank, hit.score) for hit in mine
        ]
        assert [hit["why"] for hit in theirs["hits"]] == [json.loads(json.dumps(hit.why)) for hit in mine]
        told = mine.answer.model_dump(mode="json")
        assert [theirs[name] for name in SAID] == [told[name] for name in SAID]
        assert [hit["id"] for hit in theirs["nearest"]] == [hit["id"] for hit in told["nearest"]]
        found += len(mine)
        verdicts.add(theirs["verdict"])
    assert found > 500
    assert verdicts == {"found", "nothing"}


def test_generated_queries_are_of_every_kind_and_the_same_each_time(index: Index) -> None:
    hits = list(index.search("red", k=40))
    queries = generated_queries(hits, 200)
    assert queries == generated_queries(hits, 200) != generated_queries(hits, 200, seed=1)
    assert {part.kind for query in queries for part in query.parts} == {"text", "image", "point", "like"}
    assert {query.region.kind for query in queries if query.region} == {"bounds", "polygon", "radius", "cells"}
    assert {query.layer for query in queries} == {None, "aerial", "map"}
    assert any(query.since for query in queries)


@pytest.mark.parametrize("words", WORDS)
def test_words_mean_the_same_in_python_and_on_the_command_line(
    index: Index, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", str(index.folder), f"{words} -white", "-k", "4", "--format", "json"]) == 0
    theirs = json.loads(capsys.readouterr().out)["hits"]
    assert [hit["id"] for hit in theirs] == [hit.id for hit in index.search(f"{words} -white", k=4)]
    assert [hit["id"] for hit in theirs] == [hit.id for hit in index.search(words, not_="white", k=4)]
