"""Still maps of hits and of H3 cells: where things are drawn, on both sides of the antimeridian as well."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from app.changereport import outline_path
from app.heatmap import heat_svg
from app.locator import locator_svg
from app.mosaic import Mosaic
from geoanchor.change import Change, HeatCell
from geoanchor.query import Hit
from geoanchor.tiling import Bounds, Tile, cell_at, cell_name

ZOOM = 9
SIDE = 1 << ZOOM
EAST, WEST = Tile(ZOOM, 0, 200), Tile(ZOOM, SIDE - 1, 200)
"""The tiles just east and just west of the antimeridian."""
Box = tuple[float, float, float, float]


def _mosaic(*tiles: Tile) -> Mosaic:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 0, 0)).save(buffer, "PNG")
    addresses = {"id": [str(tile) for tile in tiles], "layer": ["aerial"] * len(tiles)}
    addresses |= {name: [getattr(tile, name) for tile in tiles] for name in "zxy"}
    return Mosaic(addresses, lambda ids: dict.fromkeys(ids, buffer.getvalue()))


def _hit(rank: int, bounds: Bounds) -> Hit:
    lng, lat = bounds.center
    return Hit(id=str(rank), rank=rank, score=1.0, layer="aerial", bounds=bounds, lng=lng, lat=lat)


def _change(rank: int, tile: Tile) -> Change:
    lng, lat = tile.center
    return Change(
        id=str(rank), rank=rank, mismatch=0.5, percentile=50, cause="unclear", reason="", informative=True,
        map_id=None, aerial_id=str(tile), bounds=tile.bounds, lng=lng, lat=lat,
    )  # fmt: skip


def _boxes(svg: str, kind: str) -> list[Box]:
    """Images or outlines in the order in which they are drawn."""
    found = []
    for markup in re.findall(f"<{kind} [^>]*>", svg):
        said = dict(re.findall(r' (\w+)="([\d.-]+)"', markup))
        found.append((float(said["x"]), float(said["y"]), float(said["width"]), float(said["height"])))
    return found


def test_hits_on_both_sides_of_the_antimeridian_lie_side_by_side() -> None:
    svg = locator_svg([_hit(1, EAST.bounds), _hit(2, WEST.bounds)], _mosaic(EAST, WEST))
    (left, _, width, _), (right, *_) = _boxes(svg, "rect")
    assert right == pytest.approx(left + width, abs=0.2)
    assert width > 200
    images = _boxes(svg, "image")
    assert sorted(image[0] for image in images) == pytest.approx([left, right], abs=0.2)


def test_a_picture_on_the_antimeridian_is_drawn_whole() -> None:
    across = Bounds(WEST.center[0], WEST.bounds.south, EAST.center[0], WEST.bounds.north)
    svg = locator_svg([_hit(1, across)], _mosaic(EAST, WEST))
    ((x, _, width, _),) = _boxes(svg, "rect")
    (left, _, side, _), _ = sorted(_boxes(svg, "image"))
    assert (x, width) == pytest.approx((left + side / 2, side), abs=0.5)


@pytest.mark.parametrize("tile", [EAST, WEST])
def test_air_beside_the_antimeridian_shows_no_more_tiles(tile: Tile) -> None:
    mosaic = _mosaic(tile)
    svg = locator_svg([_hit(1, tile.bounds)], mosaic)
    ((x, y, *_),) = _boxes(svg, "rect")
    (image,) = _boxes(svg, "image")
    assert image[:2] == pytest.approx((x, y), abs=0.2)


def test_hits_all_over_the_world_lie_in_one_turn() -> None:
    tiles = [Tile(2, x, 1) for x in range(4)]
    svg = locator_svg([_hit(rank, tile.bounds) for rank, tile in enumerate(tiles)], _mosaic(*tiles))
    lefts = [x for x, *_ in _boxes(svg, "rect")][::-1]
    assert lefts == sorted(lefts)
    assert len(_boxes(svg, "image")) >= 4


def test_cells_on_both_sides_of_the_antimeridian_make_one_map() -> None:
    lat = WEST.center[1]
    names = [cell_name(cell_at(lng, lat, 4)) for lng in (179.5, 180.0, -179.5)]
    cells = [HeatCell(cell=name, mean=0.5, max=0.5, pairs=1) for name in dict.fromkeys(names)]
    svg = heat_svg(cells, [_change(1, EAST), _change(2, WEST)], _mosaic(EAST, WEST))
    rings = [
        [float(point.split(",")[0]) for point in points.split()] for points in re.findall(r'points="([^"]*)"', svg)
    ]
    assert len(rings) == 3
    assert [sum(ring) for ring in rings] == sorted(sum(ring) for ring in rings)
    # Three cells in a row: each takes about its share of the width, and none runs over the whole map.
    assert all(100 < max(ring) - min(ring) < 350 for ring in rings)
    assert 0 <= min(map(min, rings)) < max(map(max, rings)) <= 520
    west, east = sorted(_boxes(svg, "image"))
    marks = {rank: float(x) for x, rank in re.findall(r'<text x="([\d.]+)"[^>]*>(\d)<', svg)}
    assert marks["1"] == pytest.approx(east[0] + east[2] / 2, abs=0.5)
    assert marks["2"] == pytest.approx(west[0] + west[2] / 2, abs=0.5)


def test_an_outline_over_the_antimeridian_lies_in_its_picture() -> None:
    ring = [(179.995, -1.0), (-179.995, -1.0), (-179.995, -0.995), (179.995, -0.995), (179.995, -1.0)]
    change = _change(1, EAST).model_copy(
        update={
            "bounds": Bounds(179.99, -1.005, -179.99, -0.985),
            "outline": {"type": "Polygon", "coordinates": [ring]},
        }
    )
    corners = [float(number) for number in re.findall(r"-?\d+\.\d+", outline_path(change))]
    assert corners[:4] == pytest.approx([25, 75, 75, 75], abs=0.1)
    assert all(0 <= corner <= 100 for corner in corners)
