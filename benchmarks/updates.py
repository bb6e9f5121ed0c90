"""What `changes` finds where the truth is known: a town that was built on, a shifted map, ground without a map, two
dates of real map data."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate

import geoanchor
from app.answers import Changes
from geoanchor.change import Change
from geoanchor.feature import FeatureSource
from geoanchor.tiling import Tile
from indexer.city.city import City
from indexer.featurestore import FeatureStore
from indexer.sources.osm import read_features
from retrieval import metrics

DATA = Path("../shared/data")
BUILT_ON, MOVED = (44, "C"), (42, "B")
"""Unseen towns: seed and country."""
BINS = ((1e-5, 0.005), (0.005, 0.02), (0.02, 0.05), (0.05, 1.0))
SHIFT_M = 8.0
_ALL = 100_000
_METRES_A_DEGREE = 111_320


def run() -> dict[str, Any]:
    """AUROC and precision against the truth of each of the four."""
    figures: dict[str, Any] = {}
    for part in (_built_on, _shifted, _unmapped, _two_dates):
        with tempfile.TemporaryDirectory() as name:
            figures |= part(Path(name))
    return figures


def _built_on(folder: Path) -> dict[str, Any]:
    """A map of date 0 against imagery of date 1."""
    seed, country = BUILT_ON
    found = _compared(folder / "index", f"city:{seed}/{country}@1", f"city:{seed}/{country}")
    city = City(seed, country, 1)
    share = np.array(
        [_share(change, lambda box: [feature.geometry for feature, _ in city.changes(box)]) for change in found]
    )
    worst, title = np.array([change.mismatch for change in found]), f"SYNTHETIC, known change, town {seed}/{country}"
    same = share < BINS[0][0]
    figures: dict[str, Any] = {f"{title}: pairs, without change": f"{len(found)}, {same.sum()}"}
    for low, high in BINS:
        changed = (share >= low) & (share < high)
        scores = np.concatenate([worst[same], worst[changed]])
        figures[f"{title}: AUROC, {low:g} to {high:g} of the tile changed"] = (
            f"{metrics.auroc(scores, np.arange(len(scores)) >= same.sum()):.3f} ({changed.sum()} tiles)"
        )
    top = np.argsort(-worst)[: max(1, round(0.05 * len(worst)))]
    right = share > BINS[1][0]
    figures[f"{title}: of the worst 5 %, of all: more than 0.5 % changed"] = (
        f"{right[top].mean():.2f}, {right.mean():.2f}"
    )
    return figures


def _shifted(folder: Path) -> dict[str, Any]:
    """A whole map moved to the east, and the same map where it belongs."""
    seed, country = MOVED
    city, source = City(seed, country), f"city:{seed}/{country}"
    latitude = (city.extent.south + city.extent.north) / 2
    degrees = SHIFT_M / (_METRES_A_DEGREE * math.cos(math.radians(latitude)))
    features = [
        {
            "type": "Feature",
            "properties": dict(f.tags),
            "geometry": shapely.geometry.mapping(translate(f.geometry, degrees)),
        }
        for f in city.features(city.extent)
    ]
    file = folder / "moved.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    moved = _compared(folder / "moved", source, str(file), everything=False)
    there = _compared(folder / "there", source, source, everything=False)
    title = f"SYNTHETIC, map moved {SHIFT_M:g} m, town {seed}/{country}"
    return {
        f"{title}: told as": moved.answer.registration.reason if moved.answer.registration else "nothing",
        f"{title}: places listed, with the map unmoved": f"{len(moved)}, {len(there)}",
    }


def _unmapped(folder: Path) -> dict[str, Any]:
    """Real imagery, a quarter of which has no map."""
    ground = DATA / "banepa"
    if not ground.exists():
        return {"Banepa": f"{ground} is not there"}
    pictures = [str(ground / "imagery"), str(ground / "imagery_unmapped")]
    found = _compared(folder / "index", pictures, str(ground / "osm.geojson"), zoom=19)
    bare = np.array([change.map_id is None for change in found])
    worst = np.array([change.mismatch for change in found])
    causes = Counter(change.cause for change in found if change.map_id is None)
    return {
        "Banepa: AUROC, without a map against with one": f"{metrics.auroc(worst, bare):.3f}",
        "Banepa: causes given to those without a map": ", ".join(f"{cause} {count}" for cause, count in causes.items()),
    }


def _two_dates(folder: Path) -> dict[str, Any]:
    """A real older map against newer data that is drawn as seen from the air."""
    newer, older = DATA / "osm" / "monaco.osm.pbf", DATA / "osm" / "monaco-older.osm.gz"
    if not newer.exists():
        return {"Monaco": f"{newer} is not there"}
    found = _compared(folder / "index", str(newer), str(older), zoom=17, unmapped=False)
    dates = [FeatureStore(read_features(path)) for path in (newer, older)]

    def changed(box: geoanchor.Bounds) -> list[shapely.Geometry]:
        first, second = (_buildings(features, box) for features in dates)
        return [first.symmetric_difference(second)]

    share = np.array([_share(change, changed) for change in found])
    top = np.argsort([-change.mismatch for change in found])[:20]
    right = share > 0.01
    return {"Monaco: of the worst 20, of all: more than 1 % changed": f"{right[top].mean():.2f}, {right.mean():.2f}"}


def _compared(
    folder: Path, aerial: str | Sequence[str], maps: str, *, zoom: int | None = None, unmapped: bool = True,
    everything: bool = True,
) -> Changes:  # fmt: skip
    geoanchor.build(aerial, folder, layer="aerial", zoom=zoom)
    geoanchor.build(maps, folder, layer="map", zoom=zoom)
    return geoanchor.open(folder).changes(k=_ALL, unmapped=unmapped, everything=everything)


def _share(change: Change, changed: Callable[[geoanchor.Bounds], list[shapely.Geometry]]) -> float:
    """Share of a place's tile that truly changed."""
    assert change.tile is not None
    bounds = Tile(*change.tile).bounds
    box, parts = shapely.box(*bounds), changed(bounds)
    return float(shapely.union_all(parts).intersection(box).area / box.area) if parts else 0.0


def _buildings(features: FeatureSource, box: geoanchor.Bounds) -> shapely.Geometry:
    found = [f.geometry for f in features.features(box) if f.tags.get("building", "no") != "no"]
    return shapely.union_all([shapely.make_valid(g) for g in found if g.geom_type.endswith("Polygon")])
