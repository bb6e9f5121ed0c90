"""Every way to name a source that the documents promise leads to its reader."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from geoanchor.errors import UsageError
from indexer.sources import registry
from indexer.sources.grid import without_secrets
from indexer.sources.registry import SourceOptions, open_source

NAMES = {
    "ortho.tif": "raster",
    "ORTHO.TIFF": "raster",
    "mosaic.vrt": "raster",
    "photos.tar": "tar",
    "photos.tgz": "tar",
    "photo.jpg": "image",
    "photo.bmp": "image",
    "tiles/{z}/{x}/{y}.png": "xyz",
    "tiles/{z}/{x}/{-y}.png": "xyz",
    "tiles/{q}.jpg": "xyz",
    "https://example.com/{z}/{x}/{y}.jpg": "xyz",
    "https://example.com/{s}/{z}/{x}/{y}{r}.png?key=1": "xyz",
    "https://example.com/wmts/{TileMatrix}/{TileRow}/{TileCol}.png": "xyz",
    "service:OpenStreetMap.Mapnik": "service",
    "area.mbtiles": "mbtiles",
    "area.pmtiles": "pmtiles",
    "town.osm.pbf": "osm",
    "town.osm": "osm",
    "town.osm.gz": "osm",
    "town.geojson": "osm",
    "town.parquet": "osm",
    "stac:item.json": "stac",
    "stac:https://example.com/search?collections=a&bbox=1,2,3,4": "stac",
    "embeddings:rows.parquet": "embeddings",
    "embeddings:rows.npy": "embeddings",
    "city:7": "city",
}


@pytest.mark.parametrize("name", list(NAMES))
def test_names(name: str) -> None:
    assert registry._kind(name).name == NAMES[name]


@pytest.mark.parametrize("name", ["photos", "orthos", "photos/"])
def test_folders(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert registry._kind(f"{tmp_path}/{name}").name == "folder"


def test_an_address_of_a_file_is_its_path(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a photo.png")
    (ref,) = open_source((tmp_path / "a photo.png").as_uri(), SourceOptions()).plan()
    assert ref.id.endswith("/a photo.png")


def test_every_kind_is_named_above_and_has_its_opener() -> None:
    assert {kind.name for kind in registry._KINDS} == {*NAMES.values(), "folder"}
    for kind in registry._KINDS:
        module, _, opener = kind.opener.partition(":")
        assert callable(getattr(import_module(module), opener))


def test_opener_gets_the_name_and_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, SourceOptions]] = []
    monkeypatch.setattr("indexer.sources.pmtiles.open_pmtiles", lambda uri, options: seen.append((uri, options)))
    options = SourceOptions(zoom=3)
    open_source("area.pmtiles", options)
    assert seen == [("area.pmtiles", options)]


@pytest.mark.parametrize("name", ["nowhere", "nowhere/", "notes.txt"])
def test_nothing_there(name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        open_source(name, SourceOptions())


def test_unknown_kind_lists_the_readers(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for name in (f"{tmp_path}/notes.txt", "ftp://example.com/x"):
        with pytest.raises(UsageError, match="no reader for this kind of source; readers: city, stac"):
            open_source(name, SourceOptions())


@pytest.mark.parametrize("name", [name for name in NAMES if "://" not in name and ":" not in name])
def test_missing_file_is_wrong_use_for_every_reader(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no such") as caught:
        list(open_source(f"missing/{name}", SourceOptions()).plan())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ortho #2.tif", "what?.geojson", "50%20.png"])
def test_a_file_may_be_called_what_an_address_would_be_cut_at(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert registry._kind(str(tmp_path / name)).name in ("raster", "osm", "image")


def test_no_secret_stays_in_an_address() -> None:
    assert without_secrets("https://me:word@h.example/a?api_key=K&x=1") == "https://***@h.example/a?api_key=***&x=1"
    assert without_secrets("https://h.example/a@b/c.tif") == "https://h.example/a@b/c.tif"
