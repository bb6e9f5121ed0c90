"""A real server in a thread and a real Chromium that may talk to it alone."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from app.access import Access
from app.index import Index
from app.server import create_app

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_BAD = ("serious", "critical")
_SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@contextmanager
def served(index: Index, access: Access | None = None) -> Iterator[str]:
    """Address of a service over an index."""
    server = uvicorn.Server(uvicorn.Config(create_app(index, access=access), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that draws maps without a graphics card."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, chromium-browser or google-chrome on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_SOFTWARE_GL])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, path: str = "/", **context: Any) -> Iterator[Any]:
    """A page; fails when it asked another machine for anything, or when a script failed or the policy stopped one."""
    outside: list[str] = []
    errors: list[str] = []

    def route(request: Any) -> None:
        local = request.request.url.startswith((address, "blob:", "data:"))
        if not local:
            outside.append(request.request.url)
        request.continue_() if local else request.abort()

    settings = {"viewport": {"width": 1120, "height": 720}, "reduced_motion": "reduce"} | context
    session = browser.new_context(**settings)
    session.route("**/*", route)
    page = session.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(address + path)
    yield page
    session.close()
    assert outside == []
    assert errors == [], errors


def ask(page: Any, words: str) -> None:
    """Type words, press Enter, wait for the answer to be drawn."""
    page.get_by_label("What to find").fill(words)
    drawn(page, lambda: page.keyboard.press("Enter"))


def drawn(page: Any, act: Any) -> None:
    """Do something and wait for another answer to be drawn."""
    before = page.evaluate("document.body.dataset.drawn ?? '0'")
    act()
    page.wait_for_function("before => (document.body.dataset.drawn ?? '0') !== before", arg=before)


def ids(page: Any) -> list[str]:
    """Ids of the hits shown, in order."""
    return page.locator(".card[data-hit]").evaluate_all("cards => cards.map(card => card.dataset.hit)")


def chip(page: Any, words: str) -> Any:
    """Pieces of how the question was understood that hold some words."""
    return page.locator(".chip", has_text=words)


def start_anew(page: Any) -> None:
    """Ask nothing; weak matches are not hidden."""
    page.evaluate("document.querySelector('dialog')?.close(); location.hash = 'weak=1'")
    page.locator(".welcome").wait_for()


def faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical, with the first place where it is so; needs a page without its policy."""
    from axe_playwright_python.sync_playwright import Axe

    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in _BAD]
    return [f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['failureSummary']}" for one in found]
