"""GeoJSON and GeoParquet as feature files: any CRS, any nesting, broken parts counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.warp
import shapely

from geoanchor.errors import BadInput
from indexer.sources.osm import open_osm, read_features
from indexer.sources.registry import SourceOptions

HOUSE = shapely.box(16.0, 48.0, 16.001, 48.001)


def _item(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _collection(*items: Any, **more: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": items, **more})


def _house(**properties: Any) -> dict[str, Any]:
    return _item(shapely.geometry.mapping(HOUSE), **properties)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_properties_become_tags_without_the_empty_ones(tmp_path: Path) -> None:
    item = _house(
        building="yes", levels=3, height=4.5, roof=True, name=None, note="", tags={"shop": "bakery"}, nan=float("nan")
    )
    (feature,) = read_features(_write(tmp_path / "a.geojson", _collection(item)))
    assert feature.tags == {"building": "yes", "levels": "3", "height": "4.5", "roof": "yes", "shop": "bakery"}


def test_ids_come_from_where_files_keep_them(tmp_path: Path) -> None:
    items = [_house(osm_type="way", osm_id=5), _house(**{"@id": "node/7"}), {**_house(), "id": "x"}, _house()]
    assert [f.id for f in read_features(_write(tmp_path / "a.geojson", _collection(*items)))] == [
        "way/5",
        "node/7",
        "x",
        "3",
    ]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(_house(building="yes")),
        json.dumps(shapely.geometry.mapping(HOUSE)),
        "\ufeff" + _collection(_house(building="yes")),
        json.dumps(_house(building="yes")) + "\n" + json.dumps(_house(building="no")) + "\n",
        "\x1e" + json.dumps(_house(building="yes")) + "\n\x1e" + json.dumps(_house()) + "\n",
    ],
    ids=["feature", "geometry", "byte-order mark", "lines", "record separators"],
)
def test_every_shape_of_geojson(tmp_path: Path, text: str) -> None:
    features = read_features(_write(tmp_path / "a.geojson", text))
    assert features[0].geometry.equals(HOUSE)


def test_the_crs_member_is_honoured(tmp_path: Path) -> None:
    utm = geopandas.GeoSeries([HOUSE], crs="EPSG:4326").to_crs("EPSG:32633")[0]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    text = _collection(_item(shapely.geometry.mapping(utm)), crs=crs)
    (feature,) = read_features(_write(tmp_path / "a.geojson", text))
    assert shapely.hausdorff_distance(feature.geometry, HOUSE) < 1e-8
    crs["properties"]["name"] = "urn:ogc:def:crs:OGC:1.3:CRS84"
    (same,) = read_features(_write(tmp_path / "b.geojson", _collection(_house(), crs=crs)))
    assert same.geometry.equals(HOUSE)
    crs["properties"]["name"] = "urn:nobody:knows"
    with pytest.raises(BadInput, match='"crs" member'):
        read_features(_write(tmp_path / "c.geojson", _collection(_house(), crs=crs)))


def test_broken_features_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bow_tie = {"type": "Polygon", "coordinates": [[[16, 48], [16.1, 48.1], [16.1, 48], [16, 48.1], [16, 48]]]}
    items = [
        _house(), _item(None), _item({"type": "Polygon", "coordinates": []}),
        _item({"type": "Blob", "coordinates": [1]}),
        _item({"type": "Point", "coordinates": ["a", "b"]}), _item({"type": "Point", "coordinates": [500, 95]}),
        "no feature",
        _item(bow_tie), _item({"type": "Point", "coordinates": [16, 48, 250]}),
    ]  # fmt: skip
    features = read_features(_write(tmp_path / "a.geojson", _collection(*items)))
    assert [f.geometry.geom_type for f in features] == ["Polygon", "MultiPolygon", "Point"]
    assert all(f.geometry.is_valid and not f.geometry.has_z for f in features)
    assert "3 features are broken" in caplog.text
    assert "3 of 6 features have no usable geometry" in caplog.text


def test_a_line_that_is_no_feature_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [json.dumps(_house(building="yes")), "null", "[" * 100_000, "{", json.dumps({"type": "Blob"}), "3"]
    features = read_features(_write(tmp_path / "a.geojsonl", "\n".join([*lines, json.dumps(_house())])))
    assert [feature.geometry.equals(HOUSE) for feature in features] == [True, True]
    assert "2 of 7 lines are not JSON" in caplog.text
    assert "3 features are broken" in caplog.text


def test_what_lies_beyond_the_antimeridian_comes_back_from_the_other_side(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a raster does whose longitudes go on beyond 180."""
    boxes = [shapely.box(180.25, 10, 180.5, 11), shapely.box(179.5, 20, 180.5, 21), shapely.box(179.5, 30, 180, 31),
             shapely.box(-180.5, 40, -180.25, 41)]  # fmt: skip
    path = _write(tmp_path / "a.geojson", _collection(*(_item(shapely.geometry.mapping(box)) for box in boxes)))
    features = read_features(path)
    assert [feature.geometry.bounds for feature in features] == [
        (-179.75, 10, -179.5, 11), (179.5, 20, 180, 21), (-180, 20, -179.5, 21), (179.5, 30, 180, 31),
        (179.5, 40, 179.75, 41),
    ]  # fmt: skip
    assert not caplog.text


@pytest.mark.filterwarnings("error")
def test_coordinates_that_are_no_numbers_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nan = float("nan")
    items = [
        _house(), _item({"type": "Point", "coordinates": [nan, nan]}),
        _item({"type": "LineString", "coordinates": [[16, 48], [float("inf"), 48]]}),
        _item({"type": "Polygon", "coordinates": [[[16, 48], [16.1, 48], [nan, 48.1], [16, 48]]]}),
    ]  # fmt: skip
    (feature,) = read_features(_write(tmp_path / "a.geojson", _collection(*items)))
    assert feature.geometry.equals(HOUSE)
    assert "3 of 4 features have no usable geometry" in caplog.text


def test_metres_are_told_from_degrees(tmp_path: Path) -> None:
    utm = [_item({"type": "Point", "coordinates": [602000.5, 5340000]}), _item(None)]
    with pytest.raises(BadInput, match=r"no degrees \(the first are 602000.5, 5340000\); reproject it to EPSG:4326"):
        read_features(_write(tmp_path / "a.geojson", _collection(*utm)))


def test_a_broken_line_among_good_ones_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = json.dumps(_house())
    assert len(read_features(_write(tmp_path / "a.geojsonl", f"{good}\n{good[:40]}\n{good}\n"))) == 2
    assert "1 of 3 lines are not JSON" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ('{"type": "FeatureCollection", "features": [', "is not JSON"),
        ("[1, 2, 3]", "not GeoJSON"),
        ('{"type": "Topology"}', "not GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "holds no feature"),
        ("[" * 100_000, "nested too deeply|is not JSON"),
    ],
)
def test_what_is_no_geojson_is_refused_in_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read_features(_write(tmp_path / "a.geojson", text))


def test_binary_under_a_geojson_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(b"\xff\xd8\xff\xe0 jpeg")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_features(path)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633", None])
def test_geoparquet_in_any_crs(tmp_path: Path, crs: str | None) -> None:
    frame = geopandas.GeoDataFrame(
        {"id": ["w1", "w2"], "building": ["yes", None], "levels": [2, np.nan], "tags": [{"shop": "bakery"}, {}]},
        geometry=[HOUSE, shapely.Point(16, 48)],
        crs="EPSG:4326",
    )
    frame = frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)
    path = tmp_path / "a.geoparquet"
    frame.to_parquet(path)
    first, second = read_features(path)
    assert (first.id, second.id) == ("w1", "w2")
    assert shapely.hausdorff_distance(first.geometry, HOUSE) < 1e-8
    assert {k: v for k, v in first.tags.items() if k != "id"} == {"building": "yes", "levels": "2", "shop": "bakery"}
    assert "building" not in second.tags


def test_tags_as_an_arrow_map_are_unfolded(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(geometry=[HOUSE], crs="EPSG:4326")
    path = tmp_path / "a.parquet"
    frame.to_parquet(path)
    table = pq.read_table(path)
    tags = pa.array([[("amenity", "school"), ("name", "A")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(table.append_column("tags", tags), path)
    assert read_features(path)[0].tags == {"amenity": "school", "name": "A"}


def test_a_parquet_file_that_is_no_geoparquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(BadInput, match="no readable GeoParquet"):
        read_features(path)
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(BadInput, match="no readable GeoParquet"):
        read_features(path)


# -- real files -------------------------------------------------------------------------------------------------------


def test_spacenet_footprints_in_utm_lie_on_their_picture(shared_data: Path) -> None:
    features = read_features(shared_data / "spacenet" / "buildings.geojson")
    assert len(features) > 30
    assert all(f.tags.get("building") == "yes" and "" not in f.tags.values() for f in features)
    with rasterio.open(shared_data / "spacenet" / "pan_uint16.tif") as raster:
        picture = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
    box = shapely.box(*picture).buffer(1e-3)
    assert all(box.contains(f.geometry) for f in features)


def test_banepa_buildings_fill_the_tiles_of_their_chips(shared_data: Path) -> None:
    source = open_osm(str(shared_data / "banepa" / "osm.geojson"), SourceOptions(zoom=19))
    planned = {str(ref.tile).split("/", 1)[1] for ref in source.plan()}
    chips = {"/".join(path.stem.split("-")[1:3]) for path in (shared_data / "banepa" / "imagery").glob("*.tif")}
    assert len(chips) == 48
    assert chips <= planned
    assert source.attribution == "© OpenStreetMap contributors"
