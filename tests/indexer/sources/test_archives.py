"""MBTiles and PMTiles with pictures: files written by sqlite3 and by the pmtiles library."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from geoanchor.errors import BadInput, GeoAnchorError, UsageError
from geoanchor.tiling import Bounds, Tile, tile_at, tiles_in
from indexer.sources.mbtiles import MBTilesStore, open_mbtiles
from indexer.sources.pmtiles import PMTilesStore, open_pmtiles
from indexer.sources.registry import SourceOptions

TOWN = Bounds(85.51, 27.62, 85.53, 27.64)
TILES = [*tiles_in(TOWN, 12), *tiles_in(TOWN, 15)]
CREDIT = '&copy; <a href="https://example.com">The  Survey</a>'


def picture(tile: Tile, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (256, 256), (tile.x % 256, tile.y % 256, tile.z)).save(out, kind)
    return out.getvalue()


def write_mbtiles(path: Path, tiles: Iterable[tuple[Tile, object]], **metadata: str) -> Path:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE metadata (name text, value text)")
        db.execute("CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob)")
        db.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
        rows = [(t.z, t.x, 2**t.z - 1 - t.y, data) for t, data in tiles]
        db.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    db.close()
    return path


def write_pmtiles(path: Path, tiles: Iterable[tuple[Tile, bytes]], kind: TileType = TileType.PNG) -> Path:
    with open(path, "wb") as file:
        writer = Writer(file)
        for tile, data in sorted(tiles, key=lambda pair: zxy_to_tileid(pair[0].z, pair[0].x, pair[0].y)):
            writer.write_tile(zxy_to_tileid(tile.z, tile.x, tile.y), data)
        header = {"tile_type": kind, "tile_compression": Compression.NONE}
        writer.finalize(header, {"attribution": CREDIT})
    return path


def write(kind: str, path: Path, tiles: Iterable[tuple[Tile, bytes]]) -> str:
    if kind == "mbtiles":
        return str(write_mbtiles(path / "town.mbtiles", tiles, format="png", attribution=CREDIT))
    return str(write_pmtiles(path / "town.pmtiles", tiles))


OPEN = {"mbtiles": open_mbtiles, "pmtiles": open_pmtiles}
KINDS = pytest.mark.parametrize("kind", list(OPEN))


@KINDS
def test_every_tile_comes_back_as_it_was_put_in(kind: str, tmp_path: Path) -> None:
    uri = write(kind, tmp_path, [(t, picture(t)) for t in TILES])
    source = OPEN[kind](uri, SourceOptions())
    refs = list(source.plan())
    assert source.zoom == 15
    assert source.layer == "aerial"
    assert source.attribution == "© The Survey"
    assert {ref.tile for ref in refs} == set(tiles_in(TOWN, 15))
    assert len({ref.id for ref in refs}) == len(refs)
    for ref in refs:
        image = source.read(ref)
        assert image.encoded == picture(ref.tile)
        assert tuple(image.pixels[9, 9]) == (ref.tile.x % 256, ref.tile.y % 256, 15)
    source.close()
    source.close()


@KINDS
def test_other_zoom_layer_and_box(kind: str, tmp_path: Path) -> None:
    uri = write(kind, tmp_path, [(t, picture(t)) for t in TILES])
    shallow = OPEN[kind](uri, SourceOptions(zoom=12, layer="map"))
    assert [ref.tile for ref in shallow.plan()] == list(tiles_in(TOWN, 12))
    assert next(iter(shallow.plan())).id.startswith("map/town-")
    tile = tile_at(85.52, 27.63, 15)
    assert [ref.tile for ref in OPEN[kind](uri, SourceOptions(within=tile.bounds)).plan()] == [tile]


@KINDS
@pytest.mark.parametrize("zoom", [11, 16])
def test_zoom_that_is_not_there(kind: str, tmp_path: Path, zoom: int) -> None:
    uri = write(kind, tmp_path, [(t, picture(t)) for t in TILES])
    with pytest.raises(UsageError, match=f"zooms 12 to 15, not {zoom}"):
        OPEN[kind](uri, SourceOptions(zoom=zoom))


@KINDS
def test_one_bad_tile_harms_only_itself(kind: str, tmp_path: Path) -> None:
    broken = TILES[-1]
    uri = write(kind, tmp_path, [(t, b"rubbish" if t == broken else picture(t)) for t in TILES])
    source = OPEN[kind](uri, SourceOptions())
    for ref in source.plan():
        if ref.tile == broken:
            with pytest.raises(BadInput, match=f"tile {broken}"):
                source.read(ref)
        else:
            assert source.read(ref).encoded == picture(ref.tile)


@KINDS
def test_absent_tile(kind: str, tmp_path: Path) -> None:
    source = OPEN[kind](write(kind, tmp_path, [(TILES[0], picture(TILES[0]))]), SourceOptions())
    (ref,) = source.plan()
    image = source.read(type(ref)("aerial/x", tile=Tile(12, 0, 0)))
    assert (image.nodata, source.absent) == (1.0, 1)


@KINDS
def test_no_such_file(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        OPEN[kind](str(tmp_path / f"none.{kind}"), SourceOptions())


@KINDS
@pytest.mark.parametrize(
    "data", [b"", b"hello, I am text" * 50, b"PMTiles\x03" + b"\0" * 200, b"SQLite format 3\0" + b"\1" * 99]
)
def test_not_an_archive(kind: str, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"bad\."):
        list(OPEN[kind](str(path), SourceOptions()).plan())


@KINDS
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_anywhere_gives_one_sentence(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = Path(write(kind, folder, [(t, picture(t)) for t in TILES[:6]]))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            whole[data.draw(st.integers(0, min(len(whole) - 1, 600)))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    said: list[str] = []
    try:
        source = OPEN[kind](str(path), SourceOptions())
        for ref in islice(source.plan(), 50):
            try:
                source.read(ref)
            except BadInput as error:
                said.append(str(error))
    except GeoAnchorError as error:
        said.append(str(error))
    assert not any("\n" in message for message in said)


@pytest.mark.parametrize(("at", "zoom"), [(101, 31), (101, 255), (100, 18)])
def test_pmtiles_of_impossible_zooms_are_damaged(tmp_path: Path, at: int, zoom: int) -> None:
    path = Path(write("pmtiles", tmp_path, [(t, picture(t)) for t in TILES]))
    data = bytearray(path.read_bytes())
    data[at] = zoom
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"zooms .*{zoom}"):
        open_pmtiles(str(path), SourceOptions())


def test_cut_pmtiles_says_so(tmp_path: Path) -> None:
    path = Path(write("pmtiles", tmp_path, [(t, picture(t)) for t in TILES]))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadInput, match="cut short"):
        open_pmtiles(str(path), SourceOptions())


def test_pmtiles_with_leaf_directories_and_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    content = {
        Tile(8, x, y): b"sea" if x < 100 else rng.bytes(int(rng.integers(1, 900)))
        for x in range(256)
        for y in range(256)
        if x < 100 or (x * 7 + y * 13) % 3
    }
    store = PMTilesStore(write_pmtiles(tmp_path / "many.pmtiles", content.items()))
    assert store._header["leaf_directory_length"] > 0
    assert store._header["tile_entries_count"] < len(content)
    found = list(store.tiles(8))
    assert len(found) == len(content)
    assert set(found) == set(content)
    ids = [zxy_to_tileid(t.z, t.x, t.y) for t in found]
    assert ids == sorted(ids)
    assert all(store.get(tile) == content[tile] for tile in found[::97])
    assert store.get(Tile(8, 102, 0)) is None
    assert list(store.tiles(7)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tile_type": TileType.MLT}, "MapLibre"),
        ({"tile_compression": Compression.BROTLI}, "BROTLI"),
        ({"tile_compression": Compression.ZSTD}, "ZSTD"),
    ],
)
def test_pmtiles_we_do_not_read(tmp_path: Path, change: dict[str, object], says: str) -> None:
    path = tmp_path / "odd.pmtiles"
    with open(path, "wb") as file:
        writer = Writer(file)
        writer.write_tile(0, b"x")
        writer.finalize({"tile_type": TileType.PNG, "tile_compression": Compression.NONE} | change, {})
    with pytest.raises(BadInput, match=says):
        open_pmtiles(str(path), SourceOptions())


def test_mbtiles_without_metadata_and_with_a_view(tmp_path: Path) -> None:
    path = tmp_path / "view.mbtiles"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE map (zoom_level integer, tile_column integer, tile_row integer, tile_id text)")
        db.execute("CREATE TABLE images (tile_id text, tile_data blob)")
        db.execute(
            "CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data "
            "FROM map JOIN images ON images.tile_id = map.tile_id"
        )
        db.execute("INSERT INTO images VALUES ('a', ?)", (picture(Tile(3, 5, 2)),))
        db.executemany("INSERT INTO map VALUES (?, ?, ?, 'a')", [(3, 5, 5), (3, 4, 5), (3, 9, 9)])
    db.close()
    source = open_mbtiles(str(path), SourceOptions())
    assert [ref.tile for ref in source.plan()] == [Tile(3, 4, 2), Tile(3, 5, 2)]
    assert source.attribution == ""


@pytest.mark.parametrize("value", ["text", 7, 1.5])
def test_mbtiles_tile_that_is_no_blob(tmp_path: Path, value: object) -> None:
    source = open_mbtiles(str(write_mbtiles(tmp_path / "t.mbtiles", [(Tile(3, 5, 2), value)])), SourceOptions())
    with pytest.raises(BadInput, match="not bytes"):
        source.read(next(iter(source.plan())))


@pytest.mark.parametrize("statement", ["CREATE TABLE other (a)", "CREATE TABLE tiles (a)", ""])
def test_sqlite_that_is_no_mbtiles(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other.mbtiles"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE any (a)")
        db.execute(statement or "SELECT 1")
    db.close()
    with pytest.raises(BadInput, match="MBTiles"):
        open_mbtiles(str(path), SourceOptions())


def test_mbtiles_is_never_written_and_odd_names_work(tmp_path: Path) -> None:
    path = write_mbtiles(tmp_path / "a b?#%é.mbtiles", [(Tile(3, 5, 2), picture(Tile(3, 5, 2)))])
    before = path.read_bytes()
    store = MBTilesStore(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._connection.execute("DELETE FROM tiles")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@KINDS
def test_reading_while_planning_from_many_threads(kind: str, tmp_path: Path) -> None:
    uri = write(kind, tmp_path, [(t, picture(t)) for t in tiles_in(TOWN, 17)])
    source = OPEN[kind](uri, SourceOptions())
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(source.read, source.plan()))
    assert all(image.encoded == picture(image.tile) for image in images)
    assert len(images) == len(list(tiles_in(TOWN, 17)))
