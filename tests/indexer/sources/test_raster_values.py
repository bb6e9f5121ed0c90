"""Numbers of any type, bands, masks and palettes of a raster become pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasters import SIDE, UTM, UTM_ORIGIN, ramp, read_all, where_from, write

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import PAPER


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_other_types_are_stretched_alike_in_every_tile(tmp_path: Path, dtype: str) -> None:
    values = (ramp().astype(np.float64) * 7 + (-300 if dtype[0] in "if" else 300)).astype(dtype)
    path = write(tmp_path / "a.tif", values)
    low, high = np.percentile(np.arange(SIDE), (2, 98))
    for image in read_all(path):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (cols > 2) & (rows > 2) & (cols < SIDE - 2) & (rows < SIDE - 2)
        expected = np.clip((cols - 0.5 - low) / (high - low) * 255, 0, 255)[inside]
        assert np.abs(image.pixels[..., 0][inside] - expected).max() < 3.0


def test_nan_and_infinity_are_no_data_and_do_not_bend_the_stretch(tmp_path: Path) -> None:
    values = ramp()[:1].astype(np.float32)
    clean = read_all(write(tmp_path / "clean.tif", values))
    values[0, :50], values[0, 60:70] = np.nan, np.inf
    values[0, 80:90] = -np.inf
    holed = read_all(write(tmp_path / "holed.tif", values))
    total = [sum(1 - image.nodata for image in images) for images in (clean, holed)]
    assert total[1] / total[0] == pytest.approx((250 - 70) / 250, abs=0.02)
    for a, b in zip(clean, holed, strict=True):
        assert a.tile is not None
        cols, rows = where_from(a.tile, UTM, UTM_ORIGIN)
        whole = (cols > 2) & (cols < 248) & (rows > 95) & (rows < 248)
        assert np.abs(a.pixels[whole].astype(int) - b.pixels[whole]).max(initial=0) <= 2
        assert (b.pixels[(rows > 2) & (rows < 48)] == 0).all()


def test_nodata_counts_only_where_every_band_has_it_and_leaves_no_dark_rim(tmp_path: Path) -> None:
    values = np.full((4, SIDE, SIDE), 200, np.uint8)
    values[0, :, :100] = 0  # a red channel of nothing is a colour
    values[:, :, 150:] = 0  # nothing in all is no data
    for image in read_all(write(tmp_path / "a.tif", values, nodata=0)):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (rows > 2) & (rows < SIDE - 2)
        assert (image.pixels[inside & (cols > 2) & (cols < 98)] == (0, 200, 200)).all()
        assert (image.pixels[inside & (cols > 152)] == 0).all()
        rim = image.pixels[inside & (cols > 103) & (cols < 152)]
        assert set(np.unique(rim)) <= {0, 200}


@pytest.mark.parametrize(("dtype", "hole"), [("float32", -9999.0), ("int16", -32768)])
def test_what_is_never_measured_is_no_data_though_nothing_declares_it(tmp_path: Path, dtype: str, hole: float) -> None:
    """A tenth of it would else be the dark end of the range, and all the rest white."""
    values = np.random.default_rng(0).uniform(0, 200, (3, SIDE, SIDE)).astype(dtype)
    values[:, :30] = hole
    for image in read_all(write(tmp_path / "a.tif", values)):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (cols > 2) & (cols < SIDE - 2)
        assert (image.pixels[inside & (rows > 2) & (rows < 28)] == 0).all()
        assert 90 < image.pixels[inside & (rows > 32) & (rows < SIDE - 2)].mean() < 165


def test_sloppy_float_nodata(tmp_path: Path) -> None:
    values = np.full((1, SIDE, SIDE), 5.0, np.float32)
    values[0, :, :100] = -3.4028235e38
    values[0, :, 200:] = 9.0
    for image in read_all(write(tmp_path / "a.tif", values, nodata=-3.40282346638529e38)):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (rows > 2) & (rows < SIDE - 2)
        assert (image.pixels[inside & (cols > 2) & (cols < 98)] == 0).all()
        assert (image.pixels[inside & (cols > 202) & (cols < 248)] == 255).all()


def test_alpha_bands_and_masks_tell_where_data_is(tmp_path: Path) -> None:
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    alpha = np.full((1, SIDE, SIDE), 255, np.uint8)
    alpha[0, :, 100:] = 0
    with_alpha = np.concatenate([np.full((3, SIDE, SIDE), 120, np.uint8), alpha])
    a = read_all(write(tmp_path / "alpha.tif", with_alpha, colorinterp=colours))
    path = write(tmp_path / "mask.tif", with_alpha[:3])
    with rasterio.open(path, "r+") as file:
        file.write_mask(alpha[0])
    b = read_all(path)
    for images in (a, b):
        assert sum(1 - image.nodata for image in images) > 0.1
        for image in images:
            assert image.tile is not None
            cols, _ = where_from(image.tile, UTM, UTM_ORIGIN)
            assert (image.pixels[cols > 102] == 0).all()
            assert set(np.unique(image.pixels)) <= {0, 120}


def test_which_bands_are_shown(tmp_path: Path) -> None:
    values = np.stack([np.full((SIDE, SIDE), value, np.uint8) for value in (10, 60, 110, 160)])

    def colour(name: str, shown: np.ndarray, bands: tuple[int, ...] | None = None, **profile: Any) -> tuple[int, ...]:
        images = read_all(write(tmp_path / name, shown, **profile), bands=bands)
        pixels = max(images, key=lambda image: -image.nodata).pixels
        return tuple(int(value) for value in pixels.reshape(-1, 3).max(axis=0))

    order = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    assert colour("naip.tif", values) == (10, 60, 110)
    assert colour("bgr.tif", values, colorinterp=order) == (110, 60, 10)
    assert colour("infrared.tif", values, bands=(4, 1, 2)) == (160, 10, 60)
    assert colour("near.tif", values, bands=(4,)) == (160, 160, 160)
    assert colour("grey.tif", values[:1]) == (10, 10, 10)
    grey_alpha = np.concatenate([values[1:2], np.full((1, SIDE, SIDE), 255, np.uint8)])
    assert colour("ga.tif", grey_alpha, colorinterp=[ColorInterp.gray, ColorInterp.alpha]) == (60, 60, 60)
    with pytest.raises(BadInput, match="no band 9"):
        colour("none.tif", values, bands=(9, 1, 2))
    with pytest.raises(UsageError, match="2 bands make no colour"):
        colour("two.tif", values, bands=(1, 2))


def test_palette_cmyk_and_one_bit(tmp_path: Path) -> None:
    index = np.zeros((1, SIDE, SIDE), np.uint8)
    index[0, :, 125:] = 3
    path = write(tmp_path / "palette.tif", index, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (255, 0, 0, 255), 3: (0, 0, 255, 255)})
    for image in read_all(path):
        assert image.tile is not None
        cols, rows = where_from(image.tile, UTM, UTM_ORIGIN)
        inside = (rows > 2) & (rows < SIDE - 2)
        assert (image.pixels[inside & (cols > 2) & (cols < 123)] == (255, 0, 0)).all()
        assert (image.pixels[inside & (cols > 127) & (cols < 248)] == (0, 0, 255)).all()
    ink = np.stack([np.full((SIDE, SIDE), value, np.uint8) for value in (0, 255, 255, 0)])
    pixels = read_all(write(tmp_path / "cmyk.tif", ink, photometric="CMYK"))[0].pixels
    assert tuple(pixels.reshape(-1, 3).max(axis=0)) == (255, 0, 0)
    bits = (index > 0).astype(np.uint8)
    pixels = max(read_all(write(tmp_path / "bit.tif", bits, nbits=1)), key=lambda image: -image.nodata).pixels
    assert pixels.max() == 255


def test_complex_values_have_no_colour(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="complex64"):
        read_all(write(tmp_path / "radar.tif", ramp().astype(np.complex64)))


def test_spacenet_types_become_pictures_with_contrast(shared_data: Path) -> None:
    for name, zoom, crs in (("pan_uint16.tif", 18, "EPSG:32616"), ("ms1.tif", 17, "EPSG:32631")):
        images = read_all(shared_data / "spacenet" / name)
        pixels = np.concatenate([image.pixels.reshape(-1, 3) for image in images if image.nodata < 0.1])
        assert {image.tile.z for image in images if image.tile} == {zoom}
        assert {image.crs for image in images} == {crs}
        low, high = np.percentile(pixels, (5, 95))
        assert low < 60
        assert high > 150
        assert (name == "pan_uint16.tif") == bool((pixels[:, 0] == pixels[:, 2]).all())


def test_where_a_map_has_no_data_it_shows_paper(tmp_path: Path) -> None:
    """Black would be taken for the ground of a dark style, and what lies on it for roads."""
    crs, transform = UTM, UTM_ORIGIN * Affine.rotation(30)
    images = read_all(write(tmp_path / "a.tif", ramp(), crs, transform), layer="map")
    assert max(image.nodata for image in images) > 0.3
    for image in images:
        cols, rows = where_from(image.tile, crs, transform)
        outside = (cols < -1) | (rows < -1) | (cols > SIDE + 1) | (rows > SIDE + 1)
        assert (image.pixels[outside] == PAPER).all()
