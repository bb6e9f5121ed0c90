"""Segments from end to end: real imagery and the city, Python and command line, outlines on pages and in GeoJSON."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from shapely.geometry import Polygon, box
from tiny_sam import tiny_sam
from typer.testing import CliRunner

import geoanchor
from app.cli import app
from app.report import report_page, section_of
from geoanchor.errors import UsageError
from geoanchor.tiling import Bounds
from indexer.city.city import City
from models import sam


def cli(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def town() -> Bounds:
    lng, lat = City(3).extent.center
    return Bounds(lng - 0.006, lat - 0.004, lng + 0.006, lat + 0.004)


@pytest.fixture(scope="module")
def city_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("polygons") / "town.index"
    geoanchor.build("city:3", folder, model="toy", within=town(), segments="polygons", fuse=0.3)
    return folder


@pytest.fixture(scope="module")
def banepa_index(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("regions") / "banepa.index"
    chips = sorted((shared_data / "banepa" / "imagery").glob("*.tif"))[:2]
    geoanchor.build([str(chip) for chip in chips], folder, model="toy", segments="regions")
    return folder


def check_outlines(index: geoanchor.Index, text: str) -> int:
    """Every outline lies in its tile and has the area it is said to have."""
    told = 0
    for hit in index.search(text, k=50, literal=True):
        if (segment := hit.why.get("segment")) is None:
            continue
        told += 1
        assert hit.bounds is not None
        ground = Polygon(segment["outline"]).buffer(0)
        assert box(*hit.bounds).buffer(1e-7).contains(ground)
        # A ring without its holes is no smaller than the part.
        assert ground.area / box(*hit.bounds).area >= 0.8 * segment["area"] - 0.01
        shares = np.array(segment["picture"])
        assert shares.min() >= 0
        assert shares.max() <= 1
    return told


def test_real_imagery(banepa_index: Path) -> None:
    index = geoanchor.open(banepa_index)
    assert check_outlines(index, "green") >= len(index) / 2
    late = index.search("green", k=5, literal=True, rerank="segments")
    plain = {hit.id: hit for hit in index.search("green", k=len(index), literal=True)}
    for hit in late:
        if "segment" in hit.why:
            mixed = 0.7 * plain[hit.id].score + 0.3 * hit.why["segment"]["score"]
            assert hit.score == pytest.approx(mixed, abs=1e-3)
    first = late[0]
    again = index.search(like=first.id, segment=first.why["segment"]["number"], k=3)
    assert len(again) == 3
    assert first.id not in {hit.id for hit in again}


def test_the_citys_polygons_are_its_segments(city_index: Path) -> None:
    index = geoanchor.open(city_index)
    assert index.info()["segments"] == {"method": "polygons", "space": "semantic", "fuse": 0.3}
    assert check_outlines(index, "park") > 0


def test_building_again_keeps_the_indexs_own_segments(city_index: Path) -> None:
    report = geoanchor.build("city:3", city_index, within=town())
    assert (report.added, report.updated) == (0, 0)
    with pytest.raises(UsageError, match=r"its segments are polygons, fused by 0.3, not regions, fused by 0.3"):
        geoanchor.build("city:3", city_index, within=town(), segments="regions")
    with pytest.raises(UsageError, match=r"its segments are polygons, fused by 0.3, not none"):
        geoanchor.build("city:3", city_index, within=town(), segments="none")


def test_command_line(tmp_path: Path, painted_folder: Path) -> None:
    folder = tmp_path / "painted.index"
    cli("index", f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", "--into", folder, "--model", "toy", "--segments", "regions")
    assert json.loads(cli("info", folder, "--format", "json"))["segments"]["method"] == "regions"
    hits = json.loads(cli("search", folder, "green", "--rerank", "segments", "--format", "json", "-k", 3))["hits"]
    assert len(hits) == 3
    liked = cli("search", folder, "--like", hits[0]["id"], "--segment", 0, "--format", "json")
    assert json.loads(liked)["hits"]
    refused = CliRunner().invoke(app, ["search", str(folder), "green", "--segment", "0"])
    assert isinstance(refused.exception, UsageError)
    assert "name that row with --like" in str(refused.exception)
    assert "all is well" in cli("doctor", folder)


def test_a_sam_from_a_file_finds_the_segments(
    tmp_path: Path, painted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random weights are sure of nothing, so every mask is to do.
    unsure = partial(sam.SamSegmenter, points_per_side=2, pred_iou_thresh=-100.0, stability_score_thresh=0.0)
    monkeypatch.setattr(sam, "SamSegmenter", unsure)
    weights, folder = tmp_path / "tiny.pth", tmp_path / "sam.index"
    torch.save(tiny_sam().state_dict(), weights)
    (tmp_path / "tiles").mkdir()
    for number, picture in enumerate(sorted(painted_folder.rglob("*.png"))[:3]):
        shutil.copy(picture, tmp_path / "tiles" / f"{number}.png")
    cli("index", tmp_path / "tiles", "--into", folder, "--model", "toy", "--segments", f"sam:{weights}", "--offline")
    assert json.loads(cli("info", folder, "--format", "json"))["segments"]["method"] == f"sam:{weights}"
    hits = json.loads(cli("search", folder, "green", "--rerank", "segments", "--format", "json"))["hits"]
    assert len(hits) == 3
    assert any("segment" in hit["why"] for hit in hits)


def test_what_cannot_be_is_refused(tmp_path: Path, painted_folder: Path) -> None:
    tiles = f"{painted_folder}/{{z}}/{{x}}/{{y}}.png"
    with pytest.raises(UsageError, match="no vector features to take segments from"):
        geoanchor.build(tiles, tmp_path / "a", model="toy", segments="polygons")
    with pytest.raises(UsageError, match="say which with --segments"):
        geoanchor.build(tiles, tmp_path / "b", model="toy", fuse=0.3)
    with pytest.raises(UsageError, match="segments cannot be made by 'superpixels'"):
        geoanchor.build(tiles, tmp_path / "c", model="toy", segments="superpixels")


def test_a_report_draws_the_outline_on_the_picture(city_index: Path) -> None:
    index = geoanchor.open(city_index)
    hits = index.search("park", k=6, literal=True)
    page = report_page("Search", "town", [section_of(index, hits)])
    drawn = re.findall(r'<svg [^>]*viewBox="0 0 256 256"[^>]*><polygon points="([\d., ]+)"/></svg></div>', page)
    assert len(drawn) == sum("segment" in hit.why for hit in hits) > 0
    first = next(hit for hit in hits if "segment" in hit.why)
    corners = [tuple(round(256 * share, 1) for share in corner) for corner in first.why["segment"]["picture"]]
    assert drawn[0] == " ".join(f"{x},{y}" for x, y in corners)
    assert f"segment {first.why['segment']['number']} " in page


def test_geojson_carries_the_outline(city_index: Path) -> None:
    collection = json.loads(cli("search", city_index, "park", "--literal", "--format", "geojson"))
    told = [feature["properties"]["why"].get("segment") for feature in collection["features"]]
    assert any(part and Polygon(part["outline"]).is_valid for part in told)
