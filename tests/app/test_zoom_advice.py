"""What is advised where map and imagery lie at two zooms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commandline import run
from shapely.geometry import box, mapping

from geoanchor.tiling import Bounds, Tile, tiles_in


def test_a_map_at_another_zoom_than_the_imagery_is_pointed_out(
    capsys: pytest.CaptureFixture[str], painted_folder: Path, painted_tiles: dict[Tile, str], tmp_path: Path
) -> None:
    folder, house = tmp_path / "own.index", tmp_path / "house.geojson"
    ground = box(*next(iter(painted_tiles)).children()[0].bounds).buffer(-0.0007)
    outline = {"type": "Feature", "properties": {"building": "yes"}, "geometry": mapping(ground)}
    house.write_text(json.dumps({"type": "FeatureCollection", "features": [outline]}))
    run(capsys, "index", f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", "--into", folder, "--model", "toy")
    code, _, err = run(capsys, "index", house, "--into", folder)
    assert code == 0
    advice = "drawn at zoom 17 and the imagery lies at zoom 16: to compare them, index the map again with --zoom 16"
    assert advice in err
    assert advice in run(capsys, "doctor", folder)[1]
    next(folder.glob("serving/*/rows.arrow")).rename(tmp_path / "rows.arrow")
    assert "`geoanchor doctor --repair` writes it anew" in run(capsys, "doctor", folder)[1], (
        "also where no advice can be given"
    )
    (tmp_path / "rows.arrow").rename(next(folder.glob("serving/*")) / "rows.arrow")
    assert advice not in run(capsys, "index", house, "--zoom", 16, "--into", folder)[2]
    assert advice not in run(capsys, "doctor", folder)[1]


def test_zooms_are_compared_only_where_map_and_imagery_share_ground(
    capsys: pytest.CaptureFixture[str], painted_folder: Path, painted_tiles: dict[Tile, str], tmp_path: Path
) -> None:
    folder, far, house = tmp_path / "own.index", tmp_path / "far", tmp_path / "house.geojson"
    for tile in tiles_in(Bounds(20.0, 0.0, 20.004, 0.004), 17):
        (far / f"{tile}.png").parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(painted_folder / f"{next(iter(painted_tiles))}.png", far / f"{tile}.png")
    ground = [box(*next(iter(painted_tiles)).bounds).buffer(-0.0007), box(20.001, 0.001, 20.003, 0.003)]
    for name, shape in zip(("here", "there"), ground, strict=True):
        outline = {"type": "Feature", "properties": {"building": "yes"}, "geometry": mapping(shape)}
        house.with_stem(name).write_text(json.dumps({"type": "FeatureCollection", "features": [outline]}))
    run(capsys, "index", f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", "--into", folder, "--model", "toy")
    run(capsys, "index", f"{far}/{{z}}/{{x}}/{{y}}.png", "--into", folder)
    code, _, err = run(capsys, "index", house.with_stem("here"), "--zoom", 16, "--into", folder)
    assert (code, err) == (0, ""), "the map pairs where it is, and elsewhere there is none"
    code, _, err = run(capsys, "index", house.with_stem("there"), "--zoom", 18, "--into", folder)
    assert "drawn at zoom 18 and the imagery lies at zoom 17" in err
    named = [float(edge) for edge in err.strip().partition("--within=")[2].split(",")]
    assert Bounds(*named).holds(20.002, 0.002)
    assert 19.99 < named[0] < named[2] < 20.01, "the box is that of the ground where they differ, and no other"
    there, within = house.with_stem("there"), f"--within={','.join(map(str, named))}"
    assert run(capsys, "index", there, "--zoom", 17, within, "--into", folder)[2] == ""
