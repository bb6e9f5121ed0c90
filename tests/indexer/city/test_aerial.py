"""The aerial look: deterministic, joined from tile to tile, and alive."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import shapely

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Bounds, Tile, tile_at
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.city.looks import later

ROOT = Path(__file__).resolve().parents[3]
PRINT = """
import hashlib
from geoanchor.tiling import tile_at
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
city = City(7)
picture = render_aerial(city, tile_at(city.frame.lng, city.frame.lat, 17), 128, LOOKS["A"], 7)
print(hashlib.sha256(picture.tobytes()).hexdigest())
"""


@cache
def town(country: str = "A") -> City:
    return City(7, country)


def center(country: str = "A", zoom: int = 17) -> Tile:
    return tile_at(town(country).frame.lng, town(country).frame.lat, zoom)


class Few:
    """A feature source of a few features, in any order."""

    def __init__(self, features: list[Feature]) -> None:
        self._features = features

    @property
    def extent(self) -> Bounds:
        return Bounds(0, 0, 1, 1)

    def features(self, bounds: Bounds) -> list[Feature]:
        box = shapely.box(*bounds)
        return [f for f in self._features if f.geometry.intersects(box)]


def test_the_same_in_another_process_and_in_threads() -> None:
    runs = [subprocess.run([sys.executable, "-c", PRINT], cwd=ROOT, capture_output=True, text=True, check=True)
            for _ in range(2)]  # fmt: skip
    assert runs[0].stdout == runs[1].stdout != ""
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda _: render_aerial(town(), center(), 128, LOOKS["A"], 7), range(4)))
    assert all((p == pictures[0]).all() for p in pictures)


def test_order_of_features_does_not_matter() -> None:
    features = list(town().features(center(zoom=16).bounds))
    first = render_aerial(Few(features), center(), 128)
    second = render_aerial(Few(features[::-1]), center(), 128)
    assert (first == second).all()


@pytest.mark.parametrize("country", ["A", "B", "C"])
def test_four_tiles_make_their_parent(country: str) -> None:
    look = replace(LOOKS[country], noise=0.0)
    parent = center(country, 16)
    whole = render_aerial(town(country), parent, 512, look, 7).astype(int)
    for child in parent.children():
        part = render_aerial(town(country), child, 256, look, 7).astype(int)
        top, left = (child.y & 1) * 256, (child.x & 1) * 256
        apart = np.abs(whole[top : top + 256, left : left + 256] - part)
        assert apart.mean() < 0.2
        assert (apart.max(-1) > 24).mean() < 1e-3


@pytest.mark.parametrize("zoom", [14, 15, 16, 18, 19, 20])
def test_any_zoom_gives_a_lively_picture(zoom: int) -> None:
    picture = render_aerial(town("C"), center("C", zoom), 256, LOOKS["C"], 7)
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 8


def test_colours_of_what_is_there() -> None:
    """River bluish, stadium lawn green, in every country."""
    for country in "ABC":
        features = town(country).features(town(country).extent)
        for key, value, channel in (("water", "river", 2), ("sport", "soccer", 1)):
            spots = [f.geometry.representative_point() for f in features if f.tags.get(key) == value
                     and f.tags.get("leisure") != "stadium"]  # fmt: skip
            tile = tile_at(spots[0].x, spots[0].y, 18)
            picture = render_aerial(town(country), tile, 256, replace(LOOKS[country], shift_m=(0.0, 0.0)), 7)
            box = tile.bounds
            x = int((spots[0].x - box.west) / (box.east - box.west) * 256)
            y = int((box.north - spots[0].y) / (box.north - box.south) * 256)
            around = picture[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].reshape(-1, 3).mean(0)
            assert around[channel] > around[0], (country, value)


def test_a_taller_building_casts_a_longer_shadow_away_from_the_sun() -> None:
    tile = tile_at(11.0, 48.0, 18)
    lng, lat = tile.center
    square = shapely.box(lng - 1e-4, lat - 7e-5, lng + 1e-4, lat + 7e-5)
    look = replace(LOOKS["generic"], noise=0.0, sun_azimuth=180.0)

    def dark(height: str) -> np.ndarray:
        bare = render_aerial(Few([]), tile, 256, look).astype(int)
        shown = render_aerial(
            Few([Feature("way/1", square, {"building": "office", "height": height})]), tile, 256, look
        )
        return (bare - shown).mean(-1) > 25

    low, high = dark("6"), dark("30")
    assert high[:110].sum() > 2 * max(low[:110].sum(), 1)
    assert high[200:].sum() == 0


def test_another_season_and_sun() -> None:
    autumn = render_aerial(town(), center(), 128, later(LOOKS["A"]), 7)
    assert np.abs(autumn.astype(int) - render_aerial(town(), center(), 128, LOOKS["A"], 7)).mean() > 4


def test_odd_features_do_no_harm() -> None:
    lng, lat = center().center
    spot = shapely.Point(lng, lat)
    odd = [
        Feature("n/1", spot, {"natural": "tree"}), Feature("n/2", spot, {"highway": "crossing"}),
        Feature("w/1", shapely.LineString([(lng, lat), (lng + 1e-3, lat)]), {"highway": "primary", "lanes": "many"}),
        Feature("w/2", spot.buffer(1e-4), {"building": "yes", "height": "tall", "building:levels": "-3"}),
        Feature("r/1", shapely.MultiPolygon(
            [spot.buffer(2e-4), shapely.Point(lng + 1e-3, lat).buffer(1e-4)]), {"landuse": "forest"}),
        Feature("r/2", shapely.GeometryCollection([spot, spot.buffer(1e-4)]), {"building": "yes"}),
        Feature("w/3", shapely.Polygon(), {"natural": "water"}),
    ]  # fmt: skip
    assert render_aerial(Few(odd), center(), 64).std() > 1
    with pytest.raises(UsageError):
        render_aerial(Few(odd), center(), 0)


def test_real_towns_can_be_given_the_look(shared_data: Path) -> None:
    from indexer.sources.osm import open_osm
    from indexer.sources.registry import SourceOptions

    source = open_osm(str(shared_data / "osm" / "monaco.osm.pbf"), SourceOptions(layer="aerial", zoom=17))
    picture = source.read(next(r for r in source.plan() if r.tile == tile_at(7.4246, 43.7384, 17))).pixels
    assert picture.std() > 15
