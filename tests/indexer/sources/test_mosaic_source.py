"""Several rasters read as one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
from PIL import Image
from rasterio.transform import Affine
from rasters import SIDE, UTM, UTM_ORIGIN, ramp, read_all, unplaced, where_from, write

import geoanchor
from app import upkeep
from geoanchor.errors import BadInput
from geoanchor.manifest import read_manifest
from indexer.sources.folder import open_folder
from indexer.sources.registry import SourceOptions


def test_a_mosaic_fills_from_the_first_that_has_data(tmp_path: Path) -> None:
    left, right = np.full((3, SIDE, SIDE), 50, np.uint8), np.full((3, SIDE, SIDE), 150, np.uint8)
    left[:, :, 200:] = 0
    write(tmp_path / "m" / "a.tif", left, nodata=0)
    write(tmp_path / "m" / "deeper" / "b.tif", right, transform=UTM_ORIGIN * Affine.translation(150, 0))
    for image in read_all(tmp_path / "m"):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (rows > 2) & (rows < SIDE - 2)
        assert (image.pixels[inside & (cols > 2) & (cols < 198)] == 50).all()
        assert (image.pixels[inside & (cols > 202) & (cols < 398)] == 150).all()
        assert image.source.endswith("a.tif") == bool((image.pixels == 50).any())


def test_a_mosaic_of_two_crs_matches_one_raster(tmp_path: Path) -> None:
    values = ramp()
    write(tmp_path / "m" / "a.tif", values[:, :, :130], UTM, UTM_ORIGIN)
    with rasterio.open(write(tmp_path / "whole.tif", values)) as whole:
        transform, width, height = rasterio.warp.calculate_default_transform(
            UTM, "EPSG:4326", SIDE, SIDE, *whole.bounds, dst_width=500, dst_height=500
        )
        warped = np.zeros((3, height, width), np.uint8)
        rasterio.warp.reproject(
            values,
            warped,
            src_transform=UTM_ORIGIN,
            src_crs=UTM,
            dst_transform=transform,
            dst_crs="EPSG:4326",
            resampling=1,
        )
    write(tmp_path / "m" / "b.tif", warped, "EPSG:4326", transform, nodata=0)
    images = read_all(tmp_path / "m", zoom=17)
    assert {image.crs for image in images} <= {UTM, "EPSG:4326"}
    for image in images:
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (cols > 3) & (rows > 3) & (cols < SIDE - 3) & (rows < SIDE - 3)
        assert np.abs(image.pixels[..., 0][inside] - (cols[inside] - 0.5)).max(initial=0) <= 2.0


def test_all_scenes_of_a_mosaic_are_stretched_alike(tmp_path: Path) -> None:
    dark, bright = np.full((1, SIDE, SIDE), 1000, np.uint16), np.full((1, SIDE, SIDE), 3000, np.uint16)
    write(tmp_path / "m" / "a.tif", dark)
    write(tmp_path / "m" / "b.tif", bright, transform=UTM_ORIGIN * Affine.translation(SIDE, 0))
    for image in read_all(tmp_path / "m"):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (rows > 2) & (rows < SIDE - 2)
        assert (image.pixels[inside & (cols > 2) & (cols < 248)] == 0).all()
        assert (image.pixels[inside & (cols > 252) & (cols < 498)] == 255).all()


def test_vector_files_beside_a_mosaic_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "m" / "a.tif", ramp())
    (tmp_path / "m" / "town.geojson").write_text("{}")
    source = open_folder(str(tmp_path / "m"), SourceOptions())
    *tiles, last = source.plan()
    assert all(ref.tile for ref in tiles)
    with pytest.raises(BadInput, match=r"\(1 vector file\): passed over.*/town\.geojson"):
        source.read(last)


def test_broken_members_are_counted_and_the_mosaic_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write(folder / "good.tif", ramp())
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_text("not a raster")
    (folder / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    unplaced(folder / "unplaced.tif")
    source = open_folder(str(folder), SourceOptions())
    refs = list(source.plan())
    tiles, broken = [ref for ref in refs if ref.tile], [ref for ref in refs if not ref.tile]
    assert len(tiles) == len(read_all(write(tmp_path / "alone.tif", ramp())))
    assert [ref.id.rsplit("/", 1)[1] for ref in broken] == ["empty.tif", "gone.tif", "text.tif", "unplaced.tif"]
    for ref in broken:
        with pytest.raises(BadInput) as caught:
            source.read(ref)
        assert str(folder) in caught.value.where
        assert caught.value.reason
        assert "\n" not in str(caught.value)
    assert (source.read(tiles[0]).nodata) < 1


def test_a_mosaic_and_pictures_in_one_folder(tmp_path: Path) -> None:
    write(tmp_path / "m" / "ortho.tif", ramp())
    Image.fromarray(np.moveaxis(ramp(), 0, -1)).save(tmp_path / "m" / "preview.png")
    images = read_all(tmp_path / "m")
    assert [image.tile is None for image in images] == [False] * (len(images) - 1) + [True]
    assert images[-1].id.endswith("/preview.png")
    shutil.rmtree(tmp_path / "m")


def test_pictures_beside_a_mosaic_are_its_source_s_too(tmp_path: Path) -> None:
    """Built, changed and thinned out: no row is a stranger, and none stays that is gone."""
    folder, index = tmp_path / "m", tmp_path / "i"
    write(folder / "ortho.tif", ramp())
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3)).astype(np.uint8)
    for number in range(2):
        Image.fromarray(noise[number]).save(folder / f"{number}.png")
    first = geoanchor.build(str(folder), index, model="toy")
    assert [record.rows for record in read_manifest(index).sources] == [first.rows]
    assert not [finding for finding in upkeep.doctor(index) if finding.level == "error"]
    Image.fromarray(noise[2]).save(folder / "0.png")
    (folder / "1.png").unlink()
    again = geoanchor.build(str(folder), index)
    assert (again.updated, again.removed) == (1, 1)
    assert again.rows == first.rows - 1
