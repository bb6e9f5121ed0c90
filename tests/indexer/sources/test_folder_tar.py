"""Pictures in a tar file are read as those in a folder."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from photos import camera, gradient, pack, read_all, save, world
from PIL import Image

from geoanchor.errors import BadInput
from geoanchor.image import TileImage
from indexer.sources.folder import open_folder, open_tar
from indexer.sources.registry import SourceOptions, open_source


def test_a_file_that_tar_wrote_as_a_link_to_another_is_that_one(tmp_path: Path) -> None:
    photo = save(tmp_path / "photos" / "a.png")
    os.link(photo, photo.with_name("b.png"))
    path = pack(tmp_path / "p.tar", photo.parent, "w")
    with tarfile.open(path, "a") as archive:
        lost = tarfile.TarInfo("c.png")
        lost.type, lost.linkname = tarfile.LNKTYPE, "elsewhere.png"
        archive.addfile(lost)
        assert [member.islnk() for member in archive if member.name.endswith("png")].count(True) == 2
    found = read_all(open_tar(str(path), SourceOptions()))
    assert list(found) == ["a.png", "b.png", "c.png"]
    first, second, third = found.values()
    assert isinstance(first, TileImage)
    assert isinstance(second, TileImage)
    assert np.array_equal(first.pixels, second.pixels)
    assert "link to elsewhere.png" in str(third)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
def test_a_tar_holds_what_the_folder_holds(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "photos"
    save(folder / "a" / "b.jpg", exif=camera())
    world(folder / "c.png", ".pgw", (1e-5, 0, 0, -1e-5, 11.0, 48.0))
    (folder / "bad.jpg").write_text("words")
    (folder / ".hidden.jpg").write_text("words")
    path = pack(tmp_path / f"p.{suffix}", folder, "w" if suffix == "tar" else "w:gz")
    source = open_source(str(path), SourceOptions())
    from_tar, from_folder = read_all(source), read_all(open_folder(str(folder), SourceOptions()))
    assert list(from_tar) == list(from_folder) == ["a/b.jpg", "bad.jpg", "c.png"]
    for name, image in from_folder.items():
        other = from_tar[name]
        assert isinstance(image, TileImage) == isinstance(other, TileImage) == (name != "bad.jpg")
        if isinstance(image, TileImage) and isinstance(other, TileImage):
            assert np.array_equal(image.pixels, other.pixels)
            facts = ("bounds", "point", "gsd_m", "crs", "acquired", "encoded")
            assert [getattr(image, fact) for fact in facts] == [getattr(other, fact) for fact in facts]
    source.close()
    source.close()


def test_rasters_in_a_tar_keep_their_place(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    folder = tmp_path / "chips"
    folder.mkdir()
    values = np.linspace(0, 5000, 4 * 32 * 32).reshape(4, 32, 32)
    with rasterio.open(
        folder / "a.tif", "w", driver="GTiff", width=32, height=32, count=4, dtype="float64", crs="EPSG:32614",
        transform=rasterio.transform.from_origin(500_000, 5_200_000, 10, 10),
    ) as file:  # fmt: skip
        file.write(values)
    image = read_all(open_tar(str(pack(tmp_path / "c.tar", folder)), SourceOptions()))["a.tif"]
    assert isinstance(image, TileImage)
    assert image.bounds is not None
    assert (image.crs, image.pixels.shape) == ("EPSG:32614", (32, 32, 3))
    assert image.gsd_m == pytest.approx(10, rel=0.01)
    assert image.bounds.west == pytest.approx(-99.0, abs=1e-6)


def test_rasters_in_a_tar_keep_the_date_in_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rasterio = pytest.importorskip("rasterio")
    # The name that the bytes are given in memory is random; this one looks like a date.
    named = partial(rasterio.MemoryFile, filename="20010203.tif")
    monkeypatch.setattr("indexer.sources.scenereader.MemoryFile", named)
    folder = tmp_path / "chips"
    folder.mkdir()
    for name in ("ortho_20190412.tif", "ortho.tif"):
        Image.new("L", (8, 8), 7).save(folder / name)
    images = read_all(open_tar(str(pack(tmp_path / "c.tar", folder)), SourceOptions()))
    dates = {name: image.acquired for name, image in images.items() if isinstance(image, TileImage)}
    assert dates == {"ortho_20190412.tif": datetime(2019, 4, 12), "ortho.tif": None}


@pytest.mark.parametrize("packed", [False, True])
def test_a_tar_cut_short_gives_what_is_left(tmp_path: Path, packed: bool) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        noise = Image.fromarray(rng.integers(0, 255, (60, 60, 3)).astype(np.uint8))
        save(tmp_path / "photos" / f"{number}.png", noise)
    path = pack(tmp_path / "p.tar", tmp_path / "photos", "w:gz" if packed else "w")
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    results = list(read_all(open_tar(str(path), SourceOptions())).values())
    good = [image for image in results if isinstance(image, TileImage)]
    assert 1 <= len(good) <= 4
    assert any("cut short" in str(image) for image in results if isinstance(image, str))


def test_what_is_no_tar(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"words" * 500, b"\x1f\x8bwords")):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(data)
        with pytest.raises(BadInput, match=rf"{number}\.tar: "):
            open_tar(str(path), SourceOptions())


def test_a_tar_cannot_reach_outside_itself(tmp_path: Path) -> None:
    save(tmp_path / "secret.png")
    path = tmp_path / "p.tar"
    data = io.BytesIO()
    gradient().save(data, "PNG")
    with tarfile.open(path, "w") as archive:
        for name in ("../../up.png", "/etc/root.png"):
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    results = read_all(open_tar(str(path), SourceOptions()))
    assert "link.png" not in results
    assert all(".." not in name for name in results)
    assert sorted(tmp_path.rglob("*")) == before
