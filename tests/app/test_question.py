import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, shape

from app.question import NEGATIVE_WEIGHT, Question, inline_region, moment, read_query, region
from geoanchor.errors import UsageError
from geoanchor.query import BoundsRegion, CellsRegion, PolygonRegion, RadiusRegion

SQUARE = {"type": "Polygon", "coordinates": [[[10, 48], [11, 48], [11, 49], [10, 49], [10, 48]]]}


def test_every_word_becomes_its_part(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"any bytes")
    query = Question(
        text="river", image=picture, map=b"map", at=(48.5, 10.25), like="aerial/1", not_="car park", weights={"text": 2}
    ).query()
    kinds = [(part.kind, part.weight) for part in query.parts]
    assert kinds == [("text", 2), ("image", 1), ("image", 1), ("point", 1), ("like", 1), ("text", NEGATIVE_WEIGHT)]
    aerial, map_picture = query.parts[1], query.parts[2]
    assert (aerial.layer, aerial.data) == ("aerial", b"any bytes")
    assert (map_picture.layer, map_picture.data) == ("map", b"map")


def test_coordinates_are_lat_lng_outside_and_lng_lat_inside() -> None:
    query = Question(at="48.5,10.25", near="-33.9,151.2,250").query()
    assert (query.parts[0].lng, query.parts[0].lat) == (10.25, 48.5)
    assert query.region == RadiusRegion(lng=151.2, lat=-33.9, radius_m=250)


def test_pixels_are_taken_as_a_picture() -> None:
    query = Question(image=np.zeros((4, 4, 3), np.uint8)).query()
    assert query.parts[0].data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "nothing is asked"),
        ({"text": "a", "within": "1,2,3,4", "near": "1,2,3"}, "exclude each other"),
        ({"at": "48.5"}, "LAT,LNG"),
        ({"at": "95,10"}, "lat"),
        ({"text": "a", "near": "1,2"}, "LAT,LNG,METRES"),
        ({"text": "a", "weights": {"words": 1}}, "'words'"),
        ({"not_": "only this"}, "weight above 0"),
        ({"text": "a", "since": "yesterday"}, "2024-05-31"),
        ({"image": "no/such/file.png"}, "no/such/file.png"),
        ({"text": "a", "within": "no/such.geojson"}, "no such file"),
        ({"text": "a", "within": "5,6,7"}, "WEST,SOUTH,EAST,NORTH"),
        ({"text": "a", "within": "0,50,1,40"}, "south"),
    ],
)
def test_wrong_use_is_one_sentence(words: dict, said: str) -> None:
    with pytest.raises(UsageError) as error:
        Question(**words).query()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(st.tuples(*[st.floats(-180, 180)] * 2), st.floats(-90, 0), st.floats(0, 90))
def test_bounds_as_text_come_back_exactly(lngs: tuple[float, float], south: float, north: float) -> None:
    west, east = lngs
    assert inline_region(f"{west!r},{south!r},{east!r},{north!r}") == BoundsRegion(bounds=(west, south, east, north))


def test_cells_by_name() -> None:
    assert region("8a1e159b448ffff,8a1e159b44affff") == CellsRegion(cells=("8a1e159b448ffff", "8a1e159b44affff"))


def test_a_file_is_never_opened_inline(tmp_path: Path) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(SQUARE))
    assert isinstance(region(path), PolygonRegion)
    with pytest.raises(UsageError):
        inline_region(str(path))


def test_polygons_of_a_collection_are_joined(tmp_path: Path) -> None:
    features = [{"type": "Feature", "properties": {}, "geometry": SQUARE} for _ in range(2)]
    features.append({"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [0, 0]}})
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    from shapely.geometry import shape

    assert shape(region(str(path)).geometry).equals(shape(SQUARE))


def test_a_hole_is_kept(tmp_path: Path) -> None:
    hole = [[10.4, 48.4], [10.6, 48.4], [10.6, 48.6], [10.4, 48.6], [10.4, 48.4]]
    path = tmp_path / "area.json"
    path.write_text(json.dumps(SQUARE | {"coordinates": [*SQUARE["coordinates"], hole]}))
    assert len(region(str(path)).geometry["coordinates"]) == 2


def test_a_geopackage_in_metres_becomes_degrees(tmp_path: Path) -> None:
    path = tmp_path / "area.gpkg"
    geopandas.GeoDataFrame(geometry=[box(10, 48, 11, 49)], crs=4326).to_crs(3857).to_file(path)
    from shapely.geometry import shape

    assert shape(region(str(path)).geometry).symmetric_difference(box(10, 48, 11, 49)).area < 1e-6


@pytest.mark.parametrize("name", ["area.parquet", "area.GeoParquet"])
def test_geoparquet_in_metres_becomes_degrees(tmp_path: Path, name: str) -> None:
    metres = geopandas.GeoDataFrame({"tags": [["a"]]}, geometry=[box(10, 48, 11, 49)], crs=4326).to_crs(3857)
    metres.to_parquet(tmp_path / name)
    found = region(tmp_path / name)
    assert isinstance(found, PolygonRegion)
    assert shape(found.geometry).hausdorff_distance(box(10, 48, 11, 49)) < 1e-6


def test_geoparquet_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "area.parquet"
    local = 'LOCAL_CS["somebody\'s own",UNIT["metre",1]]'
    for write in (
        lambda: path.write_bytes(b"PAR1 and no more"),
        lambda: pd.DataFrame({"a": [1]}).to_parquet(path),
        lambda: geopandas.GeoDataFrame(geometry=[box(10, 48, 11, 49)], crs=local).to_parquet(path),
    ):
        write()
        with pytest.raises(UsageError, match=r"area\.parquet: cannot read it as a vector file"):
            region(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"type": "Point", "coordinates": [1, 2]}', "null"])
def test_a_file_without_polygons_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.geojson"):
        region(str(path))


def test_a_day_means_its_whole_length() -> None:
    assert moment("2024-05-31") == datetime(2024, 5, 31, tzinfo=UTC)
    assert moment("2024-05-31", end_of_day=True) == datetime(2024, 5, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert moment("2024-05-31T12:00:00+02:00", end_of_day=True) == datetime(2024, 5, 31, 10, tzinfo=UTC)


def test_a_query_is_saved_and_replayed(tmp_path: Path) -> None:
    query = Question(text="river", image=b"\x00\xff", near=(48, 10, 100), k=3).query()
    path = tmp_path / "query.json"
    path.write_text(query.model_dump_json())
    assert read_query(path) == query
    path.write_text('{"parts": []}')
    with pytest.raises(UsageError, match="not a query"):
        read_query(path)


@pytest.mark.parametrize(
    ("content", "mark"),
    [
        ({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}, SQUARE]}, ""),
        ({"type": "Feature", "properties": {}, "geometry": SQUARE}, "\ufeff"),
    ],
)
def test_whatever_geojson_holds_polygons_says_where(tmp_path: Path, content: dict[str, Any], mark: str) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(mark + json.dumps(content), "utf-8")
    found = region(path)
    assert isinstance(found, PolygonRegion)
    assert shape(found.geometry).equals(shape(SQUARE))


def test_geojson_in_metres_is_made_degrees(tmp_path: Path) -> None:
    path = tmp_path / "area.json"
    metres = geopandas.GeoSeries([shape(SQUARE)], crs=4326).to_crs(32632)
    path.write_text(metres.to_json(to_wgs84=False), "utf-8")
    tree = json.loads(path.read_text("utf-8"))
    tree["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    path.write_text(json.dumps(tree), "utf-8")
    found = region(path)
    assert isinstance(found, PolygonRegion)
    assert shape(found.geometry).hausdorff_distance(shape(SQUARE)) < 1e-6


def test_a_file_without_features_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "area.geojson"
    path.write_text('{"type": "FeatureCollection", "features": null}', "utf-8")
    with pytest.raises(UsageError, match=r"area\.geojson"):
        region(path)
