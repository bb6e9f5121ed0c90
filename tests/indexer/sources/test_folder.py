"""Pictures written by Pillow into folders and tars, with and without a position, whole and damaged."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from photos import bomb, camera, gradient, read_all, read_one, save, world
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import PAPER, TileImage
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds
from indexer.sources.folder import open_file, open_folder, open_tar
from indexer.sources.registry import SourceOptions, open_source


def test_folder_lists_pictures_to_any_depth_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.PNG", "a/deep/er.webp", "c.tiff", "d.bmp", "e.gif"):
        save(tmp_path / "photos" / name)
    for other in ("notes.txt", ".hidden.jpg", "._b.jpg", ".git/x.png"):
        (tmp_path / "photos" / other).parent.mkdir(exist_ok=True)
        (tmp_path / "photos" / other).write_text("no picture")
    source = open_folder(str(tmp_path / "photos"), SourceOptions())
    results = read_all(source)
    assert list(results) == ["a/deep/er.webp", "a/z.PNG", "b.jpg", "c.tiff", "d.bmp", "e.gif"]
    for image in results.values():
        assert isinstance(image, TileImage)
        assert image.pixels.shape == (48, 64, 3)
        assert (image.tile, image.bounds, image.point, image.acquired, image.nodata) == (None, None, None, None, 0.0)
        assert image.layer == "aerial"
        assert Path(image.source).is_file()
    assert source.zoom is None
    assert [ref.id for ref in source.plan()] == [ref.id for ref in source.plan()]


def test_pixels_are_pillows_own_and_coded_bytes_are_kept(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        path = save(tmp_path / name)
        image = read_one(path)
        assert np.array_equal(image.pixels, np.asarray(Image.open(path).convert("RGB")))
        assert image.encoded == path.read_bytes()
    assert read_one(save(tmp_path / "a.bmp")).encoded is None


def test_ids_do_not_depend_on_where_one_stands_and_do_not_collide(tmp_path: Path, monkeypatch: Any) -> None:
    for year in ("2019", "2023"):
        save(tmp_path / year / "photos" / "a.jpg")

    def ids(uri: str, **options: Any) -> list[str]:
        return [ref.id for ref in open_source(uri, SourceOptions(**options)).plan()]

    first, second = ids(str(tmp_path / "2019/photos")), ids(str(tmp_path / "2023/photos"))
    assert first != second
    assert first[0].startswith("aerial/photos-")
    monkeypatch.chdir(tmp_path / "2019" / "photos")
    assert ids(".") == ids("../photos/") == ids("a.jpg") == first
    assert ids(".", layer="ground")[0] == first[0].replace("aerial/", "ground/")


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_position_and_time_by_the_camera(tmp_path: Path, suffix: str) -> None:
    image = read_one(save(tmp_path / f"a.{suffix}", exif=camera()), layer="ground")
    assert image.point == pytest.approx((-70.25, -33.5), abs=1e-6)
    assert image.acquired == datetime(2020, 2, 29, 10, 20, 30)
    assert (image.bounds, image.layer) == (None, "ground")


def test_odd_exif(tmp_path: Path) -> None:
    def point(**gps: Any) -> Any:
        return read_one(save(tmp_path / "a.jpg", exif=camera(gps=gps.get("gps", {}), lat=gps.get("lat", 1.0)))).point

    assert point() == pytest.approx((-70.25, 1.0))
    assert point(lat=95.0) is None
    assert point(gps={9: "V"}) is None
    assert point(gps={2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}) is None
    assert point(gps={2: (IFDRational(1, 0), 0.0, 0.0)}) is None
    moments = {
        "2020:13:45 10:20:30": None,
        "0000:00:00 00:00:00": None,
        "    :  :     :  :  ": None,
        "2020:02:29 10:20:30": datetime(2020, 2, 29, 10, 20, 30),
    }
    for text, moment in moments.items():
        assert read_one(save(tmp_path / "b.jpg", exif=camera(details={0x9003: text}))).acquired == moment
    offset = camera(details={0x9003: "2020:02:29 23:20:30", 0x9011: "-02:00"})
    assert read_one(save(tmp_path / "c.jpg", exif=offset)).acquired == datetime(2020, 3, 1, 1, 20, 30, tzinfo=UTC)
    only_changed = camera(details={}, tags={0x0132: "2011:01:02 03:04:05"})
    assert read_one(save(tmp_path / "d.jpg", exif=only_changed)).acquired == datetime(2011, 1, 2, 3, 4, 5)


def test_a_photo_held_upright_is_turned(tmp_path: Path) -> None:
    image = read_one(save(tmp_path / "a.png", exif=camera(tags={0x0112: 6})))
    assert image.pixels.shape == (64, 48, 3)
    assert np.array_equal(image.pixels, np.rot90(np.asarray(gradient()), -1))
    assert image.encoded is None


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.jpg", ".jgw"), ("a.png", ".pgw"), ("a.jpeg", ".wld"), ("a.png", ".PGW")]
)
def test_a_world_file_in_degrees(tmp_path: Path, name: str, suffix: str) -> None:
    # The numbers speak of the centre of the first pixel.
    image = read_one(world(tmp_path / name, suffix, (1e-5, 0, 0, -1e-5, 11.0 + 5e-6, 48.0 - 5e-6)))
    assert image.bounds == pytest.approx((11.0, 48.0 - 48e-5, 11.0 + 64e-5, 48.0), abs=1e-9)
    assert image.point == pytest.approx((11.00032, 47.99976), abs=1e-9)
    assert image.crs == "EPSG:4326"
    assert image.gsd_m == pytest.approx((1.11 * 0.745) ** 0.5, rel=0.01)


def test_a_world_file_in_metres_needs_a_prj(tmp_path: Path) -> None:
    numbers = (0.5, 0, 0, -0.5, 500_000.25, 5_200_000 - 0.25)
    image = read_one(world(tmp_path / "a.jpg", ".jgw", numbers, "EPSG:32614"))
    to_degrees = pyproj.Transformer.from_crs("EPSG:32614", "EPSG:4326", always_xy=True)
    assert image.bounds is not None
    assert (image.bounds.west, image.bounds.north) == pytest.approx(to_degrees.transform(500_000, 5_200_000), abs=1e-7)
    assert image.bounds.east == pytest.approx(to_degrees.transform(500_032, 5_199_976)[0], abs=1e-6)
    assert image.gsd_m == pytest.approx(0.5, rel=0.01)
    assert image.crs == "EPSG:32614"
    world(tmp_path / "b.jpg", ".jgw", numbers)
    results = read_all(open_folder(str(tmp_path), SourceOptions()))
    assert isinstance(results["a.jpg"], TileImage)
    assert "no CRS" in str(results["b.jpg"])
    assert ".prj" in str(results["b.jpg"])


def test_a_turned_picture_is_bounded_by_its_corners(tmp_path: Path) -> None:
    slant = 1e-5 / 2**0.5
    image = read_one(world(tmp_path / "a.png", ".pgw", (slant, -slant, -slant, -slant, 11.0, 48.0)))
    assert image.bounds is not None
    assert image.bounds.east - image.bounds.west == pytest.approx((64 + 48) * slant, rel=1e-6)


def test_damaged_sidecars_are_named(tmp_path: Path) -> None:
    sidecars = {"a.jgw": "1 2 three", "b.jgw": "0\n0\n0\n0\n5\n5\n", "c.jpg.aux.xml": "<PAMDataset><Geo"}
    for name, text in sidecars.items():
        save(tmp_path / (name[0] + ".jpg"))
        (tmp_path / name).write_text(text)
    world(tmp_path / "d.jpg", ".jgw", (1, 0, 0, -1, 5e5, 5e6))
    (tmp_path / "d.prj").write_text("PROJCS[nonsense")
    for sidecar, sentence in zip(
        (*sidecars, "d.prj"), read_all(open_folder(str(tmp_path), SourceOptions())).values(), strict=True
    ):
        assert sidecar in str(sentence)
        assert "\n" not in str(sentence)


def aux_xml(with_transform: bool) -> str:
    where = "<SRS>EPSG:4326</SRS><GeoTransform>11.0, 1e-5, 0, 48.0, 0, -1e-5</GeoTransform>" if with_transform else ""
    return f"<PAMDataset>{where}<Metadata><MDI key='STATISTICS_MEAN'>4</MDI></Metadata></PAMDataset>"


def test_aux_xml_places_a_picture_and_one_of_statistics_does_not(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
        (tmp_path / f"{name}.aux.xml").write_text(aux_xml(name == "a.png"))
    placed, bare = read_all(open_folder(str(tmp_path), SourceOptions())).values()
    assert isinstance(placed, TileImage)
    assert isinstance(bare, TileImage)
    assert placed.bounds == pytest.approx((11.0, 48.0 - 48e-5, 11.0 + 64e-5, 48.0))
    assert bare.bounds is None


def test_placed_pictures_are_cut_into_tiles_when_a_zoom_is_asked(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / "m" / name)
        (tmp_path / "m" / f"{name}.aux.xml").write_text(aux_xml(name == "a.png"))
    results = read_all(open_folder(str(tmp_path / "m"), SourceOptions(zoom=18)))
    tiles = [image for image in results.values() if isinstance(image, TileImage) and image.tile]
    assert tiles
    assert {image.tile.z for image in tiles if image.tile} == {18}
    assert isinstance(results["b.png"], TileImage)
    assert results["b.png"].tile is None
    single = read_all(open_file(str(tmp_path / "m" / "a.png"), SourceOptions(zoom=18)))
    assert len(single) == len(tiles)


MODES = {
    "grey.png": Image.fromarray(np.full((9, 9), 130, np.uint8)),
    "bit.png": Image.fromarray(np.full((9, 9), 255, np.uint8)).convert("1"),
    "palette.png": Image.new("RGB", (9, 9), (200, 30, 40)).quantize(4),
    "cmyk.jpg": Image.new("RGB", (9, 9), (200, 30, 40)).convert("CMYK"),
    "cmyk.tif": Image.new("CMYK", (9, 9), (0, 255, 255, 0)),
    "ycbcr.jpg": Image.new("YCbCr", (9, 9), (130, 128, 128)),
    "lab.tif": Image.new("RGB", (9, 9), (130, 130, 130)),
}
COLOURS = {"grey.png": 130, "bit.png": 255, "ycbcr.jpg": 130, "lab.tif": 130, "cmyk.tif": (255, 0, 0)}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(tmp_path: Path, name: str) -> None:
    image = read_one(save(tmp_path / name, MODES[name]))
    expected = np.array(COLOURS.get(name, (200, 30, 40)))
    assert image.pixels.shape == (9, 9, 3)
    assert np.abs(image.pixels.astype(int) - expected).max() <= 6
    assert (image.encoded is None) == (name not in ("grey.png", "ycbcr.jpg"))


def test_sixteen_bits_and_floats_are_stretched_not_cut_off(tmp_path: Path) -> None:
    values = np.linspace(1000, 3000, 64 * 48).reshape(48, 64)
    for name, kind in (("a.png", np.uint16), ("a.tif", np.uint16), ("b.tif", np.float32)):
        pixels = read_one(save(tmp_path / name, Image.fromarray(values.astype(kind)))).pixels
        assert (pixels[..., 0] == pixels[..., 2]).all()
        assert pixels.min() == 0
        assert pixels.max() == 255
        assert abs(float(np.median(pixels)) - 127.5) < 3, name


def test_transparency_shows_the_ground_and_counts_as_no_data(tmp_path: Path) -> None:
    rgba = np.full((10, 10, 4), (200, 100, 50, 255), np.uint8)
    rgba[:5, :, 3] = 0
    grey = np.full((10, 10, 2), (200, 255), np.uint8)
    grey[:5, :, 1] = 0
    for name, array in (("a.png", rgba), ("b.png", grey), ("c.webp", rgba)):
        picture = save(tmp_path / name, Image.fromarray(array), **({"lossless": True} if name == "c.webp" else {}))
        image = read_one(picture)
        assert image.nodata == 0.5
        assert (image.pixels[:5] == 0).all()
        assert tuple(image.pixels[7, 7]) == tuple(Image.fromarray(array).convert("RGB").getpixel((7, 7)))  # type: ignore[arg-type]
        assert (read_one(picture, layer="map").pixels[:5] == PAPER).all()
        assert image.encoded is None


def test_a_large_photo_is_decoded_at_a_fraction(tmp_path: Path) -> None:
    image = read_one(save(tmp_path / "a.jpg", gradient(64, 48).resize((4096, 3072)), exif=camera()))
    assert image.pixels.shape == (1536, 2048, 3)
    assert image.point is not None
    # The world file still counts in pixels of the file.
    placed = read_one(world(tmp_path / "b.jpg", ".jgw", (1e-5, 0, 0, -1e-5, 11.0 + 5e-6, 48.0 - 5e-6)))
    save(tmp_path / "b.jpg", gradient().resize((4096, 3072)))
    large = read_one(tmp_path / "b.jpg")
    assert large.bounds is not None
    assert placed.bounds is not None
    assert large.bounds.east - 11.0 == pytest.approx(64 * (placed.bounds.east - 11.0))


def test_bad_files_are_one_sentence_each_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    good = save(folder / "good.jpg")
    save(folder / "good.tif")
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:300])
    whole = save(tmp_path / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("I am a poem.")
    (folder / "text.tif").write_text("I am a poem.")
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    results = read_all(open_folder(str(folder), SourceOptions()))
    bad = {name: text for name, text in results.items() if isinstance(text, str)}
    assert [name for name in results if name not in bad] == ["good.jpg", "good.tif"]
    reasons = {
        "cut.jpg": "cut short",
        "cut.png": "cut short",
        "empty.png": "empty",
        "text.jpg": "not a picture",
        "text.tif": "cannot be read as a raster",
        "bomb.png": "pixels",
        "dangling.jpg": "cannot be read",
        "itself.jpg": "cannot be read",
        "pipe.jpg": "regular file",
    }
    assert set(bad) == set(reasons)
    for name, sentence in bad.items():
        assert reasons[name] in sentence
        assert str(folder / name) in sentence
        assert "\n" not in sentence


def test_the_pixel_limit_is_the_settings(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    settings = Settings(max_pixels=64 * 48 - 1)
    with pytest.raises(BadInput, match="64 x 48 pixels are over the limit of 3071"):
        read_one(path, settings=settings)
    assert read_one(path, settings=Settings(max_pixels=64 * 48)).pixels.size
    with pytest.raises(BadInput, match="over the limit"):
        read_one(save(tmp_path / "a.tif"), settings=settings)


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "photos" / "a.jpg")
    save(tmp_path / "photos" / "locked" / "b.jpg")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    results = read_all(open_folder(str(tmp_path / "photos"), SourceOptions()))
    assert isinstance(results["a.jpg"], TileImage)
    assert "locked: the folder cannot be listed (Permission denied)" in str(results["locked"])
    with pytest.raises(BadInput, match="Permission denied"):
        open_folder(str(tmp_path / "photos" / "locked"), SourceOptions())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.jpg")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BadInput, match=r"a\.jpg: cannot be read \(Permission denied\)"):
        read_one(path)


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(BadInput, match="holds no pictures"):
        open_folder(str(tmp_path), SourceOptions())
    for opener, name in ((open_file, "a.jpg"), (open_tar, "a.tar")):
        with pytest.raises(UsageError, match="no such file"):
            opener(str(tmp_path / name), SourceOptions())


def test_vector_files_beside_pictures_are_reported(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "a.geojson").write_text("{}")
    (tmp_path / "b.osm.pbf").write_bytes(b"")
    results = read_all(open_folder(str(tmp_path), SourceOptions()))
    assert list(results) == ["a.png", "(2 vector files)"]
    assert re.search(r"passed over.*index each by its own name, like .*/a\.geojson", str(results["(2 vector files)"]))
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadInput, match="holds no pictures"):
        open_folder(str(tmp_path), SourceOptions())


def test_a_hidden_file_is_refused_by_its_name(tmp_path: Path) -> None:
    save(tmp_path / ".hidden.png", gradient())
    with pytest.raises(
        UsageError, match=r"\.hidden\.png: names that begin with a dot are passed over; rename the file"
    ):
        open_source(str(tmp_path / ".hidden.png"), SourceOptions())


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        gradient().save(file, "PNG")
    ((name, image),) = read_all(open_folder(str(tmp_path), SourceOptions())).items()
    assert name == "caf\\xe9.png"
    assert isinstance(image, TileImage)
    for text in (image.id, image.source):
        text.encode("utf-8")


def test_within_asks_where_pictures_lie(tmp_path: Path) -> None:
    save(tmp_path / "inside.jpg", exif=camera())
    save(tmp_path / "outside.jpg", exif=camera(lat=40.0))
    save(tmp_path / "nowhere.jpg")
    (tmp_path / "broken.jpg").write_text("words")
    world(tmp_path / "placed.png", ".pgw", (1e-5, 0, 0, -1e-5, -70.3, -33.4))
    source = open_folder(str(tmp_path), SourceOptions(within=Bounds(-71, -34, -70, -33)))
    refs = {ref.id.rsplit("/", 1)[1]: ref for ref in source.plan()}
    assert list(refs) == ["broken.jpg", "inside.jpg", "placed.png"]
    assert refs["inside.jpg"].point == pytest.approx((-70.25, -33.5))


def test_stamps_change_with_the_picture_and_its_sidecar(tmp_path: Path) -> None:
    path = world(tmp_path / "a.jpg", ".jgw", (1e-5, 0, 0, -1e-5, 11.0, 48.0))
    other = save(tmp_path / "b.jpg")

    def stamps() -> dict[str, str]:
        refs = open_folder(str(tmp_path), SourceOptions()).plan()
        return {ref.id.rsplit("/", 1)[1]: ref.stamp for ref in refs}

    before = stamps()
    assert stamps() == before
    path.with_suffix(".jgw").write_text("2e-5\n0\n0\n-2e-5\n11.0\n48.0\n")
    moved = stamps()
    assert moved["a.jpg"] != before["a.jpg"]
    assert moved["b.jpg"] == before["b.jpg"]
    save(other, gradient().rotate(180))
    assert stamps()["b.jpg"] != before["b.jpg"]


def test_gps_photos(shared_data: Path) -> None:
    folder = shared_data / "gps_photos"
    results = read_all(open_folder(str(folder), SourceOptions(layer="ground")))
    expected = {
        "DSCN0010.jpg": (11 + 53 / 60 + 6.456 / 3600, 43 + 28 / 60 + 2.814 / 3600),
        "DSCN0021.jpg": (11 + 53 / 60 + 4.338 / 3600, 43 + 28 / 60 + 1.494 / 3600),
        "DSCN0042.jpg": (11 + 52 / 60 + 53.322 / 3600, 43 + 27 / 60 + 52.038 / 3600),
    }
    for name, point in expected.items():
        image = results[name]
        assert isinstance(image, TileImage)
        assert image.point == pytest.approx(point, abs=1e-6)
        assert image.acquired is not None
        assert image.acquired.date() == datetime(2008, 10, 22).date()
        assert image.pixels.shape == (480, 640, 3)
        assert image.encoded == (folder / name).read_bytes()
