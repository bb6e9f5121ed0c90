"""Pictures of the pages for the docs: the drawn town alone, at desk and phone width, in light and dark.

`python -m scripts.screenshots [INDEX]`: without an index, city:7 is indexed first (imagery of its second date).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import geoanchor
from benchmarks.large import server

FOLDER = Path(__file__).parent.parent / "docs" / "images"
MOST_BYTES = 400_000
_DESK, _PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
_SETTLE_MS = 3000
_HITS = "/#q=stadium+-parking&layer=aerial&base=map"
SHOTS: tuple[tuple[str, str, dict[str, int], str, str], ...] = (
    ("page-start", "/", _DESK, "light", ".looks img"),
    ("page-search", _HITS, _DESK, "light", ".card img"),
    ("page-search-dark", _HITS, _DESK, "dark", ".card img"),
    ("page-search-phone", _HITS, _PHONE, "light", ".card img"),
    ("page-nothing", "/#q=nuclear+submarine&base=map", _DESK, "light", ".panel.nothing"),
    ("page-changes", "/changes", _DESK, "light", ".review-facts"),
    ("page-changes-dark", "/changes", _DESK, "dark", ".review-facts"),
    ("page-changes-phone", "/changes", _PHONE, "light", ".review-facts"),
)
"""Name, address, size, colours, and what must be there."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        index = Path(sys.argv[1]) if len(sys.argv) > 1 else _town(Path(name) / "city.index")
        with server(index) as (url, _):
            shoot(url, FOLDER)


def shoot(url: str, folder: Path) -> None:
    """Write every picture below a folder."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", *_SOFTWARE_GL])
        for name, path, size, scheme, awaited in SHOTS:
            page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page.set_default_timeout(120_000)
            page.goto(url + path)
            page.locator(awaited).first.wait_for()
            page.wait_for_timeout(_SETTLE_MS)
            (folder / f"{name}.png").write_bytes(_small(page.screenshot()))
            page.close()
        browser.close()


def _town(folder: Path) -> Path:
    for source, layer in (("city:7@1", "aerial"), ("city:7@0", "map")):
        geoanchor.build(source, folder, layer=layer)  # type: ignore[arg-type]
    return folder


def _small(png: bytes) -> bytes:
    """With as few colours as the size limit asks for."""
    image: Any = Image.open(BytesIO(png)).convert("RGB")
    for colours in (256, 192, 128, 96, 64, 48, 32):
        buffer = BytesIO()
        image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG).save(
            buffer, "PNG", optimize=True
        )
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


if __name__ == "__main__":
    main()
