"""Classes from the colours of maps: the file is current, and drawn maps are read as they were drawn."""

import json
from functools import cache

import numpy as np
import pytest

from geoanchor.structure import CLASS_OF, CLASSES
from geoanchor.tiling import Tile, tiles_in
from indexer.city.city import City
from indexer.render import STYLES, render_map, render_structure
from models.palette import FOREIGN, PALETTES, find_palette, foreignness, map_classes, palettes
from scripts.palettes import palettes_json
from training.patches import recompressed


@cache
def city() -> City:
    return City(4, "A")


@cache
def busy_tiles() -> tuple[Tile, ...]:
    """Those tiles of the city with most classes in them."""
    tiles = list(tiles_in(city().extent, 17))[11::29]
    return tuple(sorted(tiles, key=lambda tile: -len(np.unique(render_structure(city(), tile, 64))))[:4])


def inner(classes: np.ndarray) -> np.ndarray:
    """Where all eight neighbours are of one class: no edge, no outline."""
    same = np.ones(classes.shape, bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            same &= np.roll(classes, (dy, dx), (0, 1)) == classes
    same[[0, -1]] = same[:, [0, -1]] = False
    return same


def test_the_file_is_what_the_script_writes() -> None:
    assert PALETTES.read_text("utf-8") == palettes_json()


def test_every_palette_knows_known_classes_and_gives_a_colour_to_one_only() -> None:
    for name, classes in json.loads(PALETTES.read_text("utf-8")).items():
        assert set(classes) <= set(CLASSES)
        assert {"building", "water", "green", "minor_road", "major_road"} <= set(classes), name
        colours = [colour for own in classes.values() for colour in own]
        assert len(colours) == len(set(colours)), name


@pytest.mark.parametrize("style", STYLES)
def test_a_map_is_read_by_its_own_palette(style: str) -> None:
    for tile in busy_tiles():
        assert find_palette(render_map(city(), tile, 256, style)).name == style
        assert find_palette(recompressed(render_map(city(), tile, 256, style), 75)).name == style
        assert foreignness(recompressed(render_map(city(), tile, 256, style), 50)) < FOREIGN


LEAST = {"standard": 0.98, "light": 0.94, "google": 0.985, "dark": 0.985}
"""Share of pixels inside of one class that are read right, after a JPEG of quality 85."""


@pytest.mark.parametrize("style", STYLES)
def test_drawn_maps_are_read_as_their_vectors_say(style: str) -> None:
    right, total, jpeg = 0, 0, 0
    for tile in busy_tiles():
        truth, picture = render_structure(city(), tile, 256), render_map(city(), tile, 256, style)
        where = inner(truth)
        right += int((map_classes(picture) == truth)[where].sum())
        jpeg += int((map_classes(recompressed(picture, 85)) == truth)[where].sum())
        total += int(where.sum())
    assert right / total >= LEAST[style]
    assert jpeg / total >= LEAST[style] - 0.02


@pytest.mark.parametrize("style", STYLES)
def test_every_colour_of_a_style_is_read_as_its_class(style: str) -> None:
    known = json.loads(PALETTES.read_text("utf-8"))[style]
    palette = next(palette for palette in palettes() if palette.name == style)
    assert palette.classes.shape == palette.distance.shape == (64**3,)
    for name, colours in known.items():
        for colour in colours:
            rgb = np.array(list(bytes.fromhex(colour[1:])), np.uint8)
            key = (rgb >> 2).astype(int) @ (4096, 64, 1)
            assert palette.classes[key] == CLASS_OF[name], (style, colour)
            assert palette.distance[key] < 5
