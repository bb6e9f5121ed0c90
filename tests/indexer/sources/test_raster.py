"""Rasters written by rasterio, read back as tiles and compared with what pyproj says should be there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
from rasterio.transform import Affine
from rasters import SIDE, UTM, UTM_ORIGIN, only, ramp, read_all, unplaced, where_from, write

from geoanchor.errors import BadInput, UsageError
from geoanchor.tiling import Bounds, Tile, distance_m
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions, open_source

PLACES = {
    "utm north": (UTM, UTM_ORIGIN),
    "utm south": ("EPSG:32733", Affine(1.0, 0.0, 400_000.0, 0.0, -1.0, 6_200_000.0)),
    "nad83": ("EPSG:26914", UTM_ORIGIN),
    "web mercator": ("EPSG:3857", Affine(2.0, 0.0, 1_000_000.0, 0.0, -2.0, 6_000_000.0)),
    "degrees": ("EPSG:4326", Affine(1e-5, 0.0, 11.5, 0.0, -1e-5, 48.0)),
    "feet": ("EPSG:2263", Affine(3.0, 0.0, 980_000.0, 0.0, -3.0, 200_000.0)),
    "polar": ("EPSG:3413", Affine(10.0, 0.0, -200_000.0, 0.0, -10.0, -2_000_000.0)),
    "rotated": (UTM, UTM_ORIGIN * Affine.rotation(30)),
    "upside down": (UTM, Affine(1.0, 0.0, 500_000.0, 0.0, 1.0, 5_200_000.0)),
    "oblong pixels": (UTM, Affine(2.0, 0.0, 500_000.0, 0.0, -1.0, 5_200_000.0)),
}


@pytest.mark.parametrize("place", PLACES)
def test_pixels_lie_where_pyproj_says(tmp_path: Path, place: str) -> None:
    crs, transform = PLACES[place]
    images = read_all(write(tmp_path / "a.tif", ramp(), crs, transform))
    seen = 0
    for image in images:
        assert image.tile is not None
        assert image.bounds == pytest.approx(
            tuple(mercantile.bounds(image.tile.x, image.tile.y, image.tile.z)), abs=1e-9
        )
        cols, rows = where_from(image.tile, crs, transform)
        inside = (cols > 2) & (rows > 2) & (cols < SIDE - 2) & (rows < SIDE - 2)
        outside = (cols < -1) | (rows < -1) | (cols > SIDE + 1) | (rows > SIDE + 1)
        # A pixel's value is its index, its centre lies half a pixel further.
        assert np.abs(image.pixels[..., 0][inside] - (cols[inside] - 0.5)).max() <= 1.0
        assert np.abs(image.pixels[..., 1][inside] - (rows[inside] - 0.5)).max() <= 1.0
        assert (image.pixels[..., 2][inside] == 90).all()
        assert (image.pixels[outside] == 0).all()
        assert image.nodata == pytest.approx(
            1 - ((cols > 0) & (rows > 0) & (cols < SIDE) & (rows < SIDE)).mean(), abs=0.02
        )
        seen += int(inside.sum())
    assert seen > 10_000


@pytest.mark.parametrize("place", PLACES)
def test_plan_lists_exactly_the_tiles_under_the_outline(tmp_path: Path, place: str) -> None:
    crs, transform = PLACES[place]
    source = open_raster(str(write(tmp_path / "a.tif", ramp(), crs, transform)), SourceOptions())
    planned = {ref.tile for ref in source.plan()}
    around = {Tile(t.z, t.x + dx, t.y + dy) for t in planned if t for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
    for tile in around:
        cols, rows = where_from(tile, crs, transform)
        inside = (cols > 0) & (rows > 0) & (cols < SIDE) & (rows < SIDE)
        # A sliver thinner than a pixel is left out, anything thicker than three must not be.
        if tile in planned:
            assert inside.any()
        else:
            assert min(inside.any(axis=0).sum(), inside.any(axis=1).sum()) <= 3


def test_a_rotated_strip_is_planned_along_its_length_only(tmp_path: Path) -> None:
    values = np.full((1, 40, 4000), 100, np.uint8)
    path = write(tmp_path / "strip.tif", values, UTM, UTM_ORIGIN * Affine.rotation(45))
    planned = [ref.tile for ref in open_raster(str(path), SourceOptions(zoom=17)).plan()]
    width = len({tile.x for tile in planned if tile})
    assert width > 10
    assert len(planned) < 3 * width


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32601"])
def test_a_raster_across_the_antimeridian(tmp_path: Path, crs: str) -> None:
    if crs == "EPSG:4326":
        transform = Affine(1e-4, 0.0, 179.99, 0.0, -1e-4, -16.0)
    else:
        transform = Affine(10.0, 0.0, 347_500.0, 0.0, -10.0, 7_000_000.0)
    source = open_raster(str(write(tmp_path / "fiji.tif", ramp(), crs, transform)), SourceOptions())
    images = [source.read(ref) for ref in source.plan()]
    sides = {(image.point or (0, 0))[0] > 0 for image in images}
    assert sides == {True, False}
    assert len(images) < 30
    for image in images:
        assert image.nodata < 1.0
        blue = image.pixels[..., 2]
        assert set(np.unique(blue)) <= {0, 90}


def test_longitudes_counted_from_0_to_360(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(), "EPSG:4326", Affine(1e-4, 0.0, 250.0, 0.0, -1e-4, 40.0))
    image = max(read_all(path), key=lambda image: -image.nodata)
    assert image.point is not None
    assert -110.0 < image.point[0] < -109.9
    cols, rows = where_from(image.tile, "EPSG:4326", Affine(1e-4, 0.0, -110.0, 0.0, -1e-4, 40.0))  # type: ignore[arg-type]
    inside = (cols > 2) & (rows > 2) & (cols < SIDE - 2) & (rows < SIDE - 2)
    assert np.abs(image.pixels[..., 0][inside] - (cols[inside] - 0.5)).max() <= 1.0


def test_the_whole_world_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "world.tif", np.full((1, 180, 360), 77, np.uint8), "EPSG:4326", Affine(1, 0, -180, 0, -1, 90)
    )
    images = read_all(path, zoom=1)
    assert len(images) == 4
    assert all((image.pixels == 77).all() and image.nodata == 0 for image in images)


def test_a_zoom_far_coarser_than_the_raster_gives_one_tile(tmp_path: Path) -> None:
    image = only(read_all(write(tmp_path / "a.tif", ramp()), zoom=3))
    assert image.tile is not None
    bounds = image.tile.bounds
    assert bounds.west < -99 < bounds.east


def test_gsd_is_metres_on_the_ground_in_any_crs(tmp_path: Path) -> None:
    for place, expected in (("utm north", 1.0), ("feet", 3 * 0.3048), ("polar", 10.0), ("oblong pixels", 2**0.5)):
        image = read_all(write(tmp_path / f"{place}.tif", ramp(), *PLACES[place]))[0]
        assert image.gsd_m == pytest.approx(expected, rel=0.04), place
    image = read_all(write(tmp_path / "d.tif", ramp(), *PLACES["degrees"]))[0]
    across = distance_m(11.5, 48.0, 11.50001, 48.0) * distance_m(11.5, 48.0, 11.5, 47.99999)
    assert image.gsd_m == pytest.approx(across**0.5, rel=1e-3)
    # Mercator metres shrink with latitude.
    image = read_all(write(tmp_path / "m.tif", ramp(), *PLACES["web mercator"]))[0]
    assert image.gsd_m == pytest.approx(2.0 * np.cos(np.radians(47.35)), rel=0.01)


def test_zoom_is_the_one_nearest_the_gsd_and_size_counts(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.tif", ramp()))
    source = open_raster(path, SourceOptions())
    assert source.zoom is not None
    image = source.read(next(iter(source.plan())))
    assert image.tile is not None
    assert abs(np.log2(image.tile.gsd_m(256) / 1.0)) <= 0.5
    assert open_raster(path, SourceOptions(size_px=512)).zoom == source.zoom - 1
    assert image.crs == UTM


def test_native_facts_dates_and_provenance(tmp_path: Path) -> None:
    tagged = write(tmp_path / "a.tif", ramp(), tags={"TIFFTAG_DATETIME": "2021:06:30 11:12:13"})
    assert read_all(tagged)[0].acquired == datetime(2021, 6, 30, 11, 12, 13)
    named = write(tmp_path / "m_4709963_se_14_1_20090818.tif", ramp())
    image = read_all(named)[0]
    assert image.acquired == datetime(2009, 8, 18)
    assert image.source == str(named)
    assert image.id.startswith("aerial/m_4709963_se_14_1_20090818-")
    assert image.id.endswith(f"/{image.tile}")
    for name in ("a_2009-08-18.tif", "b_20090818101112.tif", "c_20090818T101112.tif"):
        assert read_all(write(tmp_path / name, ramp()))[0].acquired == datetime(2009, 8, 18)
    for impossible in ("a_20201340.tif", "a_19991231999.tif", "a_29990101.tif"):
        assert read_all(write(tmp_path / impossible, ramp()))[0].acquired is None


def test_formats_give_the_same_tiles(tmp_path: Path) -> None:
    values = ramp()
    plain = read_all(write(tmp_path / "a.tif", values))
    cog = write(tmp_path / "cog.tif", values, driver="COG")
    jp2 = write(tmp_path / "b.jp2", values, driver="JP2OpenJPEG", quality=100, reversible="YES")
    vrt = tmp_path / "c.vrt"
    with rasterio.open(tmp_path / "a.tif") as file:
        rasterio.shutil.copy(file, vrt, driver="VRT")
    for path in (cog, jp2, vrt):
        same = read_all(path)
        assert [image.tile for image in same] == [image.tile for image in plain]
        for a, b in zip(plain, same, strict=True):
            assert np.abs(a.pixels.astype(int) - b.pixels).max() <= 1, path.name


def test_neighbouring_tiles_join_without_a_seam(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 60_000, (40, 40)).astype(np.float64)
    values = np.kron(coarse, np.ones((50, 50)))[None].astype(np.uint16)
    path = write(tmp_path / "a.tif", values)
    large = min(read_all(path, zoom=13, size_px=2048), key=lambda image: image.nodata)
    parts = {image.tile: image for image in read_all(path, zoom=16, size_px=256)}
    whole, first = large.pixels, large.tile
    assert first is not None
    for tile, image in parts.items():
        assert tile is not None
        x, y = (tile.x - first.x * 8) * 256, (tile.y - first.y * 8) * 256
        if 0 <= x < 2048 and 0 <= y < 2048:
            difference = np.abs(whole[y : y + 256, x : x + 256].astype(int) - image.pixels)
            assert difference.mean() < 1.0


def test_a_coarser_zoom_averages_instead_of_skipping(tmp_path: Path) -> None:
    chequers = np.indices((1, 1000, 1000)).sum(axis=0).astype(np.uint8) % 2 * 200
    path = write(tmp_path / "a.tif", chequers)
    native = open_raster(str(path), SourceOptions()).zoom
    assert native is not None
    pixels = max(read_all(path, zoom=native - 3), key=lambda image: -image.nodata).pixels
    shown = pixels[pixels > 0]
    assert abs(float(np.median(shown)) - 100) <= 3


def test_a_raster_cut_short_fails_by_tile_and_leaves_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(1, 255, (3, 1024, 1024)).astype(np.uint8)
    cut = write(tmp_path / "m" / "cut.tif", noise, tiled=True, blockxsize=256, blockysize=256)
    write(tmp_path / "m" / "whole.tif", noise, transform=UTM_ORIGIN * Affine.translation(1024, 0))
    with open(cut, "r+b") as file:
        file.truncate(cut.stat().st_size // 2)
    source = open_source(str(tmp_path / "m"), SourceOptions())
    outcomes = []
    for ref in source.plan():
        try:
            outcomes.append(source.read(ref).nodata < 1)
        except BadInput:
            outcomes.append(False)
    assert 0 < outcomes.count(False) < len(outcomes) / 2
    with pytest.raises(BadInput, match=r"cut\.tif"):
        read_all(cut)


def test_rasters_that_cannot_be_placed_are_refused_in_one_sentence(tmp_path: Path) -> None:
    cases = {
        "no georeference": unplaced(tmp_path / "plain.tif"),
        "no CRS": write(tmp_path / "metres.tif", ramp(), None, UTM_ORIGIN),
        "degenerate": write(tmp_path / "flat.tif", ramp(), UTM, Affine(1.0, 1.0, 5e5, 1.0, 1.0, 5e6)),
        "outside its CRS": write(tmp_path / "far.tif", ramp(), UTM, Affine(1e9, 0.0, 1e12, 0.0, -1e9, 1e12)),
        "raster": tmp_path / "words.tif",
    }
    cases["raster"].write_text("no raster at all")
    for reason, path in cases.items():
        with pytest.raises(BadInput) as caught:
            open_raster(str(path), SourceOptions())
        assert reason in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        open_raster(str(tmp_path / "missing.tif"), SourceOptions())


def test_coordinates_without_a_crs_are_degrees_where_they_can_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(), None, PLACES["degrees"][1])
    assert read_all(path)[0].crs == "EPSG:4326"
    beside = write(tmp_path / "b.tif", ramp(), None, UTM_ORIGIN)
    beside.with_suffix(".prj").write_text(pyproj.CRS(UTM).to_wkt("WKT1_ESRI"))
    assert read_all(beside)[0].tile == read_all(write(tmp_path / "c.tif", ramp()))[0].tile


def test_within_keeps_tiles_by_their_centre(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp())
    every = [ref.tile for ref in open_raster(str(path), SourceOptions()).plan() if ref.tile]
    lng, lat = every[0].center
    near = Bounds(lng - 1e-9, lat - 1e-9, lng + 1e-9, lat + 1e-9)
    assert [ref.tile for ref in open_raster(str(path), SourceOptions(within=near)).plan()] == [every[0]]


def test_ids_and_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for year in ("2019", "2023"):
        write(tmp_path / year / "orthos" / "a.tif", ramp())
        write(tmp_path / year / "orthos" / "b.tif", ramp(), transform=UTM_ORIGIN * Affine.translation(5000, 0))

    def refs(path: Path | str, **options: Any) -> dict[str, str]:
        return {ref.id: ref.stamp for ref in open_source(str(path), SourceOptions(**options)).plan()}

    old, new = refs(tmp_path / "2019" / "orthos"), refs(tmp_path / "2023" / "orthos")
    assert not set(old) & set(new)
    assert all(name.startswith("aerial/orthos-") for name in old)
    monkeypatch.chdir(tmp_path / "2019")
    assert refs("orthos") == refs("../2019/orthos/") == old
    assert {name.replace("map/", "aerial/") for name in refs("orthos", layer="map")} == set(old)
    write(tmp_path / "2019" / "orthos" / "a.tif", ramp() // 2, compress="deflate")
    changed = refs("orthos")
    same = [name for name in old if old[name] == changed[name]]
    assert set(old) == set(changed)
    assert 0 < len(same) < len(old)
    assert all(a != b for a, b in zip(old.values(), refs("orthos", bands=(1,)).values(), strict=True))


def test_many_threads_read_what_one_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for number in range(20):
        values = rng.integers(0, 4000, (3, 200, 200)).astype(np.uint16)
        write(tmp_path / "m" / f"{number:02}.tif", values, transform=UTM_ORIGIN * Affine.translation(200 * number, 0))
    source = open_source(str(tmp_path / "m"), SourceOptions())
    refs = list(source.plan())
    alone = [source.read(ref).pixels for ref in refs]
    start = threading.Barrier(4)

    def work(_: int) -> list[np.ndarray]:
        start.wait()
        return [source.read(ref).pixels for ref in refs]

    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(work, range(4)):
            assert all(np.array_equal(a, b) for a, b in zip(alone, pixels, strict=True))
    source.close()
    source.close()


_BIG = """
import resource, sys
import numpy as np, rasterio
from rasterio.transform import Affine
from rasterio.windows import Window
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions
path = sys.argv[1]
side = 100_000
with rasterio.open(path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint16", crs="EPSG:32614",
                   transform=Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000), tiled=True, blockxsize=512, blockysize=512,
                   sparse_ok=True, nodata=0, bigtiff="YES", compress="deflate") as file:
    for at in range(0, side - 512, 9_000):
        file.write(np.full((3, 512, 512), 1 + at // 50, "uint16"), window=Window(at, at, 512, 512))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = open_raster(path, SourceOptions())
refs = list(source.plan())
data = sum(source.read(ref).nodata < 1 for ref in refs[:: len(refs) // 20])
coarse = open_raster(path, SourceOptions(zoom=11))
coarse_refs = list(coarse.plan())
assert coarse.read(coarse_refs[len(coarse_refs) // 2]).nodata < 1
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(refs), len(coarse_refs), (after - before) // 1024)
"""


def test_a_raster_larger_than_memory(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", _BIG, str(tmp_path / "big.tif")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"GDAL_CACHEMAX": "128"},
    )
    tiles, coarse, megabytes = map(int, done.stdout.split())
    assert tiles > 100_000
    assert coarse >= 4
    # 60 GB of values.
    assert megabytes < 700


# --- real data ---------------------------------------------------------------------------------------------------


def test_banepa_at_zoom_19_is_its_48_chips(shared_data: Path) -> None:
    folder = shared_data / "banepa" / "imagery"
    images = read_all(folder, zoom=19)
    assert len(images) == 48
    chips = {}
    for path in folder.glob("*.tif"):
        with rasterio.open(path) as chip:
            chips[tuple(round(value, 7) for value in chip.bounds)] = (chip.bounds, chip.res, chip.read())
    for image in images:
        assert image.bounds is not None
        bounds, (width, height), values = chips[tuple(round(value, 7) for value in image.bounds)]
        assert np.abs(np.subtract(image.bounds, bounds)).max() < min(width, height)
        halved = values.reshape(3, 256, 2, 256, 2).mean(axis=(2, 4))
        errors = {
            shift: np.abs(np.roll(np.moveaxis(halved, 0, -1), shift, (0, 1)) - image.pixels).mean()
            for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        }
        assert errors[0, 0] < 5.0
        assert 2 * errors[0, 0] < min(error for shift, error in errors.items() if shift != (0, 0))
        assert image.nodata == 0.0
        assert image.crs == "EPSG:4326"
        assert image.gsd_m == pytest.approx(0.132, abs=0.001)
    assert open_source(str(folder), SourceOptions()).zoom == 20


@pytest.mark.parametrize("year", ["20090818", "20140720", "20200831"])
def test_naip(shared_data: Path, year: str) -> None:
    path = next((shared_data / "naip").glob(f"*{year}.tif"))
    images = read_all(path)
    assert len(images) == 12
    assert {image.crs for image in images} == {"EPSG:26914"}
    assert {image.acquired for image in images} == {datetime.strptime(year, "%Y%m%d")}
    with rasterio.open(path) as file:
        values, transform = file.read((1, 2, 3)), file.transform
    for image in images:
        assert image.tile is not None
        cols, rows = where_from(image.tile, "EPSG:26914", transform)
        inside = (cols > 2) & (rows > 2) & (cols < values.shape[2] - 2) & (rows < values.shape[1] - 2)
        plain = values[:, rows[inside].astype(int), cols[inside].astype(int)].T
        # Nearest pixels against interpolated ones: the same picture, a little smoother.
        assert np.corrcoef(plain.ravel(), image.pixels[inside].ravel())[0, 1] > 0.95
        assert np.abs(plain.mean(axis=0) - image.pixels[inside].mean(axis=0)).max() < 1.0
