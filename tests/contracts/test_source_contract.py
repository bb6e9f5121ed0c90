"""What every source must do, tried on small real files that the formats' own libraries wrote."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import geopandas
import mapbox_vector_tile
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
from PIL import Image
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from rasterio.transform import from_bounds

from geoanchor.image import LAYERS, TileImage
from geoanchor.protocols import TileRef, TileSource
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds, Tile
from indexer.city.city import City
from indexer.sources.registry import SourceOptions, open_source

HOME = Tile(16, 48335, 27552)
TILES = [Tile(16, HOME.x + i, HOME.y + j) for j in range(3) for i in range(3)]
RNG = np.random.default_rng(11)
MVT = mapbox_vector_tile.encode(
    {"name": "water", "features": [{"geometry": "POLYGON ((0 0, 3000 0, 3000 2000, 0 0))", "properties": {}}]}
)


def picture(seed: int, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def folder(path: Path) -> str:
    for number in range(5):
        (path / f"in/{number % 2}").mkdir(parents=True, exist_ok=True)
        (path / f"in/{number % 2}/photo {number}.jpg").write_bytes(picture(number, "JPEG"))
    return str(path / "in")


def tar(path: Path) -> str:
    with tarfile.open(path / "photos.tar", "w") as archive:
        archive.add(folder(path), "photos")
    return str(path / "photos.tar")


def image(path: Path) -> str:
    (path / "photo.png").write_bytes(picture(1))
    return str(path / "photo.png")


def raster(path: Path, tile: Tile = HOME, name: str = "ortho.tif") -> str:
    box = tile.bounds_mercator
    # Twice as wide as a tile and set off by a third of one, so that edges hold nodata.
    side = box.right - box.left
    place = from_bounds(box.left + side / 3, box.bottom, box.left + side * 7 / 3, box.top, 512, 256)
    profile = {"driver": "GTiff", "width": 512, "height": 256, "count": 3, "dtype": "uint8", "crs": "EPSG:3857"}
    with rasterio.open(path / name, "w", transform=place, nodata=0, **profile) as dataset:
        dataset.write(RNG.integers(1, 255, (3, 256, 512), np.uint8))
    return str(path / name)


def mosaic(path: Path) -> str:
    (path / "orthos").mkdir()
    for number in range(2):
        raster(path / "orthos", Tile(16, HOME.x + 2 * number, HOME.y), f"{number}.tif")
    return str(path / "orthos")


def xyz(path: Path) -> str:
    for number, tile in enumerate(TILES):
        file = path / f"tiles/{tile}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
    return f"{path}/tiles/{{z}}/{{x}}/{{y}}.png"


def mbtiles(path: Path) -> str:
    with sqlite3.connect(path / "area.mbtiles") as db:
        db.execute("CREATE TABLE metadata (name text, value text)")
        db.execute("CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob)")
        rows = [(t.z, t.x, 2**t.z - 1 - t.y, picture(number, "WEBP")) for number, t in enumerate(TILES)]
        db.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    db.close()
    return str(path / "area.mbtiles")


def pmtiles(path: Path, kind: TileType = TileType.JPEG) -> str:
    with open(path / "area.pmtiles", "wb") as file:
        writer = Writer(file)
        for number, tile in enumerate(sorted(TILES, key=lambda t: zxy_to_tileid(t.z, t.x, t.y))):
            writer.write_tile(
                zxy_to_tileid(tile.z, tile.x, tile.y), MVT if kind is TileType.MVT else picture(number, "JPEG")
            )
        writer.finalize({"tile_type": kind, "tile_compression": Compression.NONE}, {})
    return str(path / "area.pmtiles")


def vector_pmtiles(path: Path) -> str:
    return pmtiles(path, TileType.MVT)


def features() -> geopandas.GeoDataFrame:
    boxes = [shapely.box(*tile.bounds).buffer(-5e-4) for tile in TILES]
    kinds = ["yes" if number % 2 else None for number in range(len(TILES))]
    water = [None if kind else "water" for kind in kinds]
    return geopandas.GeoDataFrame({"building": kinds, "natural": water}, geometry=boxes, crs=4326)


def geojson(path: Path) -> str:
    (path / "town.geojson").write_text(features().to_json(drop_id=True))
    return str(path / "town.geojson")


def geoparquet(path: Path) -> str:
    features().to_parquet(path / "town.parquet")
    return str(path / "town.parquet")


def osm(path: Path) -> str:
    west, south, east, north = shapely.box(*HOME.bounds).buffer(-5e-4).bounds
    corners = [(west, south), (east, south), (east, north), (west, north)]
    nodes = "".join(f'<node id="{i}" version="1" lon="{x}" lat="{y}"/>' for i, (x, y) in enumerate(corners, 1))
    way = "".join(f'<nd ref="{i}"/>' for i in (1, 2, 3, 4, 1)) + '<tag k="natural" v="water"/>'
    (path / "town.osm").write_text(f'<osm version="0.6">{nodes}<way id="9" version="1">{way}</way></osm>')
    return str(path / "town.osm")


def stac(path: Path) -> str:
    box = shapely.union(shapely.box(*HOME.bounds), shapely.box(*Tile(16, HOME.x + 2, HOME.y).bounds)).bounds
    made = pystac.Item(
        "photo", shapely.geometry.mapping(shapely.box(*box)), list(box), datetime(2024, 5, 1, tzinfo=UTC), {}
    )
    made.add_asset("visual", pystac.Asset(raster(path), media_type=pystac.MediaType.COG))
    (path / "item.json").write_text(json.dumps(made.to_dict()))
    return f"stac:{path}/item.json"


def vectors() -> np.ndarray:
    return RNG.normal(size=(20, 8)).astype(np.float32)


def embeddings(path: Path) -> str:
    values = vectors()
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 8)
    columns = {"id": [f"r{i}" for i in range(20)], "lng": np.linspace(85, 86, 20), "lat": np.full(20, 27.6)}
    pq.write_table(pa.table(columns | {"embedding": column}), path / "rows.parquet")
    return f"embeddings:{path}/rows.parquet"


def embeddings_npy(path: Path) -> str:
    np.save(path / "rows.npy", vectors())
    (path / "rows.csv").write_text("id,lng,lat\n" + "".join(f"r{i},85.{i},27.6\n" for i in range(20)))
    return f"embeddings:{path}/rows.npy"


def city(path: Path) -> str:
    return "city:7"


def city_map(path: Path) -> str:
    return "city:7"


MAKERS: list[Callable[[Path], str]] = [
    folder, tar, image, raster, mosaic, xyz, mbtiles, pmtiles, vector_pmtiles, geojson, geoparquet, osm, stac,
    embeddings, embeddings_npy, city, city_map,
]  # fmt: skip
ON_THE_GRID = (raster, mosaic, xyz, mbtiles, pmtiles, vector_pmtiles, geojson, geoparquet, osm, stac, city, city_map)
ENOUGH = 5


@pytest.fixture(scope="module", params=MAKERS, ids=lambda maker: maker.__name__)
def named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Callable[[Path], str], str]:
    maker = request.param
    return maker, maker(tmp_path_factory.mktemp(maker.__name__))


@pytest.fixture
def opened(named: tuple[Callable[[Path], str], str], tmp_path: Path) -> Callable[[], TileSource]:
    maker, uri = named
    settings = Settings(cache_dir=tmp_path, offline=True)
    options = SourceOptions(settings=settings)
    if maker in (geojson, geoparquet, osm):
        options = SourceOptions(zoom=16, settings=settings)
    if maker in (city, city_map):
        lng, lat = City(7).extent.center
        block = Bounds(lng - 0.004, lat - 0.004, lng + 0.004, lat + 0.004)
        options = SourceOptions(layer="map" if maker is city_map else None, within=block, settings=settings)
    return lambda: open_source(uri, options)


def plan(source: TileSource) -> list[TileRef]:
    return list(islice(source.plan(), ENOUGH))


def facts(image: TileImage) -> tuple[object, ...]:
    """Everything that two readings of one picture must share."""
    vectors = {name: vector.tobytes() for name, vector in image.vectors.items()}
    return (
        image.id, image.pixels.tobytes(), image.layer, image.tile, image.bounds, image.point, image.gsd_m, image.crs,
        image.acquired, image.source, image.attribution, image.nodata, image.tags, image.caption, image.encoded,
        vectors,
    )  # fmt: skip


def test_plan_is_the_same_each_time(opened: Callable[[], TileSource]) -> None:
    source, other = opened(), opened()
    first = list(source.plan())
    assert first
    assert first == list(source.plan()) == list(other.plan())
    source.close()
    other.close()


def test_ids_are_unique_and_begin_with_the_layer(opened: Callable[[], TileSource]) -> None:
    source = opened()
    ids = [ref.id for ref in source.plan()]
    assert len(set(ids)) == len(ids)
    assert source.layer in LAYERS
    assert all(name.startswith(f"{source.layer}/") for name in ids)


def test_refs_cross_processes(opened: Callable[[], TileSource]) -> None:
    refs = plan(opened())
    assert pickle.loads(pickle.dumps(refs)) == refs
    assert all(isinstance(text, str) for ref in refs for text in (ref.id, ref.key, ref.stamp))
    other = opened()
    assert [other.read(ref).id for ref in refs] == [ref.id for ref in refs]


def test_images_say_what_they_are(opened: Callable[[], TileSource], named: tuple[Callable[[Path], str], str]) -> None:
    maker, uri = named
    source = opened()
    assert source.uri == uri
    for ref in plan(source):
        image = source.read(ref)
        assert (image.id, image.layer) == (ref.id, source.layer)
        assert image.tile == ref.tile
        assert image.source
        assert 0.0 <= image.nodata <= 1.0
        if maker in ON_THE_GRID:
            assert ref.tile is not None
            assert ref.tile.z == source.zoom or maker is stac
            assert image.pixels.shape == (256, 256, 3)
            assert image.bounds == ref.tile.bounds
            assert image.gsd_m is not None
        elif image.vectors:
            assert image.pixels.shape == (0, 0, 3)
        else:
            assert image.pixels.size > 0
        if ref.point and image.point:
            assert ref.point == pytest.approx(image.point, abs=1e-6)


def test_eight_threads_read_what_one_reads(opened: Callable[[], TileSource]) -> None:
    one, many = opened(), opened()
    refs = plan(one)
    expected = [facts(one.read(ref)) for ref in refs]
    with ThreadPoolExecutor(8) as pool:
        found = [facts(image) for image in pool.map(many.read, refs * 2)]
    assert found == expected * 2


def test_close_twice(opened: Callable[[], TileSource]) -> None:
    source = opened()
    source.read(plan(source)[0])
    source.close()
    source.close()


def test_box_keeps_what_has_its_centre_inside(
    opened: Callable[[], TileSource], named: tuple[Callable[[Path], str], str], tmp_path: Path
) -> None:
    maker, uri = named
    if maker not in ON_THE_GRID:
        pytest.skip("its pictures lie on no grid")
    everything = list(opened().plan())
    wanted = everything[len(everything) // 2].tile
    assert wanted is not None
    lng, lat = wanted.center
    box = Bounds(lng - 1e-6, lat - 1e-6, lng + 1e-6, lat + 1e-6)
    source = open_source(uri, SourceOptions(zoom=wanted.z, within=box, settings=Settings(cache_dir=tmp_path)))
    assert [ref.tile for ref in source.plan()] == [wanted]
