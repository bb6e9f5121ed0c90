"""Tile folders, and a real tile server on loopback that fails, throttles, hangs and sends garbage."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mercantile
import numpy as np
import pytest
from PIL import Image
from tileserver import Server, picture
from xyzservices import providers

from geoanchor.errors import BadInput, OfflineError, UsageError
from geoanchor.image import PAPER
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds, Tile, tiles_in
from indexer.sources import web as web_module
from indexer.sources.registry import SourceOptions
from indexer.sources.web import Web
from indexer.sources.xyz import open_service, open_xyz, provider_template

TOWN = Bounds(85.51, 27.62, 85.53, 27.64)


@pytest.fixture
def server() -> Iterator[Server]:
    state, lock = Server(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                state.asked.append((self.path, dict(self.headers)))
                state.now += 1
                state.most = max(state.most, state.now)
                script = state.answers.get(self.path)
                answer = (script.pop(0) if len(script) > 1 else script[0]) if script else None
            time.sleep(state.delay_s)
            status, headers, body = answer or self.tile()
            with lock:
                state.now -= 1
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def tile(self) -> tuple[int, dict[str, str], bytes]:
            z, x, y = self.path.split("?")[0].rsplit(".", 1)[0].split("/")[-3:]
            return 200, {"ETag": '"v1"'}, picture(Tile(int(z), int(x), int(y)))

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of milliseconds instead of seconds."""
    slow = Web.__init__
    monkeypatch.setattr(Web, "__init__", lambda self, settings: slow(self, settings, wait_s=0.01, timeout_s=0.5))


def options(tmp_path: Path, zoom: int | None = 15, within: Bounds | None = TOWN, **settings: object) -> SourceOptions:
    return SourceOptions(zoom=zoom, within=within, settings=Settings(cache_dir=tmp_path / "cache", **settings))


def test_service_gives_every_tile_of_the_box_with_its_own_picture(server: Server, tmp_path: Path) -> None:
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path))
    refs = list(source.plan())
    centred = [
        t
        for t in tiles_in(TOWN, 15)
        if TOWN.west <= t.center[0] <= TOWN.east and TOWN.south <= t.center[1] <= TOWN.north
    ]
    assert [ref.tile for ref in refs] == centred
    assert len({ref.id for ref in refs}) == len(refs) > 3
    for ref in refs:
        image = source.read(ref)
        assert image.id == ref.id
        assert image.pixels.shape == (256, 256, 3)
        assert tuple(image.pixels[0, 0]) == (ref.tile.x % 256, ref.tile.y % 256, 15)
        assert image.encoded == picture(ref.tile)
        assert image.gsd_m == pytest.approx(ref.tile.gsd_m(256))
        assert image.bounds == ref.tile.bounds
    assert all("GeoAnchor/" in headers["User-Agent"] for _, headers in server.asked)


def test_second_run_asks_nothing_and_works_offline(server: Server, tmp_path: Path) -> None:
    template = server.url + "/{z}/{x}/{y}.png"
    first = open_xyz(template, options(tmp_path))
    ref = next(iter(first.plan()))
    pixels = first.read(ref).pixels
    asked = len(server.asked)
    again = open_xyz(template, options(tmp_path, offline=True))
    np.testing.assert_array_equal(again.read(ref).pixels, pixels)
    assert len(server.asked) == asked


def test_stale_copy_is_revalidated_by_etag(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_FRESH_S", -1.0)
    body, address = picture(Tile(1, 0, 0)), "/a.png"
    server.answers[address] = [(200, {"ETag": '"v1"'}, body), (304, {}, b""), (200, {"ETag": '"v2"'}, b"new")]
    web = Web(Settings(cache_dir=tmp_path))
    assert [web.get(server.url + address, len) for _ in range(3)] == [body, body, b"new"]
    assert [headers.get("If-None-Match") for _, headers in server.asked] == [None, '"v1"', '"v1"']


def test_offline_never_dials_and_says_so(tmp_path: Path) -> None:
    source = open_xyz("https://tiles.example.com/{z}/{x}/{y}.png?key=SECRET", options(tmp_path, offline=True))
    with pytest.raises(OfflineError, match="switched off") as caught:
        source.read(next(iter(source.plan())))
    assert "SECRET" not in str(caught.value)


def test_offline_follows_no_redirect_to_another_machine(server: Server, tmp_path: Path) -> None:
    server.answers["/a.png"] = [(302, {"Location": "http://tiles.example.com/a.png"}, b"")]
    with pytest.raises(OfflineError, match=r"tiles\.example\.com"):
        Web(Settings(cache_dir=tmp_path, offline=True)).get(server.url + "/a.png", len)


def test_absent_tile_is_counted_and_not_an_error(server: Server, tmp_path: Path) -> None:
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path))
    ref = next(iter(source.plan()))
    server.answers[f"/{ref.tile}.png"] = [(404, {}, b"no")]
    image = source.read(ref)
    assert (image.nodata, image.encoded, source.absent) == (1.0, None, 1)
    source.read(ref)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_failures_are_retried(server: Server, tmp_path: Path, status: int) -> None:
    body = picture(Tile(1, 1, 1))
    server.answers["/a.png"] = [(status, {}, b""), (status, {}, b""), (200, {}, body)]
    assert Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len) == body
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 418, 501])
def test_lasting_failures_are_not_retried(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/a.png"] = [(status, {}, b"")]
    with pytest.raises(BadInput, match=f"HTTP {status}"):
        Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len)
    assert len(server.asked) == 1


def test_retry_after_is_honoured(server: Server, tmp_path: Path) -> None:
    server.answers["/a.png"] = [(429, {"Retry-After": "1"}, b""), (200, {}, b"x")]
    start = time.monotonic()
    assert Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len) == b"x"
    assert time.monotonic() - start >= 1.0


def test_retry_after_of_an_hour_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.answers["/a.png"] = [(503, {"Retry-After": "3600"}, b"")]
    with pytest.raises(BadInput, match="wait 3600 s"):
        Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len)


def test_waits_double_from_try_to_try(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    server.answers["/a.png"] = [(503, {}, b"")]
    with pytest.raises(BadInput, match="tried 5 times"):
        Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len)
    # The server's own sleeps of 0 s go through the same patch.
    assert [wait for wait in waits if wait] == pytest.approx([0.01, 0.02, 0.04, 0.08])


def test_dead_service_is_not_asked_five_times_for_every_tile(server: Server, tmp_path: Path) -> None:
    web = Web(Settings(cache_dir=tmp_path))
    for number in range(8):
        server.answers[f"/{number}.png"] = [(500, {}, b"")]
        with pytest.raises(BadInput):
            web.get(f"{server.url}/{number}.png", len)
    assert len(server.asked) == 5 * 5 + 3
    server.answers["/ok.png"] = [(200, {}, b"x")]
    web.get(server.url + "/ok.png", len)
    with pytest.raises(BadInput, match="tried 5 times"):
        web.get(server.url + "/0.png", len)


def test_hanging_server_times_out(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.delay_s = 0.3
    monkeypatch.undo()
    web = Web(Settings(cache_dir=tmp_path), attempts=2, wait_s=0.0, timeout_s=0.05)
    with pytest.raises(BadInput, match=r"no answer \(ReadTimeout\) \(tried 2 times\)"):
        web.get(server.url + "/1/0/0.png", len)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no answer"):
        Web(Settings(cache_dir=tmp_path)).get("http://127.0.0.1:9/1/0/0.png", len)


def test_body_shorter_than_promised_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.answers["/a.png"] = [(200, {"Content-Length": "99"}, b"cut"), (200, {}, b"whole")]
    assert Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len) == b"whole"


def test_answer_without_end_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "MAX_TILE_BYTES", 1000)
    server.answers["/a.png"] = [(200, {}, b"x" * 5000)]
    with pytest.raises(BadInput, match="over 1000 bytes"):
        Web(Settings(cache_dir=tmp_path)).get(server.url + "/a.png", len)


@pytest.mark.parametrize(
    "body", [b"<html>please log in</html>", b"", picture(Tile(1, 0, 0))[:200]], ids=["html", "empty", "cut"]
)
def test_garbage_is_named_and_not_kept(server: Server, tmp_path: Path, body: bytes) -> None:
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path))
    ref = next(iter(source.plan()))
    server.answers[f"/{ref.tile}.png"] = [(200, {}, body), (200, {}, picture(ref.tile))]
    with pytest.raises(BadInput, match=r"not a picture|is empty|cut short"):
        source.read(ref)
    assert source.read(ref).encoded == picture(ref.tile)


def test_picture_over_the_pixel_limit_is_refused(server: Server, tmp_path: Path) -> None:
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path, max_pixels=1000))
    with pytest.raises(BadInput, match="256 x 256 pixels are over the limit of 1000"):
        source.read(next(iter(source.plan())))


def test_damaged_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    web = Web(Settings(cache_dir=tmp_path))
    body = web.get(server.url + "/1/0/0.png", len)
    for path in (tmp_path / "web").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-5])
    assert web.get(server.url + "/1/0/0.png", len) == body
    assert len(server.asked) == 2


def test_few_connections_at_once(server: Server, tmp_path: Path) -> None:
    server.delay_s = 0.02
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path, zoom=16))
    refs = list(source.plan())[:40]
    with ThreadPoolExecutor(16) as pool:
        images = list(pool.map(source.read, refs))
    assert [image.id for image in images] == [ref.id for ref in refs]
    assert 1 < server.most <= 4


def test_unwritable_cache_does_not_stop_reading(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    source = open_xyz(server.url + "/{z}/{x}/{y}.png", options(tmp_path))
    assert source.read(next(iter(source.plan()))).nodata == 0.0


def test_key_in_the_url_reaches_the_server_but_no_row(server: Server, tmp_path: Path) -> None:
    source = open_xyz(server.url + "/{z}/{x}/{y}.png?api_key=SECRET", options(tmp_path))
    ref = next(iter(source.plan()))
    image = source.read(ref)
    assert server.paths()[0].endswith("?api_key=SECRET")
    assert "SECRET" not in image.source + image.id
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any(b"SECRET" in data for data in kept)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/{z}/{x}/{y}.png", "/3/5/2.png"),
        ("/{z}/{x}/{-y}.png", "/3/5/5.png"),
        ("/{q}.png", "/121.png"),
        ("/wmts/{TileMatrix}/{TileRow}/{TileCol}.png", "/wmts/3/2/5.png"),
        ("/{s}/{z}/{x}/{y}{r}.png", "/b/3/5/2.png"),
    ],
)
def test_placeholders(server: Server, tmp_path: Path, template: str, path: str) -> None:
    tile = Tile(3, 5, 2)
    server.answers[path] = [(200, {}, picture(tile))]
    source = open_xyz(server.url + template, options(tmp_path, zoom=3, within=tile.bounds))
    (ref,) = source.plan()
    assert source.read(ref).encoded == picture(tile)
    assert mercantile.quadkey(5, 2, 3) == "121"


def test_double_size_tiles(server: Server, tmp_path: Path) -> None:
    tile = Tile(3, 5, 2)
    server.answers["/3/5/2@2x.png"] = [(200, {}, picture(tile, 512))]
    wanted = SourceOptions(zoom=3, within=tile.bounds, size_px=512, settings=Settings(cache_dir=tmp_path))
    source = open_xyz(server.url + "/{z}/{x}/{y}{r}.png", wanted)
    image = source.read(next(iter(source.plan())))
    assert image.pixels.shape == (512, 512, 3)
    assert image.gsd_m == pytest.approx(tile.gsd_m(512))


def test_two_services_of_one_host_do_not_share_ids(tmp_path: Path) -> None:
    ids = [
        next(iter(open_xyz(f"https://example.com/{n}/{{z}}/{{x}}/{{y}}.png", options(tmp_path)).plan())).id
        for n in "ab"
    ]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"zoom": None}, "--zoom"),
        ({"within": None}, "--within"),
    ],
)
def test_service_needs_zoom_and_box(tmp_path: Path, wrong: dict[str, None], says: str) -> None:
    for opener, uri in (
        (open_xyz, "https://example.com/{z}/{x}/{y}.png"),
        (open_service, "service:OpenStreetMap.Mapnik"),
    ):
        with pytest.raises(UsageError, match=says):
            opener(uri, options(tmp_path, **wrong))


def test_whole_world_deep_down_is_refused(tmp_path: Path) -> None:
    source = open_xyz("https://example.com/{z}/{x}/{y}.png", options(tmp_path, 19, Bounds(-180, -85, 180, 85)))
    with pytest.raises(UsageError, match="smaller box"):
        list(source.plan())


def test_unknown_placeholder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\{TileMatrixSet\}"):
        open_xyz("https://example.com/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}.png", options(tmp_path))
    with pytest.raises(UsageError, match="needs"):
        open_xyz("https://example.com/{z}/{x}.png", options(tmp_path))


def test_open_services_by_name(tmp_path: Path) -> None:
    street = open_service("service:OpenStreetMap.Mapnik", options(tmp_path))
    assert street.layer == "map"
    assert street.attribution == "(C) OpenStreetMap contributors"
    assert next(iter(street.plan())).id.startswith("map/OpenStreetMap.Mapnik/15/")
    photo = open_service("service:esri.worldimagery", options(tmp_path))
    assert photo.layer == "aerial"
    assert "Esri" in photo.attribution


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("OpenStreetMap.Mapnick", "did you mean OpenStreetMap.Mapnik"),
        ("MapBox", "needs a token"),
        ("OrdnanceSurvey.Leisure_27700", "needs a token"),
        ("NASAGIBS.BlueMarble3031", "grid of EPSG:3031"),
    ],
)
def test_unfit_services_are_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_service(f"service:{name}", options(tmp_path))


def test_zoom_beyond_the_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="zooms 0 to 19, not 20"):
        open_service("service:OpenStreetMap.Mapnik", options(tmp_path, zoom=20))


def test_every_open_service_makes_whole_urls() -> None:
    fit = [p for p in providers.flatten().values() if not p.requires_token() and p.get("crs") in (None, "EPSG:3857")]
    assert len(fit) > 100
    for provider in fit:
        words = set(re.findall(r"\{([^{}]*)\}", provider_template(provider)))
        assert words - {"-y", "s", "r"} in ({"z", "x", "y"}, {"z", "x"}), provider.name


@pytest.mark.parametrize(
    ("mode", "color", "layer", "rgb", "nodata"),
    [
        ("RGBA", (10, 20, 30, 0), None, (0, 0, 0), 1.0),
        ("RGBA", (10, 20, 30, 0), "map", PAPER, 1.0),
        ("RGBA", (200, 100, 0, 255), None, (200, 100, 0), 0.0),
        ("LA", (100, 255), None, (100, 100, 100), 0.0),
        ("1", 1, None, (255, 255, 255), 0.0),
        ("P", 0, None, (0, 0, 0), 0.0),
    ],
)
def test_kinds_of_png(
    tmp_path: Path, mode: str, color: object, layer: str | None, rgb: tuple[int, ...], nodata: float
) -> None:
    (tmp_path / "0/0").mkdir(parents=True)
    Image.new(mode, (256, 256), color).save(tmp_path / "0/0/0.png")
    source = open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.png", SourceOptions(layer=layer))
    image = source.read(next(iter(source.plan())))
    assert tuple(image.pixels[7, 7]) == rgb
    assert image.nodata == nodata
