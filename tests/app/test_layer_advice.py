"""What is advised where maps were taken for imagery, or imagery for maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import run
from PIL import Image

from geoanchor.image import Layer
from geoanchor.tiling import tiles_in
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.render import render_map

CITY = City(17)
TILES = tuple(list(tiles_in(CITY.extent, 17))[150:270:9])
WRONG_LAYER = {
    "aerial": "{wrong} of {seen} pictures looked at, of {seen} on the aerial layer, look like maps; index maps apart "
    "from imagery, by a source of their own, with --layer map",
    "map": "{wrong} of {seen} pictures looked at, of {seen} on the map layer, have colours of no map style that is "
    "known; index photographs apart, with --layer aerial",
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps and aerial pictures in two folders of one."""
    folder = tmp_path_factory.mktemp("pairs")
    for layer in ("aerial", "map"):
        (folder / layer).mkdir()
        for tile in TILES:
            pixels = render_map(CITY, tile, 128) if layer == "map" else render_aerial(CITY, tile, 128, LOOKS["A"], 0)
            Image.fromarray(pixels).save(folder / layer / f"{tile.x}_{tile.y}.png")
    return folder


@pytest.mark.parametrize("layer", ["aerial", "map"])
@pytest.mark.parametrize("apart", [False, True])
def test_pictures_on_the_wrong_layer_are_pointed_out(
    capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path, layer: Layer, apart: bool
) -> None:
    """A folder that holds both, or one of the other layer alone; `doctor` says it as well."""
    wrong = {"aerial": "map", "map": "aerial"}[layer]
    source, into = (pairs / wrong if apart else pairs), tmp_path / "own.index"
    code, _, err = run(capsys, "index", source, "--layer", layer, "--into", into, "--model", "toy")
    count = len(TILES)
    told = f"{source}: {WRONG_LAYER[layer].format(wrong=count, seen=count if apart else 2 * count)}"
    assert code == 0
    assert told in err
    assert told in run(capsys, "doctor", into)[1]


def test_pictures_on_their_own_layer_are_not(capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path) -> None:
    for layer in ("aerial", "map"):
        source = pairs / layer
        code, _, err = run(capsys, "index", source, "--layer", layer, "--into", tmp_path / "i", "--model", "toy")
        assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--map", "the map picture of the query has colours of no map style that is known; if it is a photograph, "
         "ask with --image"),
        ("--image", "the aerial picture of the query looks like a map; if it is one, ask with --map"),
    ],
)  # fmt: skip
def test_a_query_by_a_picture_of_the_other_layer_is_pointed_out(
    capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path, flag: str, hint: str
) -> None:
    """Hits come all the same, and nothing is said of a picture of its own layer."""
    into, name = tmp_path / "own.index", f"{TILES[0].x}_{TILES[0].y}.png"
    run(capsys, "index", pairs / "aerial", "--into", into, "--model", "toy")
    own, other = ("map", "aerial") if flag == "--map" else ("aerial", "map")
    code, out, err = run(capsys, "search", into, flag, pairs / other / name, "--format", "json")
    assert code == 0
    assert err.splitlines() == [hint]
    assert json.loads(out)["hits"]
    assert run(capsys, "search", into, flag, pairs / own / name)[2] == ""


def test_a_few_strange_pictures_are_no_mistake(capsys: pytest.CaptureFixture[str], pairs: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number, path in enumerate(sorted((pairs / "aerial").iterdir())):
        (few / path.name).write_bytes((path if number else pairs / "map" / path.name).read_bytes())
    assert run(capsys, "index", few, "--into", tmp_path / "i", "--model", "toy")[2] == ""
