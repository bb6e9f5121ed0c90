"""Changes from Python, the command line, REST and in a browser, over a drawn town."""

from __future__ import annotations

import json
import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from shapely.geometry import box, shape
from structured import Drawing, GridEncoder, draw, index_of, town_block

import geoanchor
from app import changereport, cli, upkeep
from app.api import create_api
from app.index import Index
from app.overlay import evidence_png
from geoanchor.change import SILENT
from geoanchor.errors import UsageError
from geoanchor.query import ImagePart, Query
from geoanchor.tiling import Tile, tile_at

FIRST = tile_at(12.5, 47.5, 17)
TOWN = {Tile(17, FIRST.x + x, FIRST.y + y): town_block(10 * y + x) for y in range(3) for x in range(4)}
TILES = tuple(TOWN)


@pytest.fixture(autouse=True)
def _grid_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.bundle.load_bundle", lambda _name, _settings: GridEncoder())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tile 2 has new buildings, tile 5 lost some, tile 7 has no map."""
    ground, maps = ({tile: grid.copy() for tile, grid in TOWN.items()} for _ in range(2))
    ground[TILES[2]][12:17, 12:17] = 3
    maps[TILES[5]][11:17, 12:18] = 3
    del maps[TILES[7]]
    return index_of(tmp_path_factory.mktemp("changes") / "town.index", Drawing(ground, "aerial"), Drawing(maps, "map"))


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(built, tmp_path / "town.index"))


@pytest.fixture
def index(folder: Path) -> Index:
    return geoanchor.open(folder)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_python_gives_a_sequence(index: Index) -> None:
    found = index.changes(k=2)
    assert len(found) == 2
    assert list(found) == list(found.answer.changes)
    assert found[0].rank == 1
    assert [change.rank for change in found[0:2]] == [1, 2]
    assert {change.cause for change in index.changes()} == {"map behind", "imagery behind", "nothing mapped"}
    with pytest.raises(UsageError, match="k must be 1 or more"):
        index.changes(k=0)
    with pytest.raises(UsageError, match="exclude each other"):
        index.changes(within=found[0].bounds, near=(1, 2, 3))
    assert [change.id for change in index.changes(within=found[0].bounds)] == [found[0].id]
    assert index.evidence(found[0].id).shape == (20, 20)


def test_the_command_line_prints_each_format(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "changes", folder, "--format", "json")
    assert code == 0, err
    answer = json.loads(out)
    assert "11 pairs of map and picture compared, 1 without a map; the map lies where the imagery does" in err
    assert [change["rank"] for change in answer["changes"]] == [1, 2, 3]
    assert run(capsys, "changes", folder, "-k", 1, "--format", "json")[1] != out
    _, table, _ = run(capsys, "changes", folder)
    for change in answer["changes"]:
        assert change["id"] in table
        assert change["cause"] in table
    collection = json.loads(run(capsys, "changes", folder, "--format", "geojson")[1])
    assert collection["registration"]["shifted"] is False
    for item, change in zip(collection["features"], answer["changes"], strict=True):
        assert item["properties"]["cause"] == change["cause"]
        assert box(*change["bounds"]).buffer(1e-9).covers(shape(item["geometry"]))
    target = tmp_path / "changes.parquet"
    run(capsys, "changes", folder, "--format", "geoparquet", "--out", target)
    frame = geopandas.read_parquet(target)
    assert list(frame["id"]) == [change["id"] for change in answer["changes"]]
    assert json.loads(frame["picture_only"][0]) == answer["changes"][0]["picture_only"]
    assert frame.crs.to_epsg() == 4326


@pytest.mark.parametrize("form", ["table", "json", "geojson", "csv", "geoparquet", "html", "maproulette"])
def test_a_list_that_is_cut_says_so_beside_every_format(
    folder: Path, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("changes", folder, "--format", form, "--out", tmp_path / "out")
    assert "; 4 of 12 places shown, worst first; -k shows more\n" in run(capsys, *asked, "--all", "-k", 4)[2]
    assert "show" not in run(capsys, *asked, "--all")[2]
    assert "; 2 of 3 places shown, worst first; -k shows more\n" in run(capsys, *asked, "-k", 2)[2]
    assert "show" not in run(capsys, *asked)[2]


def test_pictures_without_a_position_are_pointed_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pairs.index"
    for layer, count in (("aerial", 3), ("map", 1)):
        (tmp_path / layer).mkdir()
        for n in range(count):
            Image.fromarray(draw(TOWN[TILES[n]])).save(tmp_path / layer / f"{n}.png")
        geoanchor.build(str(tmp_path / layer), folder, layer=layer)
    code, out, err = run(capsys, "changes", folder)
    assert (code, out) == (2, "")
    assert err == (
        f"geoanchor: {folder}: no map and aerial picture show the same ground; pairs are made by tile or box, and no "
        "such position is known of 3 aerial pictures and 1 map; `geoanchor evaluate matching --pairs DIR` pairs "
        "pictures by name\n"
    )


def test_a_region_without_pictures_is_answered_with_where_they_lie(
    folder: Path, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "changes", folder, "--within", "0,0,1,1", "--format", "json")
    assert (code, out) == (2, "")
    assert "where no picture has its middle; all of them lie in " in err
    named = err.partition("all of them lie in ")[2].partition(": name a place in there")[0]
    assert index.changes(within=named).answer.pairs == index.changes().answer.pairs


def test_maproulette_tasks_are_one_record_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "changes", folder, "--format", "maproulette", "--out", tmp_path / "tasks.geojson")
    text = (tmp_path / "tasks.geojson").read_text("utf-8")
    assert text.count("\x1e") == text.count("\n") == 3
    *lines, end = text.split("\n")
    assert end == ""
    for line in lines:
        assert line.startswith("\x1e{")
        task = json.loads(line[1:])
        assert task["type"] == "FeatureCollection"
        assert len(task["features"]) == 1
        feature = task["features"][0]
        assert feature["id"] == feature["properties"]["id"]
        assert shape(feature["geometry"]).is_valid
        assert not any(isinstance(value, dict | list) for value in feature["properties"].values())


def test_both_pictures_are_credited_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = {tile: np.zeros_like(TOWN[tile]) for tile in TILES[:-1]}
    ground, drawn = Drawing(TOWN, "aerial"), Drawing(maps, "map", attribution="© OpenStreetMap contributors")
    folder = index_of(tmp_path / "town.index", ground, drawn)
    changes = json.loads(run(capsys, "changes", folder, "--all", "--format", "json")[1])["changes"]
    credits = {change["map_id"] is None: change["attribution"] for change in changes}
    assert credits == {False: "nobody; © OpenStreetMap contributors", True: "nobody"}
    for form in ("geojson", "csv", "maproulette"):
        assert credits[False] in run(capsys, "changes", folder, "--all", "--format", form)[1], form
    folder = index_of(tmp_path / "one.index", ground, Drawing(maps, "map"))
    changes = json.loads(run(capsys, "changes", folder, "--all", "--format", "json")[1])["changes"]
    assert {change["attribution"] for change in changes} == {"nobody"}, "named once"


def test_a_place_that_agrees_is_no_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = json.loads(run(capsys, "changes", folder, "--all", "--format", "json")[1])["changes"]
    tasks = run(capsys, "changes", folder, "--all", "--format", "maproulette")[1]
    agreeing = [change["id"] for change in changes if change["cause"] == "agrees"]
    assert len(agreeing) >= 3
    assert not [name for name in agreeing if name in tasks]
    assert tasks.count("\x1e") == len(changes) - len([c for c in changes if c["cause"] in SILENT])


def test_decisions_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [change["id"] for change in json.loads(run(capsys, "changes", folder, "--format", "json")[1])["changes"]]
    assert run(capsys, "changes", folder, "--accept", ids[0], "--accept", "nonsense")[0] == 2
    code, out, err = run(
        capsys, "changes", folder, "--accept", ids[0], "--reject", ids[2], "--note", "seen", "--format", "json"
    )
    assert (code, err) == (0, f"{ids[0]}: accepted\n{ids[2]}: rejected\n")
    assert [review["change"] for review in json.loads(out)["reviews"]] == [ids[0], ids[2]]
    code, out, err = run(capsys, "changes", folder, "--format", "json")
    assert [change["id"] for change in json.loads(out)["changes"]] == [ids[1]]
    assert err.count("2 were reviewed before") == 1
    err = run(capsys, "changes", folder, "-k", 1)[2]
    assert err.endswith("; 2 were reviewed before\n"), "a full list says so, too"
    assert err.count("reviewed") == 1
    assert "reviewed" not in run(capsys, "changes", folder, "--all", "-k", 1)[2]
    reviews = json.loads(run(capsys, "changes", folder, "--reviewed", "--format", "json")[1])["reviews"]
    assert [(review["change"], review["decision"], review["note"]) for review in reviews] == [
        (ids[0], "accept", "seen"), (ids[2], "reject", "seen")
    ]  # fmt: skip
    assert ids[0] in run(capsys, "changes", folder, "--reviewed")[1]
    code, _, err = run(capsys, "changes", folder, "--reviewed", "--format", "html")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run(capsys, "changes", folder, "--accept", "nonsense")
    assert code == 2
    assert "no change has the id 'nonsense'" in err
    upkeep.compact(folder)
    assert [change.id for change in geoanchor.open(folder).changes()] == [ids[1]]
    notes = [finding for finding in upkeep.doctor(folder) if "reviews.jsonl" in finding.text]
    assert [(note.level, note.text) for note in notes] == [
        ("note", "2 changes were reviewed; reviews.jsonl keeps the decisions")
    ]


def test_decisions_are_taken_back_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = run(capsys, "changes", folder, "--format", "json")
    first, second, third = (change["id"] for change in json.loads(before[1])["changes"])
    run(capsys, "changes", folder, "--accept", first, "--reject", second)
    code, out, err = run(capsys, "changes", folder, "--reopen", first, "--reopen", second, "--accept", third)
    assert (code, out, err) == (0, "", f"{third}: accepted\n{first}: reopened\n{second}: reopened\n")
    reviews = json.loads(run(capsys, "changes", folder, "--reviewed", "--format", "json")[1])["reviews"]
    assert [review["change"] for review in reviews] == [third]
    run(capsys, "changes", folder, "--reopen", third)
    assert run(capsys, "changes", folder, "--format", "json") == before
    assert not [finding for finding in upkeep.doctor(folder) if "reviews.jsonl" in finding.text]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--accept", "a", "--accept", "b", "--reject", "b"], "b cannot be accepted and rejected at once"),
        (["--reject", "a", "--reopen", "a"], "a cannot be rejected and reopened at once"),
        (["--reopen", "a", "--note", "seen"], "--note is kept with a decision"),
        (["--reopen", "a", "--reviewed"], "--reviewed lists the decisions made before"),
        (["--note", "seen"], "--note is kept with a decision"),
        (["--accept", "a", "--reviewed"], "--reviewed lists the decisions made before"),
        (["--accept", "a", "--format", "geojson"], "decisions are given as table or json, not geojson"),
    ],
)
def test_half_a_decision_is_none(folder: Path, given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "changes", folder, *given)
    assert code == 2
    assert said in errors
    assert not (folder / "reviews.jsonl").exists()


def test_a_page_shows_all_four_side_by_side_and_escapes(folder: Path, index: Index) -> None:
    index.attributions = ("<b>Me & you</b>",)
    page = changereport.changes_page(index, index.changes())
    assert "<b>Me" not in page
    assert "&lt;b&gt;Me &amp; you" in page
    assert page.count("<figcaption>map</figcaption>") == 3
    assert page.count('alt="map"') == 2
    assert page.count('alt="imagery"') == 3
    assert page.count('alt="where they disagree"') == 3
    assert page.count("<path ") == 3
    assert "buildings on" in page
    assert "<polygon " in page
    assert "http://www.w3.org/2000/svg" in page
    assert 'src="http' not in page


def test_the_overlay_is_red_where_the_picture_speaks_against_the_map() -> None:
    evidence = np.ones((20, 20), np.float32)
    evidence[:10] = -3
    with Image.open(BytesIO(evidence_png(evidence))) as picture:
        assert picture.mode == "RGBA"
        pixels = np.asarray(picture)
    assert pixels[10, 80, 3] > 200
    assert pixels[-10, 80, 3] == 0
    seen = pixels[..., 3] > 0
    assert (pixels[seen, 0] > pixels[seen, 1]).all()


@pytest.fixture
def client(index: Index) -> TestClient:
    return TestClient(create_api(index), raise_server_exceptions=False)


def test_rest_lists_reviews_and_draws(client: TestClient) -> None:
    found = client.get("/api/changes", params={"k": 2}).json()
    assert [change["rank"] for change in found["changes"]] == [1, 2]
    assert (found["places"], found["note"]) == (3, "2 of 3 places shown, worst first")
    first, second = found["changes"]
    heat = client.get(f"/api/changes/{first['id']}/heat.png")
    assert heat.headers["content-type"] == "image/png"
    near = {"near": f"{first['lat']},{first['lng']},5"}
    assert [change["id"] for change in client.get("/api/changes", params=near).json()["changes"]] == [first["id"]]
    answer = client.post("/api/changes", json={"change": first["id"], "decision": "reject", "note": "no"})
    assert answer.json()["decision"] == "reject"
    assert first["id"] not in [change["id"] for change in client.get("/api/changes").json()["changes"]]
    assert [review["change"] for review in client.get("/api/reviews").json()] == [first["id"]]
    listed = client.get("/api/changes", params={"reviewed": True}).json()["changes"]
    assert [(change["id"], change["review"] is not None) for change in listed[:2]] == [
        (first["id"], True),
        (second["id"], False),
    ]
    assert client.post("/api/changes", json={"change": first["id"], "decision": "open"}).json()["decision"] == "open"
    assert client.get("/api/changes", params={"k": 2}).json() == found
    assert client.get("/api/reviews").json() == []


def half_of(west: dict[str, Any], east: dict[str, Any]) -> dict[str, Any]:
    """A triangle that holds the western of two places; its box holds both."""
    low, high = min(west["lat"], east["lat"]) - 1e-4, max(west["lat"], east["lat"]) + 0.01
    left, right = west["lng"] - 1e-4, east["lng"] + 1e-4
    return {"type": "Polygon", "coordinates": [[[left, low], [right, low], [left, high], [left, low]]]}


def test_rest_takes_a_polygon(client: TestClient, index: Index) -> None:
    listed = client.get("/api/changes").json()["changes"]
    west, east = sorted((change for change in listed if change["map_id"]), key=lambda change: change["lng"])
    triangle = half_of(west, east)
    (left, low), (right, _), (_, high), _ = triangle["coordinates"][0]
    box = {"within": f"{left},{low},{right},{high}"}
    assert {west["id"], east["id"]} <= {
        change["id"] for change in client.get("/api/changes", params=box).json()["changes"]
    }
    found = client.get("/api/changes", params={"within": json.dumps(triangle)}).json()
    assert [change["id"] for change in found["changes"]] == [west["id"]]
    assert found["changes"] == [change.model_dump(mode="json") for change in index.changes(within=triangle)]
    hits = client.get("/api/search", params={"q": "red", "within": json.dumps(triangle), "k": 100}).json()["hits"]
    assert east["aerial_id"] not in {hit["id"] for hit in hits}
    assert west["aerial_id"] in {hit["id"] for hit in hits}


@pytest.mark.parametrize(
    "within", ["{", "{}", '{"type":"Point","coordinates":[1,2]}', '{"type":"Polygon","coordinates":[[[1,2],[3,4]]]}',
               '{"a":' * 3000, '{"type":"Polygon","coordinates":[[[1,2],[3,4],[5,6],{"x":1}]]}'],
)  # fmt: skip
def test_rest_refuses_what_is_no_polygon(client: TestClient, within: str) -> None:
    answer = client.get("/api/changes", params={"within": within})
    assert answer.status_code == 400
    assert len(answer.json()["error"]) < 200


def test_rest_writes_what_the_command_line_writes(
    folder: Path, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, flag in (("geojson", "geojson"), ("csv", "csv"), ("maproulette", "maproulette")):
        answer = client.get(f"/api/changes.{form}")
        assert answer.text.split() == run(capsys, "changes", folder, "--format", flag)[1].split()
        assert f'filename="changes.{form}"' in answer.headers["content-disposition"]
    frame = geopandas.read_parquet(BytesIO(client.get("/api/changes.parquet", params={"cause": "map behind"}).content))
    assert list(frame["cause"]) == ["map behind"]
    assert client.get("/api/changes.pickle").status_code == 422
    assert client.get("/api/changes.csv", params={"cause": "whim"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"change": "none", "decision": "accept"}, 400),
        ({"change": "none", "decision": "maybe"}, 422),
        ({"change": "none", "decision": "accept", "note": "x" * 3000}, 422),
        ({"change": "none", "decision": "accept", "path": "/etc/passwd"}, 422),
    ],
)
def test_rest_refuses_in_one_sentence(client: TestClient, body: dict[str, Any], status: int) -> None:
    answer = client.post("/api/changes", json=body)
    assert answer.status_code == status
    assert set(answer.json()) in ({"error"}, {"error", "kind"})
    assert client.get("/api/changes/none/heat.png").status_code == 400
    assert client.get("/api/changes", params={"k": 10**6}).status_code == 400
    assert client.get("/api/changes", params={"within": "/etc/passwd"}).status_code == 400
    assert client.get("/api/changes", params={"near": "100,200,5"}).status_code == 400


def test_an_index_without_means_says_so(painted_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.toy import ToyEncoder

    monkeypatch.setattr("models.bundle.load_bundle", lambda _name, _settings: ToyEncoder())
    answer = TestClient(create_api(geoanchor.open(painted_index))).get("/api/changes")
    assert answer.status_code == 400
    assert "model 'toy' cannot compare a map with a picture" in answer.json()["error"]


def test_reranking_puts_the_worst_first_and_says_why(index: Index, tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    Image.fromarray(draw(TOWN[TILES[2]])).save(picture)
    plain = index.search(map=picture, layer="aerial", k=6)
    found = index.search(map=picture, layer="aerial", k=6, rerank="mismatch")
    assert sorted(hit.id for hit in found) == sorted(hit.id for hit in plain)
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    assert [hit.rank for hit in found] == [1, 2, 3, 4, 5, 6]
    for hit in found:
        assert hit.why["mismatch"] == pytest.approx(hit.score, abs=1e-4)
        assert hit.why["cause"]
        assert "semantic" in hit.why
    same = index.search(map=picture, near=(*reversed(TILES[2].center), 5), rerank="mismatch", k=5)
    own = next(hit for hit in same if hit.layer == "aerial")
    assert own.why["cause"] == "map behind"
    assert own.why["offset_m"] == [0, 0]
    told = same.answer.model_dump_json() + index.changes(everything=True).answer.model_dump_json()
    assert not re.search(r"-0\.0[,\]}]", told)
    second = index.search(map=picture, layer="aerial", k=3, offset=3, rerank="mismatch")
    assert [hit.rank for hit in second] == [4, 5, 6]
    # The map that is wanted counts, not one that is unwanted.
    other, wanted = (ImagePart(layer="map", data=png(TOWN[TILES[n]]), weight=w) for n, w in ((5, -0.5), (2, 1.0)))
    asked = Query(parts=(other, wanted), layer="aerial", k=6, rerank="mismatch")
    scores = {hit.id: hit.why["mismatch"] for hit in found}
    assert {hit.id: hit.why["mismatch"] for hit in index.query(asked) if hit.id in scores}.items() <= scores.items()
    # A map is compared with pictures alone, whether they are asked for or not.
    assert list(index.search(map=picture, k=6, rerank="mismatch")) == list(found)
    with pytest.raises(UsageError, match="not with map ones: leave --layer out"):
        index.search(map=picture, layer="map", rerank="mismatch")


def test_reranking_knows_what_a_picture_lacks_and_goes_by_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = {tile: TOWN[TILES[0]] for tile in TILES[:5]}
    folder = index_of(tmp_path / "i.index", Drawing(ground, "aerial", nodata=0.45))
    whole = geoanchor.open(folder).search(map=png(TOWN[TILES[1]]), k=5, rerank="mismatch")
    assert {hit.why["reason"] for hit in whole} == {"45.0 % of the picture is cloud or has no data"}
    monkeypatch.setattr("retrieval.rerank.CHUNK", 2)
    parts = geoanchor.open(folder).search(map=png(TOWN[TILES[1]]), k=5, rerank="mismatch")
    assert [hit.model_dump() for hit in parts] == [hit.model_dump() for hit in whole]


def png(grid: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(draw(grid)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("words", [{"text": "red"}, {"image": True}, {"map": False}])
def test_reranking_without_a_map_is_wrong_use(index: Index, words: dict[str, Any]) -> None:
    buffer = BytesIO()
    Image.fromarray(draw(TOWN[TILES[0]])).save(buffer, "PNG")
    query = {"text": {"text": "red"}, "image": {"image": buffer.getvalue()}}.get(next(iter(words)), {"text": "red"})
    with pytest.raises(UsageError, match="give one with --map"):
        index.search(**query, rerank="mismatch")
    with pytest.raises(UsageError, match="'magic'; there are mismatch and segments"):
        index.search(**query, rerank="magic")
