"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoanchor.tiling import Tile, tile_at

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's caches, and none may fetch weights."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data that lies beside the checkout in ../shared/data")
    return folder


COLOURS = {"red": (205, 25, 20), "green": (25, 190, 30), "blue": (20, 35, 200), "white": (228, 226, 222)}
"""Colours that the toy encoder has words for."""


@pytest.fixture(scope="session")
def painted_tiles() -> dict[Tile, str]:
    """4 x 4 tiles at zoom 16 and their colours: one red, one white, a green row, the rest blue."""
    first = tile_at(10.0, 48.0, 16)
    tiles = [Tile(16, first.x + x, first.y + y) for y in range(4) for x in range(4)]
    return {tile: {1: "red", 10: "white"}.get(n, "green" if n >= 12 else "blue") for n, tile in enumerate(tiles)}


@pytest.fixture(scope="session")
def painted_folder(tmp_path_factory: pytest.TempPathFactory, painted_tiles: dict[Tile, str]) -> Path:
    """The painted tiles as z/x/y.png files."""
    folder = tmp_path_factory.mktemp("painted")
    for seed, (tile, colour) in enumerate(painted_tiles.items()):
        noise = np.random.default_rng(seed).integers(-18, 18, (64, 64, 3))
        path = folder / f"{tile}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(noise + np.array(COLOURS[colour]), 0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="session")
def painted_index(tmp_path_factory: pytest.TempPathFactory, painted_folder: Path) -> Path:
    """The painted tiles indexed twice with the toy model: layer aerial and layer map. Not to be written to."""
    import geoanchor

    folder = tmp_path_factory.mktemp("indexes") / "painted.index"
    for layer in ("aerial", "map"):
        geoanchor.build(f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", folder, model="toy", layer=layer)
    return folder
