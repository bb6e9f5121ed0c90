"""The procedural city as a source: `city:SEED[/COUNTRY][@DATE]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from geoanchor.errors import UsageError
from geoanchor.feature import Feature
from geoanchor.protocols import TileRef
from geoanchor.tiling import tiles_in
from indexer.city.aerial import LOOKS
from indexer.city.city import City
from indexer.sources.registry import SourceOptions
from indexer.sources.vector import VectorTiles

_NAME = re.compile(r"city:(\d{1,9})(?:/([A-Za-z]+))?(?:@(\d+))?")


class CityTiles(VectorTiles):
    """Tiles of an endless town: every one of them holds something, so none need be looked into beforehand."""

    def named(self) -> tuple[Feature, ...]:
        """None: nothing in it bears a name."""
        return ()

    def plan(self) -> Iterator[TileRef]:
        """Tiles whose centre lies within the options' box, in grid order."""
        box = self._options.within or self.features.extent
        for tile in tiles_in(box, self.zoom):
            if box.holds(*tile.center):
                yield TileRef(id=f"{self._prefix}/{tile}", tile=tile, stamp=self._stamp)


def open_city(uri: str, options: SourceOptions) -> CityTiles:
    """Tiles of a procedural city, e.g. "city:7", "city:7/B", "city:7/A@1".

    Layer aerial (default) or map; zoom 17 by default; the town proper (about 24 x 24 tiles) unless `options.within`
    says otherwise. Raises UsageError for a name that is none, an unknown country or date, or layer ground.
    """
    match = _NAME.fullmatch(uri)
    if match is None:
        raise UsageError(f"{uri}: a city is named city:SEED[/COUNTRY][@DATE], e.g. city:7 or city:7/B@1")
    seed, country, date = int(match[1]), match[2] or "A", int(match[3] or 0)
    town = City(seed, country, date)
    if options.layer == "ground":
        raise UsageError(f"{uri}: the procedural city has the layers aerial and map, not ground")
    options = replace(options, within=options.within or town.extent)
    # Gardens and woods come from the seed: they must be the same at both dates.
    return CityTiles(uri, town, options, default_layer="aerial", look=LOOKS[country], seed=seed, stamp="1")
