"""`geoanchor anchors` from the command line."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyproj
import pytest
from commandline import run
from PIL import Image

from geoanchor.image import PAPER
from geoanchor.tiling import EARTH_RADIUS_M, Tile, tile_at, to_mercator
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.render import render_map
from indexer.sources.folder import open_folder
from indexer.sources.registry import SourceOptions
from training.anchors.make import pair_anchors
from training.anchors.qwen import PairAnnotator
from training.anchors.records import read_anchors
from training.anchors.schema import Anchor


def test_vectors_then_raster_then_how_far_they_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "sub" / "b.jsonl"
    code, out, err = run(capsys, "anchors", "city:7", "--out", one, "--limit", 3)
    assert (code, out) == (0, "")
    assert "3 anchors (3 osm)" in err
    code, out, err = run(
        capsys, "anchors", "city:7", "--out", other, "--limit", 3, "--annotator", "raster", "--agreement", one
    )
    assert code == 0
    assert "3 raster" in err
    assert "| attribute | accuracy |" in out
    first, second = read_anchors(one), read_anchors(other)
    assert [a.id for a in first] == [a.id for a in second]
    lines = [json.loads(line) for line in one.read_text().splitlines()]
    assert list(lines[0]) == ["id", "attributes", "summary", "source", "annotator_version", "metrics", "retries"]


def test_pictures_of_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = City(7)
    middle = tile_at(*town.extent.center, 17)
    folder = tmp_path / "maps"
    folder.mkdir()
    for n in range(2):
        Image.fromarray(render_map(town, Tile(17, middle.x + n, middle.y))).save(folder / f"{n}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    code, _, err = run(capsys, "anchors", folder, "--out", tmp_path / "o.jsonl", "--gsd", 0.8)
    assert code == 0
    assert "2 anchors (2 raster)" in err
    assert "1 not usable" in err
    found = read_anchors(tmp_path / "o.jsonl")
    assert [a.id for a in found] == ["0", "1"]
    assert found[0].metrics["side_m"] == pytest.approx(256 * 0.8, rel=1e-3)
    code, _, err = run(capsys, "anchors", folder / "bad.png", "--out", tmp_path / "none.jsonl")
    assert code == 1
    assert "bad.png" in err.splitlines()[0]
    assert "nothing in the sources could be annotated" in err.splitlines()[-1]
    assert not (tmp_path / "none.jsonl").exists()


def test_classes_that_hold_too_much_begin_at_quantiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, own = tmp_path / "plain.jsonl", tmp_path / "own.jsonl"
    for out, flags in ((plain, []), (own, ["--calibrate"])):
        assert run(capsys, "anchors", "city:7", "--out", out, "--limit", 12, *flags)[0] == 0
    before, after = read_anchors(plain), read_anchors(own)
    assert [a.metrics for a in after] == [a.metrics for a in before]
    assert {a.annotator_version for a in after}.isdisjoint({a.annotator_version for a in before})

    def commonest(found: list[Anchor]) -> int:
        return Counter(a.attributes.open_space for a in found).most_common(1)[0][1]

    assert commonest(after) < commonest(before)


def test_what_a_map_lacks_is_neither_road_nor_house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    for name, lacking in (("edge", 0.4), ("outside", 0.6)):
        picture = Image.new("RGBA", (200, 200), (*PAPER, 255))
        picture.paste((0, 0, 0, 0), (0, 0, round(200 * lacking), 200))
        picture.save(folder / f"{name}.png")
    code, _, err = run(capsys, "anchors", folder, "--out", tmp_path / "o.jsonl", "--gsd", 0.8)
    assert code == 0
    assert "60 % of the map has no data" in err
    (edge,) = read_anchors(tmp_path / "o.jsonl")
    assert (edge.id, edge.metrics["built_share"]) == ("edge", 0)
    assert edge.metrics["road_m"] == 0


def test_a_photograph_is_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town, folder = City(7), tmp_path / "mixed"
    folder.mkdir()
    tile = tile_at(*town.extent.center, 17)
    Image.fromarray(render_map(town, tile)).save(folder / "map.jpg", quality=60)
    Image.fromarray(render_aerial(town, tile)).save(folder / "photograph.jpg", quality=90)
    code, _, err = run(capsys, "anchors", folder, "--out", tmp_path / "o.jsonl")
    assert code == 0
    assert "photograph: its colours are those of no map style that is known" in err
    assert "1 anchors (1 raster), 0 pairs too different, 1 not usable" in err
    assert [a.id for a in read_anchors(tmp_path / "o.jsonl")] == ["map"]


def _maps(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "white").save(path)
    return folder


def test_pictures_are_named_by_their_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{side}/{n}.png" for side in ("north", "south") for n in ("000", "001.5")]
    code, _, err = run(capsys, "anchors", _maps(tmp_path / "maps", *names), "--out", tmp_path / "o.jsonl")
    assert code == 0
    assert "4 anchors" in err
    assert [a.id for a in read_anchors(tmp_path / "o.jsonl")] == [name.removesuffix(".png") for name in names]


def test_two_pictures_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twins = _maps(tmp_path / "a", "x/1.png", "x/1.jpg")
    other, third = _maps(tmp_path / "b", "x/1.png"), _maps(tmp_path / "c", "x/1.png")
    for sources, said in (
        ([twins], "a: x/1 comes twice"),
        ([other, other], "b: x/1 comes twice"),
        ([other, third], f"c: x/1 comes from {other} as well"),
    ):
        code, _, err = run(capsys, "anchors", *sources, "--out", tmp_path / "o.jsonl")
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
        assert not (tmp_path / "o.jsonl").exists()


def test_pairs_are_matched_by_path(tmp_path: Path) -> None:
    class Geometry:
        def annotate(self, _aerial: Any, _map: Any, _name: str, by_geometry: Callable[[], Anchor]) -> Anchor:
            return by_geometry()

    imagery = open_folder(str(_maps(tmp_path / "imagery", "north/1.jpg", "south/2.jpg", "3.jpg")), SourceOptions())
    maps = open_folder(str(_maps(tmp_path / "maps", "south/1.png", "south/2.png", "3.png")), SourceOptions())
    made = pair_anchors(imagery, maps, cast(PairAnnotator, Geometry()), 1.0, print)
    assert [anchor.id for anchor in made] == ["3", "south/2"]


def test_a_picture_across_the_antimeridian_keeps_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    # The Pacific's own mercator: its axis runs through 150 degrees east.
    left, top = math.radians(30 - 0.0005) * EARTH_RADIUS_M, to_mercator(0, -17)[1]
    step = math.radians(0.001) * EARTH_RADIUS_M / 100
    (tmp_path / "a.pgw").write_text(f"{step}\n0\n0\n{-step}\n{left + step / 2}\n{top - step / 2}\n")
    (tmp_path / "a.prj").write_text(pyproj.CRS("EPSG:3832").to_wkt("WKT1_ESRI"))
    code, _, _ = run(capsys, "anchors", tmp_path / "a.png", "--out", tmp_path / "o.jsonl")
    assert code == 0
    (made,) = read_anchors(tmp_path / "o.jsonl")
    assert made.metrics["side_m"] == pytest.approx(111.3 * math.cos(math.radians(17)), rel=5e-3)


def test_a_model_looks_at_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        name = "silent"

        def __init__(self, *_: Any) -> None: ...

        def reply(self, *_: Any) -> str:
            return "I see houses."

    monkeypatch.setattr("training.anchors.qwen.QwenGenerator", Silent)
    out = tmp_path / "q.jsonl"
    code, _, err = run(capsys, "anchors", "city:7", "--out", out, "--limit", 2, "--annotator", "qwen")
    assert code == 0
    assert "2 osm_fallback" in err
    assert {a.retries for a in read_anchors(out)} == {4}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.png"], "nowhere.png"),
        (["FOLDER", "--annotator", "vectors"], "holds no vectors"),
        (["FOLDER", "--annotator", "qwen"], "name the map"),
        (["city:7", "--agreement", "none.jsonl"], "none.jsonl"),
    ],
)
def test_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    words = [str(tmp_path) if word == "FOLDER" else word for word in arguments]
    code, out, err = run(capsys, "anchors", *words, "--out", tmp_path / "o.jsonl", "--limit", 1)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o.jsonl").exists()
