"""The page in a real Chromium, with every request to another machine refused and counted."""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from geoanchor.tiling import Tile

pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@pytest.fixture(scope="module")
def address(painted_index: Path) -> Iterator[str]:
    """A real server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app.cli", "serve", str(painted_index), "--port", str(port), "--offline"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(url + "/api/health", server)
            yield url
            server.send_signal(signal.SIGINT)
            _, said = server.communicate(timeout=30)
            assert server.returncode == 0, said.decode()
            assert b"KeyboardInterrupt" not in said
        finally:
            server.kill()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, server.stderr.read() if server.stderr else ""
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server did not start within a minute")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs chromium, chromium-browser or google-chrome on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_SOFTWARE_GL])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The opened page; fails when it asked another machine for anything or a script failed."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    outside: list[str] = []
    errors: list[str] = []

    def route(request: Any) -> None:
        local = request.request.url.startswith((address, "blob:", "data:"))
        if not local:
            outside.append(request.request.url)
        request.continue_() if local else request.abort()

    opened.route("**/*", route)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    opened.locator(".ga-map canvas").wait_for()
    yield opened
    context.close()
    assert outside == []
    assert errors == []


def _ask(page: Any, words: str) -> None:
    page.get_by_label("Words").first.fill(words)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".ga-hits li").first.wait_for()


def test_words_give_pictures_and_pins(page: Any, painted_folder: Path, painted_tiles: dict[Tile, str]) -> None:
    _ask(page, "red")
    assert page.locator(".ga-hits li").count() == 12
    assert page.locator(".ga-pin").count() == 12
    first = page.locator(".ga-hits img").first
    first.evaluate("picture => picture.decode()")
    assert first.evaluate("picture => picture.naturalWidth") == 64
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    assert str(red) in first.get_attribute("src")
    assert "12 of 32 places" in page.locator(".ga-note").inner_text()


def test_an_empty_question_is_answered_in_words(page: Any) -> None:
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".ga-error").wait_for()
    assert "nothing is asked" in page.locator(".ga-error").inner_text()


def test_the_map_shows_the_index_itself(page: Any) -> None:
    with page.expect_response(re.compile(r"/api/tiles/aerial/\d+/\d+/\d+")) as response:
        page.get_by_role("button", name="aerial", exact=True).click()
    assert response.value.status in (200, 204)


def test_more_like_this_and_a_click_on_the_map(page: Any) -> None:
    _ask(page, "white")
    first = page.locator(".ga-hits img").first.get_attribute("src")
    page.get_by_role("button", name="More like this").first.click()
    page.wait_for_function("first => document.querySelector('.ga-hits img').getAttribute('src') !== first", arg=first)
    page.get_by_label("Words").first.fill("")
    page.locator(".ga-map canvas").click(position={"x": 300, "y": 200})
    page.get_by_text("holds the point").first.wait_for()


def test_an_uploaded_picture(page: Any, painted_folder: Path, painted_tiles: dict[Tile, str]) -> None:
    white = next(tile for tile, colour in painted_tiles.items() if colour == "white")
    page.get_by_text("Pictures", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(str(painted_folder / f"{white}.png"))
    page.locator(
        "button[aria-label='Clear'], button[title='Clear'], button[aria-label='Remove Image']"
    ).first.wait_for()
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".ga-hits li").first.wait_for()
    assert str(white) in page.locator(".ga-hits img").first.get_attribute("src")


def test_hits_are_saved_as_geojson(page: Any) -> None:
    _ask(page, "red")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download GeoJSON").click()
    features = json.loads(Path(download.value.path()).read_text())["features"]
    assert download.value.suggested_filename == "hits.geojson"
    assert len(features) == 12
    assert features[0]["geometry"]["type"] == "Polygon"


@pytest.mark.parametrize("named", ["ADDRESS/api/tiles/aerial/RED", "https://example.org/a.png", "/etc/passwd", "FILE"])
def test_a_request_cannot_name_a_file_or_an_address(
    address: str, painted_folder: Path, painted_tiles: dict[Tile, str], named: str
) -> None:
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    file = str(painted_folder / f"{red}.png")
    named = named.replace("ADDRESS", address).replace("RED", str(red)).replace("FILE", file)
    config = json.load(urllib.request.urlopen(f"{address}/config"))
    search = next(n for n, call in enumerate(config["dependencies"]) if len(call["inputs"]) == 10)
    picture = {"path": named, "meta": {"_type": "gradio.FileData"}}
    data = ["", "all", picture, None, "", 0, "", 5, 0, True]
    call = json.dumps({"data": data, "fn_index": search, "session_hash": named[-9:]}).encode()
    join = urllib.request.Request(f"{address}/gradio_api/queue/join", call, {"Content-Type": "application/json"})
    urllib.request.urlopen(join).close()
    session = quote(named[-9:], safe="")
    with urllib.request.urlopen(f"{address}/gradio_api/queue/data?session_hash={session}") as stream:
        events = [json.loads(line[6:]) for line in stream if line.startswith(b"data: ")]
    done = next(event for event in events if event["msg"] == "process_completed")
    assert done["success"] is False
    assert "hits" not in json.dumps(done["output"])


def test_it_draws_something(page: Any) -> None:
    import numpy as np
    from PIL import Image

    _ask(page, "red")
    page.wait_for_timeout(1500)
    pixels = np.asarray(Image.open(io.BytesIO(page.locator(".ga-map").screenshot())).convert("RGB")).astype(int)
    blue = (pixels[..., 2] > pixels[..., 0] + 60).mean()
    # Most of the painted tiles are blue.
    assert blue > 0.1
