import json
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path

import geopandas
from rich.console import Console

from app import render
from geoanchor.query import Answer, Hit
from geoanchor.tiling import Bounds

PLACED = Hit(
    id="aerial/a/16/1/2", rank=1, score=0.5, layer="aerial", tile=(16, 1, 2), bounds=Bounds(10, 48, 10.5, 48.25),
    lng=10.25, lat=48.125, cell="8a1e159b448ffff", source="a.tif", caption="a [red] roof", tags=("building=yes",),
    gsd_m=0.5, acquired=datetime(2024, 5, 31, tzinfo=UTC), attribution="© someone", why={"semantic": 0.5},
)  # fmt: skip
POINT = Hit(id="ground/b", rank=2, score=0.25, layer="ground", lng=-70.5, lat=-33.0)
NOWHERE = Hit(id="aerial/c", rank=3, score=-0.125, layer="aerial")
ACROSS = Hit(
    id="aerial/d", rank=4, score=-1, layer="aerial", bounds=Bounds(179.5, -17, -179.5, -16), lng=180.0, lat=-16.5
)
ANSWER = Answer(hits=(PLACED, POINT, NOWHERE, ACROSS), total=40)


def test_json_is_the_contract_to_the_letter() -> None:
    value = json.loads(render.to_json(ANSWER))
    assert set(value) == {"hits", "total", "note", "verdict", "hidden", "hidden_why", "nearest"}
    assert (value["total"], value["verdict"], value["hidden"], value["nearest"]) == (40, "found", 0, [])
    assert value["hits"][0] == {
        "id": "aerial/a/16/1/2", "rank": 1, "score": 0.5, "layer": "aerial", "tile": [16, 1, 2],
        "bounds": [10, 48, 10.5, 48.25], "lng": 10.25, "lat": 48.125, "cell": "8a1e159b448ffff", "source": "a.tif",
        "why": {"semantic": 0.5},
    }  # fmt: skip
    assert value["hits"][2]["tile"] is None
    assert value["hits"][2]["bounds"] is None


def test_json_tells_the_verdict_what_is_hidden_and_the_nearest_misses() -> None:
    told = {"verdict": "nothing", "hidden": 3, "hidden_why": {"improbable": 3}, "note": "only 40 rows are left"}
    value = json.loads(render.to_json(ANSWER.model_copy(update={**told, "hits": (), "nearest": (PLACED,)})))
    assert {name: value[name] for name in told} == told
    assert value["nearest"] == json.loads(render.to_json(ANSWER))["hits"][:1]


def test_geojson_is_read_by_geopandas(tmp_path: Path) -> None:
    path = tmp_path / "hits.geojson"
    path.write_text(render.to_geojson(ANSWER), "utf-8")
    frame = geopandas.read_file(path)
    assert frame.crs.to_epsg() == 4326
    assert list(frame["rank"]) == [1, 2, 3, 4]
    assert frame.geometry[0].bounds == (10, 48, 10.5, 48.25)
    assert (frame.geometry[1].x, frame.geometry[1].y) == (-70.5, -33.0)
    assert frame.geometry[2] is None
    assert frame["attribution"][0] == "© someone"


def test_a_box_over_the_antimeridian_becomes_two() -> None:
    outline = render.geometry(ACROSS)
    assert outline is not None
    assert outline["type"] == "MultiPolygon"
    longitudes = [{point[0] for point in ring} for polygon in outline["coordinates"] for ring in polygon]
    assert longitudes == [{179.5, 180.0}, {-180.0, -179.5}]


def test_geoparquet_is_read_by_geopandas() -> None:
    frame = geopandas.read_parquet(BytesIO(render.to_geoparquet(ANSWER)))
    assert frame.crs.to_epsg() == 4326
    assert list(frame["id"]) == [hit.id for hit in ANSWER.hits]
    assert frame.geometry[0].bounds == (10, 48, 10.5, 48.25)
    assert frame["tile"][0] == "16/1/2"
    assert list(frame["tags"][0]) == ["building=yes"]
    assert json.loads(frame["why"][0]) == {"semantic": 0.5}
    assert frame["acquired"][0].to_pydatetime() == datetime(2024, 5, 31, tzinfo=UTC)


def test_no_hits_are_a_valid_file_in_each_format(tmp_path: Path) -> None:
    empty = Answer(hits=(), total=0)
    value = json.loads(render.to_json(empty))
    assert (value["hits"], value["total"], value["nearest"]) == ([], 0, [])
    assert json.loads(render.to_geojson(empty)) == {"type": "FeatureCollection", "features": []}
    frame = geopandas.read_parquet(BytesIO(render.to_geoparquet(empty)))
    assert len(frame) == 0
    assert "score" in frame.columns


def test_the_table_shows_data_as_it_is() -> None:
    text = StringIO()
    Console(file=text, width=160).print(render.to_table(ANSWER))
    assert "a [red] roof" in text.getvalue()
    assert "48.12500, 10.25000" in text.getvalue()
    assert "semantic 0.5" in text.getvalue()


def test_reasons_in_words() -> None:
    relation = {
        "subject": "stadium", "object": "river", "subject_score": 0.9, "object_id": "x", "object_score": 0.5,
        "distance_m": 288.4,
    }  # fmt: skip
    assert render.reason({"relation": relation}) == "stadium 0.90, river 0.50 at 288 m"
    assert render.reason({"relation": relation | {"distance_m": 0.0}}) == "stadium 0.90, river 0.50 here"
    alone = {"subject": "stadium", "object": "river", "subject_score": 0.9}
    assert render.reason({"relation": alone}) == "stadium 0.90, no river near"
    parts = [
        {"text": "park", "weight": 1.0, "score": 0.25}, {"image": "map", "weight": 1.0, "score": 0.5},
        {"text": "car park", "weight": -0.5, "score": 0.125},
    ]  # fmt: skip
    assert render.reason({"parts": parts}) == "park 0.25, map picture 0.50, not car park 0.12"
    assert render.reason({"distance_m": 12.4, "holds_point": True}) == "12 m away, holds the point"
    assert render.reason({"offset": [0.041, -0.1]}) == "map lies 4.1 % east and 10.0 % north of its place"
    assert render.reason({"offset": [-0.02, 0.004], "scale": 0.8}) == (
        "map lies 2.0 % west of its place, shows 80 % of the side"
    )
    assert render.reason({"offset": [0.0049, 0.0]}) == "map lies in its place"
    assert render.reason({"new thing": {"a": 1.0, "b": "c"}}) == "new thing: a 1, b c"
