"""Every command of the README runs as it stands there, on files of the kinds it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import osmium
import pytest
import rasterio
from osmium.osm.mutable import Node, Way
from PIL import Image
from rasterio.transform import from_bounds

from app import cli
from geoanchor.tiling import Bounds, Tile, tiles_in
from indexer.city.city import City
from indexer.render import render_map
from indexer.sources.registry import SourceOptions, open_source

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SIDE = 3


def commands() -> list[str]:
    """The `geoanchor` lines of the README's shell blocks, without their comments; the server has tests of its own."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    lines = [line.split("  #")[0].strip() for line in blocks.splitlines() if line.startswith("geoanchor ")]
    return [line for line in lines if not line.startswith("geoanchor serve")]


def place() -> list[Tile]:
    """Tiles of a town, SIDE x SIDE, in row-major order."""
    west, south, east, north = City(7).extent
    middle = Bounds((west + east) / 2, (south + north) / 2, (west + east) / 2, (south + north) / 2)
    first = next(tiles_in(middle, 17))
    return [Tile(17, first.x + x, first.y + y) for y in range(SIDE) for x in range(SIDE)]


def write_orthophoto(path: Path, tiles: list[Tile]) -> None:
    source = open_source("city:7", SourceOptions())
    by_tile = {ref.tile: ref for ref in source.plan()}
    pixels = [source.read(by_tile[tile]).pixels for tile in tiles]
    rows = [np.concatenate(pixels[start : start + SIDE], axis=1) for start in range(0, len(pixels), SIDE)]
    image = np.concatenate(rows).transpose(2, 0, 1)
    left, top = tiles[0].bounds_mercator.left, tiles[0].bounds_mercator.top
    right, bottom = tiles[-1].bounds_mercator.right, tiles[-1].bounds_mercator.bottom
    shape = {"count": 3, "height": image.shape[1], "width": image.shape[2], "dtype": "uint8"}
    grid = {"crs": "EPSG:3857", "transform": from_bounds(left, bottom, right, top, image.shape[2], image.shape[1])}
    with rasterio.open(path, "w", driver="GTiff", **shape, **grid) as file:
        file.write(image)


def write_town(path: Path, tiles: list[Tile]) -> None:
    west, south, east, north = (*tiles[-SIDE].bounds[:2], *tiles[SIDE - 1].bounds[2:])
    numbers = iter(range(1, 1_000_000))
    nodes, ways = [], []
    for feature in City(7).features(Bounds(west, south, east, north)):
        line = feature.geometry.exterior if feature.geometry.geom_type == "Polygon" else feature.geometry
        if line.geom_type not in ("LinearRing", "LineString"):
            continue
        refs = [next(numbers) for _ in line.coords[:-1]]
        refs.append(refs[0] if line.is_ring else next(numbers))
        nodes += [Node(id=ref, location=point[:2]) for ref, point in zip(refs, line.coords, strict=True)]
        ways.append(Way(id=next(numbers), nodes=refs, tags=dict(feature.tags)))
    with osmium.SimpleWriter(str(path)) as writer:
        for node in {node.id: node for node in nodes}.values():
            writer.add_node(node)
        for way in ways:
            writer.add_way(way)


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    tiles = place()
    write_orthophoto(tmp_path / "ortho.tif", tiles)
    write_town(tmp_path / "town.osm.pbf", tiles)
    Image.fromarray(render_map(City(7), tiles[4], 256)).save(tmp_path / "tile.png")
    with rasterio.open(tmp_path / "ortho.tif") as file:
        Image.fromarray(file.read()[:, 300:500, 300:500].transpose(1, 2, 0)).save(tmp_path / "crop.jpg")
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 10
    for line in commands():
        words = shlex.split(line.split(" > ")[0])
        assert cli.run(words[1:]) == 0, f"{line}: {capsys.readouterr().err}"
    assert "</html>" in (tmp_path / "parks.html").read_text("utf-8")


def test_links_and_pictures_exist() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert [target for target in targets if not (ROOT / target).exists()] == []
