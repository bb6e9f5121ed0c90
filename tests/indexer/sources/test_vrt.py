"""With the network off, a VRT may not send GDAL elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
from photos import pack, read_all
from rasters import ramp
from rasters import write as raster

from geoanchor.errors import BadInput
from geoanchor.image import TileImage
from geoanchor.protocols import TileSource
from geoanchor.settings import Settings
from indexer.sources.folder import open_folder, open_tar
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions
from indexer.sources.vrt import refuse_network

OFFLINE = SourceOptions(settings=Settings(offline=True))
SWITCHED_OFF = "and the network is switched off; run without --offline"
PLACE = "<SRS>EPSG:32614</SRS><GeoTransform>500000, 1, 0, 5200000, 0, -1</GeoTransform>"


def write(folder: Path, origin: str) -> Path:
    path = folder / "far.vrt"
    path.write_text(
        f"<VRTDataset><VRTRasterBand><SourceFilename>{origin}</SourceFilename></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.mark.parametrize("origin", ["/vsicurl/https://example.org/a.tif", "/vsis3/bucket/a.tif", "http://10.0.0.1/a"])
def test_a_part_on_another_machine_is_refused(origin: str, tmp_path: Path) -> None:
    path = write(tmp_path, origin)
    with pytest.raises(BadInput, match="the network is switched off"):
        open_raster(str(path), OFFLINE)


@pytest.mark.parametrize("name", ["far.vrt", "far.tif"])
def test_the_text_tells_and_not_the_name(name: str, tmp_path: Path) -> None:
    path = vrt(tmp_path / name, "/vsicurl?url=https%3A%2F%2Fexample.org%2Fa.tif")
    with pytest.raises(BadInput, match=r"reads https://example\.org/a\.tif, and the network is switched off"):
        open_raster(str(path), OFFLINE)


def test_a_vrt_within_a_vrt_is_looked_into(tmp_path: Path) -> None:
    vrt(tmp_path / "inner.vrt", "/vsicurl/https://example.org/a.tif", "outer.vrt")
    with pytest.raises(BadInput, match=r"outer\.vrt: reads https://example\.org/a\.tif"):
        open_raster(str(vrt(tmp_path / "outer.vrt", "outer.vrt", "inner.vrt")), OFFLINE)


def test_an_address_that_is_not_read_is_none_of_its_parts(tmp_path: Path) -> None:
    path = write(tmp_path, "beside.tif")
    path.write_text(path.read_text().replace("<VRTRasterBand>", "<Metadata>https://example.org</Metadata>"))
    refuse_network(path)


def test_in_a_folder_it_is_set_aside(tmp_path: Path) -> None:
    vrt(tmp_path / "far.vrt", "/vsicurl/https://example.org/a.tif")
    assert list(read_all(open_folder(str(tmp_path), OFFLINE)).values()) == [
        f"{tmp_path}/far.vrt: reads https://example.org/a.tif, {SWITCHED_OFF}"
    ]


@pytest.mark.parametrize("origin", ["beside.tif", "/vsizip/a.zip/a.tif"])
def test_parts_at_hand_may_be_read(origin: str, tmp_path: Path) -> None:
    refuse_network(write(tmp_path, origin))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port of this machine at which nobody may call."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    # GDAL asks while it holds the interpreter, so that a call that gets through has no answer.
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    calls: list[object] = []

    class Log(ThreadingHTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            calls.append(client_address)
            super().process_request(request, client_address)

    with Log(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
    assert calls == []


@pytest.mark.parametrize("place", [PLACE, ""], ids=["placed", "unplaced"])
@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidden"])
@pytest.mark.parametrize(
    "origin", ["/vsicurl/{}/x.tif", "{}/x.tif", "/vsicurl_streaming/{}/x.tif", "/vsizip//vsicurl/{}/x.zip/x.tif",
               "WMS:{}/wms?SERVICE=WMS", "/vsicurl?url=http%3A%2F%2F127.0.0.1%3A{port}%2Fx.tif"],
)  # fmt: skip
def test_nothing_is_dialled_from_a_folder(port: int, origin: str, hidden: bool, place: str, tmp_path: Path) -> None:
    vrt(tmp_path / "far.vrt", origin.format(f"http://127.0.0.1:{port}", port=port), place=place, hidden=hidden)
    refused(open_folder(str(tmp_path), OFFLINE))


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidden"])
def test_nothing_is_dialled_for_a_vrt_called_tif(port: int, hidden: bool, tmp_path: Path) -> None:
    vrt(tmp_path / "far.tif", f"/vsicurl/http://127.0.0.1:{port}/x.tif", hidden=hidden)
    refused(open_folder(str(tmp_path), OFFLINE))


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidden"])
def test_nothing_is_dialled_for_a_vrt_within_a_vrt(port: int, hidden: bool, tmp_path: Path) -> None:
    inner = vrt(tmp_path / "parts" / "inner.vrt", f"/vsicurl/http://127.0.0.1:{port}/x.tif", hidden=hidden)
    vrt(tmp_path / "pictures" / "outer.vrt", str(inner))
    refused(open_folder(str(tmp_path / "pictures"), OFFLINE))


def test_nothing_is_dialled_from_a_tar(port: int, tmp_path: Path) -> None:
    for number, origin in enumerate(("/vsicurl/http://127.0.0.1:{}/x.tif", "http://127.0.0.1:{}/x.tif")):
        vrt(tmp_path / "pictures" / f"{number}.vrt", origin.format(port))
        vrt(tmp_path / "pictures" / f"{number}.hidden.tif", origin.format(port), hidden=True)
    refused(open_tar(str(pack(tmp_path / "p.tar", tmp_path / "pictures")), OFFLINE))


def test_the_threads_that_gdal_starts_dial_nowhere(port: int, tmp_path: Path) -> None:
    far = [f"/vsicurl/http://127.0.0.1:{port}/{number}.tif" for number in range(16)]
    vrt(tmp_path / "far.vrt", *far, place="", side=1024, hidden=True)
    source = open_folder(str(tmp_path), OFFLINE)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(refused, source).result()


def test_what_is_here_is_read_offline(tmp_path: Path) -> None:
    raster(tmp_path / "parts" / "here.tif", ramp(64))
    vrt(tmp_path / "pictures" / "here.vrt", str(tmp_path / "parts" / "here.tif"), place="")
    (image,) = read_all(open_folder(str(tmp_path / "pictures"), OFFLINE)).values()
    assert isinstance(image, TileImage)
    assert np.array_equal(image.pixels[..., 0], ramp(64)[0])


def vrt(path: Path, *origins: str, place: str = PLACE, side: int = 64, hidden: bool = False) -> Path:
    """Write a VRT of square parts side by side; hidden ones are written as only GDAL reads them."""
    names = [f"<![CDATA[{origin}]]>" if hidden else escape(origin) for origin in origins]
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = f'xSize="{side}" ySize="{side}"'
    parts = "".join(
        f"<SimpleSource><SourceFilename>{name}</SourceFilename><SourceBand>1</SourceBand>"
        f'<SourceProperties RasterXSize="{side}" RasterYSize="{side}" DataType="Byte" BlockXSize="64" BlockYSize="64"/>'
        f'<SrcRect xOff="0" yOff="0" {shape}/><DstRect xOff="{side * number}" yOff="0" {shape}/></SimpleSource>'
        for number, name in enumerate(names)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{side * len(origins)}" rasterYSize="{side}">{place}'
        f'<VRTRasterBand dataType="Byte" band="1">{parts}</VRTRasterBand></VRTDataset>'
    )
    return path


def refused(source: TileSource) -> None:
    """Everything is refused, each with one sentence that says why."""
    results = read_all(source)
    assert results
    for result in results.values():
        assert isinstance(result, str)
        assert result.count(SWITCHED_OFF) == 1
        assert "\n" not in result


@pytest.mark.parametrize("beside", [True, False])
def test_a_vrt_within_a_vrt_that_lacks_a_file_is_refused(tmp_path: Path, beside: bool) -> None:
    """GDAL says so once at most and reads black from then on."""
    (tmp_path / "parts").mkdir()
    lost, inner = tmp_path / "parts" / "lost.tif", tmp_path / "parts" / "inner.vrt"
    vrt(inner, "lost.tif" if beside else str(lost))
    if beside:
        inner.write_text(inner.read_text().replace("<SourceFilename>", '<SourceFilename relativeToVRT="1">'))
    outer = vrt(tmp_path / "outer.vrt", str(inner))
    said = r"outer\.vrt: is made of inner\.vrt, which lacks .*parts/lost\.tif; restore it or take it out"
    with pytest.raises(BadInput, match=said):
        open_raster(str(outer), SourceOptions())
    raster(lost, ramp(64))
    images = list(read_all(open_raster(str(outer), SourceOptions())).values())
    assert images
    assert all(isinstance(image, TileImage) and image.pixels.any() for image in images)


def test_a_vrt_that_lacks_one_of_its_own_files_still_gives_the_others(tmp_path: Path) -> None:
    raster(tmp_path / "there.tif", ramp(64))
    outer = vrt(tmp_path / "outer.vrt", str(tmp_path / "there.tif"), str(tmp_path / "lost.tif"))
    results = list(read_all(open_raster(str(outer), SourceOptions(zoom=21))).values())
    assert any(isinstance(result, TileImage) for result in results)
    assert any(isinstance(result, str) and "is damaged or cut short" in result for result in results)
