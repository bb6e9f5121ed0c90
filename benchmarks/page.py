"""The search page over 100,000 tiles in a real Chromium: from key press to drawn hits, and scrolling through them."""

from __future__ import annotations

import os
import shutil
from statistics import median
from typing import Any

from benchmarks.large import ROWS, Service, large_index, server, texts
from benchmarks.timing import percentile_ms

QUERIES = int(os.environ.get("GEOANCHOR_BENCH_PAGE_QUERIES", "60"))
HITS = 100
_WARM_UP = 5
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What Chromium does by itself on a machine without a graphics processor, but that it must be told so for the map.
_SOFTWARE_GL = "--enable-unsafe-swiftshader"
_PRESSED = """() => addEventListener("keydown", (event) => {
  if (event.key === "Enter") performance.mark("pressed");
}, true)"""
_WAIT = "before => Number(document.body.dataset.drawn ?? 0) > before"
_MAPPED = """() => {
  const at = (name) => performance.getEntriesByName(name).at(-1)?.startTime ?? 0;
  return at("pinned") > at("pressed");
}"""
_SPENT = """() => {
  const at = (name) => performance.getEntriesByName(name).at(-1).startTime;
  const answers = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/api/search"));
  performance.clearResourceTimings();
  return [at("drawn"), at("pinned"), answers.at(-1).responseEnd].map((time) => time - at("pressed"));
}"""
_SCROLL = """() => new Promise((done) => {
  const list = document.querySelector("#results"), steps = [];
  let before = performance.now();
  const step = (now) => {
    steps.push(now - before);
    before = now;
    list.scrollTop += 60;
    list.scrollTop + list.clientHeight < list.scrollHeight - 1 ? requestAnimationFrame(step) : done(steps.slice(1));
  };
  requestAnimationFrame(step);
})"""


def run() -> dict[str, Any]:
    """Milliseconds a person waits, and of a frame while scrolling."""
    with large_index() as folder:
        figures: dict[str, Any] = {"rows": ROWS, "hits drawn": HITS}
        figures["load of the machine before, processes"] = round(os.getloadavg()[0], 1)
        with server(folder) as service:
            return figures | _browse(service)


def _browse(service: Service) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", _SOFTWARE_GL])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(120_000)
        page.goto(f"{service.url}/#k={HITS}&weak=1")
        page.locator(".map-left").wait_for()
        page.evaluate(_PRESSED)
        asked = texts(1)
        cpu = service.cpu_s()
        spent = [_ask(page, next(asked)) for _ in range(_WARM_UP + QUERIES)][_WARM_UP:]
        cpu = service.cpu_s() - cpu
        cards, frames = page.locator(".card").count(), page.evaluate(_SCROLL)
        browser.close()
    drawn, pinned, answered = ([one / 1000 for one in column] for column in zip(*spent, strict=True))
    return {
        "cards of the last answer": cards,
        "key press to answer, median, ms": round(1000 * median(answered), 1),
        "key press to drawn hits, median, ms": round(1000 * median(drawn), 1),
        "key press to drawn hits, p95, ms (limit 400)": round(percentile_ms(drawn, 0.95), 1),
        "key press to drawn pins on the map, median, ms": round(1000 * median(pinned), 1),
        "key press to drawn pins on the map, p95, ms": round(percentile_ms(pinned, 0.95), 1),
        "the server's own time for one, with pictures, CPU ms": round(1000 * cpu / (_WARM_UP + QUERIES), 1),
        "frame while scrolling, median, ms": round(median(frames), 1),
        "frame while scrolling, p95, ms": round(percentile_ms([frame / 1000 for frame in frames], 0.95), 1),
    }


def _ask(page: Any, text: str) -> list[float]:
    """Milliseconds from Enter to the frame that shows the first cards, to that with all pins, and to the answer."""
    page.get_by_label("What to find").fill(text)
    # A person has read what they typed before they press Enter: the words are understood meanwhile.
    page.wait_for_timeout(200)
    before = page.evaluate("() => Number(document.body.dataset.drawn ?? 0)")
    page.keyboard.press("Enter")
    page.wait_for_function(_WAIT, arg=before)
    page.wait_for_function(_MAPPED)
    return [float(one) for one in page.evaluate(_SPENT)]
