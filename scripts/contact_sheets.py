"""Contact sheets for the documentation: what GeoAnchor draws, side by side. Only the procedural city is shown.

python scripts/contact_sheets.py [SHEET ...]      writes docs/images/SHEET.webp; without a name, every sheet
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from geoanchor.feature import FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import Tile, tile_at
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.city.looks import later
from indexer.render import STYLES, render_map

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
ZOOM = 16
SIDE_PX = 256
GAP_PX = 6
PLACES: tuple[tuple[str, str], ...] = (
    ("leisure", "stadium"), ("highway", "motorway"), ("landuse", "port"), ("aeroway", "terminal"),
    ("building", "train_station"), ("natural", "beach"),
)  # fmt: skip
"""Tags of the first thing each column is centred on."""


def places(town: FeatureSource, zoom: int = ZOOM) -> list[Tile]:
    """A tile for each of PLACES that the town has."""
    features = town.features(town.extent)
    centres = [next((f.geometry.centroid for f in features if f.tags.get(key) == value), None) for key, value in PLACES]
    return [tile_at(centre.x, centre.y, zoom) for centre in centres if centre is not None]


def sheet(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Pictures of one size in a grid on white."""
    height, width, _ = rows[0][0].shape
    page = np.full((len(rows) * (height + GAP_PX) + GAP_PX, len(rows[0]) * (width + GAP_PX) + GAP_PX, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = GAP_PX + i * (height + GAP_PX), GAP_PX + j * (width + GAP_PX)
            page[top : top + height, left : left + width] = picture
    return page


def map_styles() -> Pixels:
    """Rows: cartographic styles; columns: places."""
    town = City(7)
    tiles = places(town)
    return sheet([[render_map(town, tile, SIDE_PX, style) for tile in tiles] for style in STYLES])


def city_countries() -> Pixels:
    """Rows: the three countries; columns: places, from the air."""
    rows = []
    for country in "ABC":
        town = City(7, country)
        rows.append([render_aerial(town, tile, SIDE_PX, LOOKS[country], 7) for tile in places(town)])
    return sheet([row[: min(5, *map(len, rows))] for row in rows])


def city_dates() -> Pixels:
    """Rows: date 0, date 1 and the map of date 0; columns: where most is built or torn down."""
    town, grown = City(7), City(7, date=1)
    spots = [feature.geometry.centroid for feature, _ in town.changes(town.extent)]
    counts = Counter(tile_at(spot.x, spot.y, 17) for spot in spots)
    tiles = [tile for tile, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]]
    return sheet([
        [render_aerial(town, tile, SIDE_PX, LOOKS["A"], 7) for tile in tiles],
        [render_aerial(grown, tile, SIDE_PX, later(LOOKS["A"]), 7) for tile in tiles],
        [render_map(town, tile, SIDE_PX, "standard") for tile in tiles],
    ])  # fmt: skip


def city_zooms() -> Pixels:
    """Zooms 15 to 19 of one place of each country."""
    rows = []
    for country in "ABC":
        town = City(7, country)
        tiles = [places(town, zoom)[0] for zoom in range(15, 20)]
        rows.append([render_aerial(town, tile, SIDE_PX, LOOKS[country], 7) for tile in tiles])
    return sheet(rows)


SHEETS: dict[str, Callable[[], Pixels]] = {
    "map_styles": map_styles,
    "city-countries": city_countries,
    "city-dates": city_dates,
    "city-zooms": city_zooms,
}


def main(names: Sequence[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or SHEETS:
        Image.fromarray(SHEETS[name]()).save(FOLDER / f"{name}.webp", quality=85, method=6)
        print(FOLDER / f"{name}.webp")


if __name__ == "__main__":
    main(sys.argv[1:])
