"""The procedural city as a source: `city:SEED[/COUNTRY][@DATE]`."""

from __future__ import annotations

import re
from dataclasses import replace

from geoanchor.errors import UsageError
from indexer.city.aerial import LOOKS
from indexer.city.city import City
from indexer.sources.registry import SourceOptions
from indexer.sources.vector import VectorTiles

_NAME = re.compile(r"city:(\d{1,9})(?:/([A-Za-z]+))?(?:@(\d+))?")


def open_city(uri: str, options: SourceOptions) -> VectorTiles:
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
    return VectorTiles(uri, town, options, default_layer="aerial", look=LOOKS[country], seed=seed * 2 + date, stamp="1")
