"""Folders of z/x/y pictures, whatever the order of their names."""

from __future__ import annotations

import pickle
from pathlib import Path

import mercantile
import pytest
from tileserver import picture

from geoanchor.errors import BadInput, UsageError
from geoanchor.tiling import Tile, tile_at
from indexer.sources.registry import SourceOptions
from indexer.sources.xyz import TileFolder, open_xyz

FOLDERS = [
    "{z}/{x}/{y}.png",
    "{z}/{x}/{-y}.png",
    "{q}.png",
    "{z}-{x}-{y}.png",
    "{z}/{z}_{x}_{y}.png",
    "a [b]/{z}/{x}/{y}.png",
]


@pytest.mark.parametrize("template", FOLDERS)
def test_folder_round_trip(tmp_path: Path, template: str) -> None:
    tiles = sorted({tile_at(85.51 + i / 300, 27.62 + i / 700, z) for i in range(6) for z in (14, 16)})
    for t in tiles:
        name = template.replace("{-y}", str(2**t.z - 1 - t.y)).replace("{q}", mercantile.quadkey(t.x, t.y, t.z))
        path = tmp_path / "town" / name.replace("{z}", str(t.z)).replace("{x}", str(t.x)).replace("{y}", str(t.y))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(t))
        (path.parent / "readme.txt").write_text("no tile")
    source = open_xyz(f"{tmp_path}/town/{template}", SourceOptions())
    refs = list(source.plan())
    assert source.zoom == 16
    assert [ref.tile for ref in refs] == [t for t in tiles if t.z == 16]
    assert all(source.read(ref).encoded == picture(ref.tile) for ref in pickle.loads(pickle.dumps(refs)))
    assert TileFolder(f"{tmp_path}/town/{template}").zooms() == (14, 16)


def test_folder_stamp_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "3/5/2.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(picture(Tile(3, 5, 2)))
    source = open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.png", SourceOptions())
    (before,) = source.plan()
    path.write_bytes(picture(Tile(3, 5, 1)) + b" ")
    (after,) = source.plan()
    assert before.id == after.id
    assert before.stamp != after.stamp


def test_file_gone_since_the_plan_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "3/5/2.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(picture(Tile(3, 5, 2)))
    source = open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.png", SourceOptions())
    (ref,) = source.plan()
    path.unlink()
    assert source.read(ref).nodata == 1.0


def test_names_that_are_no_tiles_are_passed_over(tmp_path: Path) -> None:
    for name in ("3/5/2.png", "3/99/2.png", "77/1/1.png", "3/5/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(Tile(3, 5, 2)))
    source = open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.png", SourceOptions())
    assert [ref.tile for ref in source.plan()] == [Tile(3, 5, 2)]


def test_folder_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        open_xyz(f"{tmp_path}/nowhere/tiles/{{z}}/{{x}}/{{y}}.png", SourceOptions())
    with pytest.raises(BadInput, match="placeholders"):
        open_xyz(f"{tmp_path}/{{z}}/{{x}}/{{y}}.png", SourceOptions())
