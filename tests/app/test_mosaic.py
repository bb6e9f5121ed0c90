from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.mosaic import MAX_STEPS, Mosaic
from geoanchor.tiling import Tile

PARENT = Tile(10, 300, 400)
INKS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]


def _png(ink: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (256, 256), ink).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def mosaic() -> Mosaic:
    """The four children of PARENT, each of one colour, and a row without position."""
    children = PARENT.children()
    pictures = {str(tile): _png(ink) for tile, ink in zip(children, INKS, strict=True)}
    addresses = {
        "id": [*map(str, children), "lost"], "layer": ["map"] * 5, "z": [*(t.z for t in children), None],
        "x": [*(t.x for t in children), None], "y": [*(t.y for t in children), None],
    }  # fmt: skip
    return Mosaic(addresses, lambda ids: {name: pictures[name] for name in ids if name in pictures})


def _pixels(data: bytes | None) -> np.ndarray:
    assert data is not None
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA")).astype(int)


def test_a_stored_tile_is_given_as_it_is(mosaic: Mosaic) -> None:
    assert mosaic.tile("map", PARENT.children()[2]) == _png(INKS[2])


def test_a_parent_shows_its_children_in_their_places(mosaic: Mosaic) -> None:
    pixels = _pixels(mosaic.tile("map", PARENT))
    for (row, column), ink in zip([(64, 64), (64, 192), (192, 64), (192, 192)], INKS, strict=True):
        assert np.abs(pixels[row, column, :3] - ink).max() < 12


def test_what_is_not_covered_is_transparent(mosaic: Mosaic) -> None:
    pixels = _pixels(mosaic.tile("map", PARENT.parent()))
    covered = pixels[:, :, 3] > 128
    assert covered.sum() == 128 * 128
    left, top = (PARENT.x % 2) * 128, (PARENT.y % 2) * 128
    assert covered[top : top + 128, left : left + 128].all()


def test_below_a_stored_tile_its_part_is_enlarged(mosaic: Mosaic) -> None:
    pixels = _pixels(mosaic.tile("map", PARENT.children()[1].children()[2]))
    assert pixels.shape == (256, 256, 4)
    assert np.abs(pixels[..., :3] - INKS[1]).max() < 12


def test_nothing_lies_elsewhere(mosaic: Mosaic) -> None:
    assert mosaic.tile("aerial", PARENT) is None
    assert mosaic.tile("map", Tile(10, 301, 400)) is None
    assert mosaic.tile("map", Tile(17, PARENT.x << 7, PARENT.y << 7)) is None
    assert mosaic.tile("map", PARENT.parent(10 - MAX_STEPS)) is None


def test_extent_and_zooms(mosaic: Mosaic) -> None:
    assert mosaic.layers == ["map"]
    assert mosaic.zooms("map") == (11 - MAX_STEPS, 11)
    assert mosaic.zooms("aerial") is None
    assert np.allclose(mosaic.extent(), PARENT.bounds)


def _spread(*tiles: Tile) -> Mosaic:
    addresses = {"id": [str(tile) for tile in tiles], "layer": ["map"] * len(tiles)}
    return Mosaic(addresses | {name: [getattr(tile, name) for tile in tiles] for name in "zxy"}, lambda ids: {})


def test_the_extent_takes_the_shorter_way_round() -> None:
    east, west, inner = Tile(10, 0, 400), Tile(11, (1 << 11) - 1, 802), Tile(10, 2, 401)
    extent = _spread(east, west, inner).extent("map")
    assert extent is not None
    assert extent == (west.bounds.west, inner.bounds.south, inner.bounds.east, east.bounds.north)
    assert extent.west > extent.east
    assert _spread(east, inner).extent() == (-180, inner.bounds.south, inner.bounds.east, east.bounds.north)
    everywhere = _spread(*(Tile(2, x, 1) for x in range(4))).extent()
    assert everywhere is not None
    assert (everywhere.west, everywhere.east) == (-180, 180)


def test_no_tiles_at_all() -> None:
    empty = Mosaic({name: [] for name in ("id", "layer", "z", "x", "y")}, lambda ids: {})
    assert empty.extent() is None
    assert empty.layers == []
    assert empty.tile("map", PARENT) is None
