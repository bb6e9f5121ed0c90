"""What starting the command line costs, as a user waits for it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import geoanchor
from geoanchor.tiling import Bounds
from indexer.city.city import City

ROUNDS = 5


def run() -> dict[str, Any]:
    """Wall seconds of `--help` and of searching a small index by words, coordinate and picture."""
    lng, lat = City(3).extent.center
    box = Bounds(lng - 0.012, lat - 0.008, lng + 0.012, lat + 0.008)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "town.index"
        geoanchor.build("city:3", index, layer="aerial", within=box)
        opened = geoanchor.open(index)
        picture = Path(folder) / "crop.jpg"
        first = opened.search("river")[0]
        picture.write_bytes(opened.thumbnails([first.id])[first.id])
        search = ["search", str(index)]
        return {
            "--help, s (limit 0.5)": _wall(["--help"]),
            "search by words, s (limit 3)": _wall([*search, "stadium by the river"]),
            "search by coordinate, s (limit 3)": _wall([*search, "--at", f"{first.lat},{first.lng}"]),
            "search by picture, s": _wall([*search, "--image", str(picture)]),
        }


def _wall(arguments: list[str]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "app.cli", *arguments], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    return round(median(seconds), 2)
