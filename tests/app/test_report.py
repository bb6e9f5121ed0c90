import re
from pathlib import Path

import pytest

import geoanchor
from app.index import Index
from app.locator import locator_svg
from app.question import Question
from app.report import Section, ShownHit, described_section, filters_of, report_page, section_of, title_of


@pytest.fixture
def index(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


def test_a_report_loads_nothing(index: Index) -> None:
    hits = index.search("red", k=4)
    page = report_page("Search", "a subtitle", [section_of(index, hits)])
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) > 4
    assert [source[:40] for source in sources if not source.startswith(("data:image/", "#"))] == []
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_a_report_shows_each_hit(index: Index) -> None:
    hits = index.search("red", image=index.thumbnails([index.search("red")[0].id]).popitem()[1], k=4)
    page = report_page("Search", "", [section_of(index, hits, "my title")])
    for hit in hits:
        assert hit.id in page
        assert f"{hit.score:.3f}" in page
        assert f"{hit.lat:.5f}" in page
    assert page.count("<li>") == 4
    assert "aerial picture" in page
    assert "my title" in page
    assert "<svg" in page


def test_what_comes_from_data_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    hit = ShownHit(evil, 1, 0.5, "aerial", evil, evil, "", evil, "")
    page = report_page(evil, evil, [Section(evil, (), evil, evil, (hit,), ((evil, 0.5),))])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_texts_of_a_picture() -> None:
    page = report_page(
        "t", "", [described_section("words", b"\x89PNG....", "map", [("a red roof", 0.5), ("sea", -0.2)])]
    )
    assert "a red roof" in page
    assert 'value="0"' in page
    assert "map picture" in page


def test_nothing_found(index: Index) -> None:
    hits = index.search("red", within=(0, 0, 1, 1))
    page = report_page("t", "", [section_of(index, hits)])
    assert "Nothing was found" in page
    assert "<svg" not in page


def test_the_locator_puts_hits_where_they_lie(index: Index) -> None:
    hits = list(index.search("red", layer="aerial", k=16))
    svg = locator_svg(hits, index.mosaic)
    centres = {
        int(rank): (float(x), float(y))
        for x, y, rank in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)</text>', svg)
    }
    assert len(centres) == 16
    west = min(hits, key=lambda hit: hit.lng).rank
    east = max(hits, key=lambda hit: hit.lng).rank
    north = max(hits, key=lambda hit: hit.lat).rank
    south = min(hits, key=lambda hit: hit.lat).rank
    assert centres[west][0] < centres[east][0]
    assert centres[north][1] < centres[south][1]
    assert "<image" in svg


def test_titles_and_filters() -> None:
    query = Question(text="red", not_="sea", near=(48, 10, 5), layer="map", since="2024-01-01").query()
    assert title_of(query) == "red"
    assert filters_of(query) == "only near a point, layer map, since 2024-01-01"
    assert title_of(Question(at=(48, 10), image=b"x").query()) == "Aerial picture + coordinate"
