"""`geoanchor report`: figures worked out by hand, plots that follow the theme, one page that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commandline import run
from PIL import Image

from app.datareport.census import Census, Record, read_census
from app.datareport.page import data_report
from app.datareport.plots import INK, Plot, bars, ground, histogram
from app.datareport.statistics import clusters, judged, repeated, tag_counts, together
from geoanchor.errors import UsageError
from indexer.upkeep import Words, rephrase
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving

TAGS = (("a=1", "b=1"), ("a=1",), ("b=1", "c=1"), ("a=1", "b=1"))
RECORDS = [Record(f"p{n}", "aerial", tags) for n, tags in enumerate(TAGS)]


def groups(count: int = 40) -> list[Record]:
    """Pictures of three plain kinds, each with its own two tags and sometimes a third."""
    rng = np.random.default_rng(0)
    records = []
    for n in range(3 * count):
        kind = n % 3
        tags = {f"x={kind}", f"y={kind}"} | ({"z=all"} if rng.random() < 0.3 else set())
        tags |= {f"w={kind}{rng.integers(2)}"}
        west, south = 10 + 0.001 * n, 48 + 0.001 * kind
        records.append(
            Record(
                f"p{n}", ("map", "aerial")[n % 2], tuple(sorted(tags)), (f"A place of kind {'abc'[kind]}.",),
                (west, south, west + 0.001, south + 0.001), 0.3 * (kind + 1), datetime(2020 + kind, 5, 1, tzinfo=UTC),
            )
        )  # fmt: skip
    return records


def test_counts_and_pairs_by_hand() -> None:
    assert tag_counts(RECORDS) == [("a=1", 3), ("b=1", 3), ("c=1", 1)]
    # a and b: two of four pictures with either; b and c: one of three; a and c: none of four.
    assert together(RECORDS, ["a=1", "b=1", "c=1"]) == pytest.approx(
        np.array([[1, 1 / 2, 0], [1 / 2, 1, 1 / 3], [0, 1 / 3, 1]])
    )


def test_groups_that_are_there_are_found() -> None:
    found = clusters(groups())
    assert found is not None
    assert len(found.labels) == 120
    assert found.points.shape == (120, 2)
    assert set(found.silhouettes) <= set(range(2, 13))
    by_kind = [found.labels[np.arange(120) % 3 == kind] for kind in range(3)]
    assert all(set(a).isdisjoint(b) for a in by_kind for b in by_kind if a is not b)
    assert any(set(tags[:2]) & {"x=0", "y=0"} for tags in found.tags)
    sizes = np.bincount(found.labels)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_too_few_kinds_are_no_groups() -> None:
    assert clusters(RECORDS) is None
    assert clusters([Record("p", tags=())]) is None


def test_repeated_captions_are_told_whatever_their_case_and_stops() -> None:
    texts = (("A river.", "a river"), ("a  River",), ("x",))
    records = [Record(f"p{n}", captions=own) for n, own in enumerate(texts)]
    assert repeated(records) == [("a river", 2)]


def test_quality_uses_tags_only_where_they_say_more_than_the_captions() -> None:
    record = Record("p", tags=("waterway=river",), captions=("a road in the middle of nowhere",))
    assert judged([record], by_tags=True)[0][1].coverage == 0.0
    assert judged([record], by_tags=False)[0][1].coverage is None


def test_svg_follows_the_theme_and_is_the_same_every_time(tmp_path: Path) -> None:
    made = [bars("tags", [("a<b>=1", 3), ("cost $5_{ to $6", 2)]).svg() for _ in range(2)]
    assert made[0] == made[1]
    assert "var(--accent)" in made[0]
    assert INK not in made[0]
    assert "&lt;b&gt;" in made[0]
    assert not re.search(r'<svg[^>]*(width|height)="', made[0])
    plot = histogram("h", [1, 2, 2, 3], "tags", whole=True)
    plot.save(tmp_path / "plots")
    assert Image.open(tmp_path / "plots" / "h.png").size[0] > 700
    assert "<svg" in (tmp_path / "plots" / "h.svg").read_text("utf-8")


def test_many_boxes_become_blocks_and_every_place_can_be_seen() -> None:
    far = [Record(f"p{n}", "map", box=(n % 90, n // 90, n % 90 + 1, n // 90 + 1)) for n in range(4000)]
    assert ground("g", far).svg().count("<path") < 3000
    point = ground("one", [Record("p", "", box=(10.0, 48.0, 10.0, 48.0))])
    assert isinstance(point, Plot)
    assert "<path" in point.svg()


class _Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]


def test_the_page_holds_all_and_needs_nothing() -> None:
    records = groups()
    records[0] = Record("<script>", "map", ("<b>=1",), ("<img src=x> is a caption",))
    page = data_report(Census("<i>town", records, "vectors of the same ground", lambda _: None)).html()
    assert "<script>" not in page
    assert "<img src=x>" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page)
    for title in ("Commonest tags", "Found together", "Groups of like pictures", "Length", "Quality", "Where", "Layers",
                  "Ground sampling distance", "When", "Captions of more than one picture", "Judged worst"):  # fmt: skip
        assert title in page
    parser = _Ids()
    parser.feed(page)
    assert parser.ids
    assert len(parser.ids) == len(set(parser.ids))
    assert "script" not in parser.tags


def test_an_index_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], painted_index: Path
) -> None:
    folder = Path(shutil.copytree(painted_index, tmp_path / "own.index"))
    ids = LanceStore.open(folder).columns(["id"])["id"].to_pylist()
    words = [Words(id_, f"a place of number {n % 3}", (f"leisure=park{n % 5}",)) for n, id_ in enumerate(ids)]
    rephrase(folder, words, ToyEncoder(), LanceStore, derive_serving)
    out = tmp_path / "sub" / "r.html"
    code, said, err = run(capsys, "report", folder, "--out", out, "--plots", tmp_path / "plots")
    assert (code, said) == (0, "")
    assert "r.html" in err
    page = out.read_text("utf-8")
    assert "own.index" in page
    assert "leisure=park0" in page
    assert page.count("data:image") >= 6
    assert {"tags.svg", "tags.png", "ground.svg", "gsd.png"} <= {path.name for path in (tmp_path / "plots").iterdir()}


def test_a_captioned_folder_is_told_by_its_nouns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, captions = tmp_path / "pictures", tmp_path / "c.json"
    folder.mkdir()
    texts = ("a river by a road", "two rivers and a bridge", "a car park")
    for n in range(3):
        Image.new("RGB", (8, 8), (n * 80, 0, 0)).save(folder / f"{n}.png")
    captions.write_text(json.dumps([{"image": f"{n}.png", "captions": [text]} for n, text in enumerate(texts)]))
    census = read_census(folder, captions)
    assert [record.tags for record in census.records] == [("river", "road"), ("bridge", "river"), ("car park",)]
    assert census.told_by == "the nouns of the captions"
    assert run(capsys, "report", folder, "--captions", captions, "--out", tmp_path / "r.html")[0] == 0
    captions.write_text(json.dumps([{"image": "0.png", "captions": ["a road"], "tags": ["highway=road"]}]))
    assert read_census(folder, captions).records[0].tags == ("highway=road",)


def test_a_folder_without_captions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="--captions"):
        read_census(tmp_path, None)
    code, out, err = run(capsys, "report", tmp_path, "--out", tmp_path / "r.html")
    assert (code, out, err.count("\n")) == (2, "", 1)
