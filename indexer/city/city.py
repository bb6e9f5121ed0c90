"""City: an endless, deterministic town as a source of vector features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.tiling import Bounds
from indexer.city.cell import Cell
from indexer.city.country import country as habits
from indexer.city.frame import Frame, dice
from indexer.city.lots import Item
from indexer.city.plan import DISTRICT_M, RUN_M, Plan
from indexer.city.runs import motorway_run, rail_run, river_run
from indexer.city.sites import build_site

Change = Literal["built", "demolished"]

EXTENT_M = 4860.0
"""Side of the default extent: 24 tiles of zoom 17 in country A."""
_REACH_M = 130.0
"""How far what belongs to a cell or a run may lie outside its own square."""


class _Chunk:
    """Features generated together, with their boxes for a quick look-up."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = features
        self.boxes: NDArray[np.float64] = shapely.bounds([f.geometry for f in features]).reshape(-1, 4)

    def within(self, box: shapely.Polygon) -> list[Feature]:
        west, south, east, north = box.bounds
        b = self.boxes
        near = np.flatnonzero((b[:, 0] <= east) & (b[:, 2] >= west) & (b[:, 1] <= north) & (b[:, 3] >= south))
        return [self.features[n] for n in near.tolist() if shapely.intersects(box, self.features[n].geometry)]


class City:
    """A town without end; the same seed gives the same town, whatever was asked before and by whom.

    Args:
        seed: any integer from 0; country: "A", "B" or "C", see `indexer.city.country`.
        date: 0, or 1 for the same place some years later.
    Raises:
        UsageError: an unknown country or date, or a negative seed.
    """

    def __init__(self, seed: int, country: str = "A", date: int = 0) -> None:
        if date not in (0, 1):
            raise UsageError(f"the procedural city has the dates 0 and 1, not {date}")
        if seed < 0:
            raise UsageError(f"a city's seed must be 0 or more, not {seed}")
        self.seed, self.date = seed, date
        self.country = habits(country)
        where = dice(seed, ord(country), 99).random(3)
        west, east = self.country.lngs
        self.frame = Frame(
            lng=round(west + (east - west) * float(where[0]), 4),
            lat=round(self.country.lat + (float(where[1]) - 0.5) * 0.8, 4),
            angle=(float(where[2]) - 0.5) * (0.6 if country != "B" else 0.16),
        )
        self._plan = Plan(seed, self.country)
        self._items = lru_cache(maxsize=1024)(self._chunk)

    @property
    def extent(self) -> Bounds:
        """The town proper: about 24 x 24 tiles of zoom 17, degrees. `features` knows places beyond it too."""
        return self.frame.square(EXTENT_M)

    def features(self, bounds: Bounds) -> Sequence[Feature]:
        """Features of this date that intersect `bounds` (degrees), unclipped, in a stable order; thread-safe."""
        gone = "demolished" if self.date else "built"
        return [feature for feature, when in self._found(bounds) if when != gone]

    def changes(self, bounds: Bounds) -> list[tuple[Feature, Change]]:
        """What differs between date 0 and date 1 within `bounds`: buildings built and demolished."""
        return [(feature, when) for feature, when in self._found(bounds) if when != "always"]

    def _found(self, bounds: Bounds) -> list[tuple[Feature, Literal["always", "built", "demolished"]]]:
        box = shapely.box(*bounds)
        found = []
        for key in self._keys(bounds):
            chunk, whens = self._items(key)
            found += [(feature, whens[feature.id]) for feature in chunk.within(box)]
        return found

    def _keys(self, bounds: Bounds) -> list[tuple[str, int, int]]:
        """Chunks that may hold something within a box."""
        left, bottom, right, top = self.frame.window(bounds)
        left, bottom, right, top = left - _REACH_M, bottom - _REACH_M, right + _REACH_M, top + _REACH_M
        size = self.country.cell
        keys = [("cell", i, j) for i, j in product(_steps(left, right, size), _steps(bottom, top, size))]
        rows = range(round((bottom - 1500) / DISTRICT_M), round((top + 1500) / DISTRICT_M) + 1)
        columns = range(round((left - 2100) / DISTRICT_M), round((right + 2100) / DISTRICT_M) + 1)
        keys += [("river", n, row) for n, row in product(_steps(left, right, RUN_M), rows)]
        keys += [("rail", n, row) for n, row in product(_steps(left, right, RUN_M), rows)]
        keys += [("motorway", column, n) for column, n in product(columns, _steps(bottom, top, RUN_M))]
        for column, row in product(_near(left, right), _near(bottom, top)):
            for site in self._plan.sites(column, row):
                (u, v), reach = site.center, site.reach + _REACH_M
                if left - reach < u < right + reach and bottom - reach < v < top + reach:
                    keys.append((f"site/{column}/{row}", site.number, 0))
        return keys

    def _chunk(self, key: tuple[str, int, int]) -> tuple[_Chunk, dict[str, Literal["always", "built", "demolished"]]]:
        kind, a, b = key
        makers: dict[str, Callable[[], list[Item]]] = {
            "cell": lambda: Cell(self._plan, a, b).items(),
            "river": lambda: river_run(self._plan, a, b),
            "rail": lambda: rail_run(self._plan, a, b),
            "motorway": lambda: motorway_run(self._plan, a, b),
        }
        items = makers[kind]() if kind in makers else self._site(kind, a)
        prefix = f"city/{self.seed}/{self.country.name}/{kind}/{a}/{b}"
        placed = shapely.transform(np.array([item.geometry for item in items], object), self.frame.to_degrees)
        features = [
            Feature(f"{prefix}/{n}", g, item.tags) for n, (g, item) in enumerate(zip(placed, items, strict=True))
        ]
        return _Chunk(features), {f.id: item.when for f, item in zip(features, items, strict=True)}

    def _site(self, kind: str, number: int) -> list[Item]:
        _, column, row = kind.split("/")
        return build_site(self._plan, self._plan.sites(int(column), int(row))[number])


def _steps(low: float, high: float, size: float) -> range:
    return range(math.floor(low / size), math.floor(high / size) + 1)


def _near(low: float, high: float) -> range:
    reach = 3600
    return range(math.ceil((low - reach) / DISTRICT_M), math.floor((high + reach) / DISTRICT_M) + 1)
