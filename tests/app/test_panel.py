"""Gradio's panel: it answers, and a request cannot make it read a file or fetch an address."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browsing import served

import geoanchor
from geoanchor.tiling import Tile

FIELDS = 6


@pytest.fixture(scope="module")
def panel(painted_index: Path) -> Iterator[str]:
    with served(geoanchor.open(painted_index)) as address:
        yield address + "/panel"


def call(panel: str, data: list[Any], session: str) -> dict[str, Any]:
    """What the search of the form gives."""
    config = json.load(urllib.request.urlopen(f"{panel}/config"))
    search = next(n for n, one in enumerate(config["dependencies"]) if len(one["inputs"]) == FIELDS)
    body = json.dumps({"data": data, "fn_index": search, "session_hash": session}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{panel}/gradio_api/queue/join", body, headers)).close()
    with urllib.request.urlopen(f"{panel}/gradio_api/queue/data?session_hash={quote(session, safe='')}") as stream:
        events = [json.loads(line[6:]) for line in stream if line.startswith(b"data: ")]
    done: dict[str, Any] = next(event for event in events if event["msg"] == "process_completed")
    return done


def test_the_panel_answers(panel: str, painted_tiles: dict[Tile, str]) -> None:
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    done = call(panel, ["red", "aerial", None, None, "", 5], "words")
    gallery, table, note = done["output"]["data"]
    assert done["success"] is True
    assert len(gallery) == 5
    assert str(red) in table["data"][0][-1]
    assert "5 of 16 places" in note
    assert call(panel, ["", "all", None, None, "", 5], "nothing")["output"]["data"][2].startswith("nothing is asked")


@pytest.mark.parametrize("named", ["ADDRESS/tiles/aerial/RED.png", "https://example.org/a.png", "/etc/passwd", "FILE"])
def test_a_request_cannot_name_a_file_or_an_address(
    panel: str, painted_folder: Path, painted_tiles: dict[Tile, str], named: str
) -> None:
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    file = str(painted_folder / f"{red}.png")
    named = named.replace("ADDRESS", panel.removesuffix("/panel")).replace("RED", str(red)).replace("FILE", file)
    picture = {"path": named, "meta": {"_type": "gradio.FileData"}}
    done = call(panel, ["", "all", picture, None, "", 5], named[-9:])
    assert done["success"] is False
    assert "red" not in json.dumps(done["output"])
