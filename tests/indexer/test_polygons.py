"""Vector polygons as masks of a tile."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Tile, tile_at
from indexer.polygons import SIDE_PX, FeatureTiles, masks_of, polygon_masks, require_features
from indexer.sources.captioned import CaptionedSource
from indexer.sources.registry import SourceOptions, open_source

TILE = tile_at(16.0, 48.2, 17)


def part(left: float, top: float, right: float, bottom: float, tile: Tile = TILE) -> shapely.Polygon:
    """A box given in shares of the tile, in degrees."""
    west, south, east, north = tile.bounds
    return shapely.box(
        west + left * (east - west), north - bottom * (north - south), west + right * (east - west),
        north - top * (north - south),
    )  # fmt: skip


def test_a_box_becomes_its_pixels() -> None:
    [mask] = polygon_masks([Feature("a", part(0.25, 0.5, 0.75, 1.0))], TILE)
    wanted = np.zeros((SIDE_PX, SIDE_PX), bool)
    wanted[SIDE_PX // 2 :, SIDE_PX // 4 : 3 * SIDE_PX // 4] = True
    assert np.count_nonzero(mask.pixels != wanted) <= 2 * SIDE_PX
    assert mask.area == pytest.approx(0.25, abs=0.01)
    assert mask.stability == 1.0


def test_holes_are_left_out_and_what_lies_beyond_the_tile_is_cut_off() -> None:
    ring = part(-1, -1, 2, 2).difference(part(0.25, 0.25, 0.75, 0.75))
    [mask] = polygon_masks([Feature("a", ring)], TILE)
    assert mask.area == pytest.approx(0.75, abs=0.01)
    assert not mask.pixels[SIDE_PX // 2, SIDE_PX // 2]


def test_several_parts_are_one_mask() -> None:
    both = shapely.MultiPolygon([part(0, 0, 0.2, 0.2), part(0.5, 0.5, 0.7, 0.7)])
    [mask] = polygon_masks([Feature("a", both)], TILE)
    assert mask.area == pytest.approx(0.08, abs=0.01)


def test_an_island_in_a_hole_stays_whichever_comes_first() -> None:
    ring = shapely.difference(part(0.1, 0.1, 0.9, 0.9), part(0.3, 0.3, 0.7, 0.7))
    island = part(0.4, 0.4, 0.6, 0.6)
    for parts in ((ring, island), (island, ring)):
        [mask] = polygon_masks([Feature("a", shapely.MultiPolygon(parts))], TILE)
        assert mask.area == pytest.approx(0.64 - 0.16 + 0.04, abs=0.01)


def test_lines_specks_and_neighbours_give_no_mask() -> None:
    features = [
        Feature("line", shapely.LineString([part(0, 0, 1, 1).bounds[:2], part(0, 0, 1, 1).bounds[2:]])),
        Feature("speck", part(0.5, 0.5, 0.505, 0.505)),
        Feature("beside", part(1.1, 0, 2, 1)),
    ]
    assert polygon_masks(features, TILE) == []


def test_the_city_brings_its_own_masks_and_a_folder_does_not(painted_folder: object) -> None:
    town = open_source("city:7", SourceOptions())
    require_features([town])
    image = town.read(next(iter(town.plan())))
    assert masks_of(town, image)
    pictures = open_source(str(painted_folder), SourceOptions())
    with pytest.raises(UsageError, match="use --segments regions"):
        require_features([town, pictures])
    assert masks_of(pictures, image) == []


def test_captions_hide_no_features(painted_folder: object) -> None:
    town = open_source("city:7", SourceOptions(layer="map"))
    assert isinstance(CaptionedSource(town, {}), FeatureTiles)
    pictures = open_source(str(painted_folder), SourceOptions())
    assert not isinstance(CaptionedSource(pictures, {}), FeatureTiles)
