"""axe-core finds nothing serious or critical on the search page, in light and in dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import ask, chromium, faults, opened, served

import geoanchor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(painted_index: Path) -> Iterator[str]:
    with served(geoanchor.open(painted_index)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_page(browser: Any, address: str, scheme: str) -> None:
    with opened(browser, address, "/#weak=1", color_scheme=scheme, bypass_csp=True) as page:
        page.locator(".map-left").wait_for()
        assert faults(page) == []
        ask(page, "red -blue")
        page.get_by_role("button", name="Filters").click()
        assert faults(page) == []
        page.keyboard.press("Escape")
        page.locator(".card").first.get_by_label("Compare").click()
        page.locator(".card .shot").first.click()
        page.wait_for_function("() => !document.querySelector('.said').innerText.includes('Reading')")
        assert faults(page) == []
