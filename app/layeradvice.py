"""What to do about pictures that seem to be of the wrong layer: maps among imagery, or photographs among maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geoanchor.count import counted
from geoanchor.image import Layer, Pixels
from geoanchor.manifest import read_manifest
from geoanchor.picture import kept_rgb
from geoanchor.query import ImagePart, Query, picture_called

if TYPE_CHECKING:
    from geoanchor.settings import Settings
    from retrieval.index.lance import LanceStore

_SAMPLED = 40
"""Pictures of a source, evenly spread, that are looked at."""
_MANY = 0.2
"""Share of them that makes a mistake likely. Of aerial pictures of a city 4 in 100 look like maps, dark water beside
trees, of scenes of all kinds 3 in 1,000; of its maps 97 in 100 do, and none looks like anything else."""
_FEWEST = 5
"""Pictures of a source that say something of all of it."""
_MAPLIKE = 9.0
"""`foreignness` that recompressed maps keep below."""
_NOTABLE = 0.03
"""Share of a picture that shows a class, for it to be one of those that the map tells apart."""
_LOOKED_AT_PX = 512
"""Of either side of a query's picture, evenly spread."""


def layer_advice(folder: str | Path) -> list[str]:
    """A sentence for each source many of whose pictures seem to be of the other layer."""
    from retrieval.index.lance import LanceStore

    store, sources = LanceStore.open(Path(folder)), read_manifest(Path(folder)).sources
    rows, told = store.columns(["id", "layer", "origin"]), []
    for source in sources:
        if source.layer in ("aerial", "map"):
            own = pc.and_(pc.equal(rows["origin"], source.uri), pc.equal(rows["layer"], source.layer))
            ids = rows["id"].filter(own)
            told.append(_advice(source.uri, source.layer, _seen(store, ids), len(ids)))
    return [text for text in told if text]


def query_advice(query: Query, settings: Settings) -> list[str]:
    """A sentence for each picture of a query that seems to be of the other layer. Raises BadInput for what is none."""
    from indexer.sources.picture import read_picture

    told = []
    for part in query.parts:
        if isinstance(part, ImagePart) and part.layer != "ground":
            called = picture_called(part.layer)
            pixels = read_picture(part.data, called, settings, part.layer)
            pixels = pixels[:: -(-len(pixels) // _LOOKED_AT_PX), :: -(-pixels.shape[1] // _LOOKED_AT_PX)]
            if part.layer == "map" and _like_no_map(pixels):
                told.append(
                    f"{called} has colours of no map style that is known; if it is a photograph, ask with --image"
                )
            elif part.layer == "aerial" and _like_a_map(pixels):
                told.append(f"{called} looks like a map; if it is one, ask with --map")
    return told


def _seen(store: LanceStore, ids: pa.ChunkedArray) -> list[Pixels]:
    some = ids.take(pa.array(range(0, len(ids), max(1, -(-len(ids) // _SAMPLED))), pa.int64())).to_pylist()
    kept = store.fetch(some, ["id", "thumbnail"])
    pictures = (kept_rgb(row["thumbnail"], row["id"]) for row in kept.to_pylist())
    return [picture for picture in pictures if picture is not None]


def _advice(uri: str, layer: Layer, seen: list[Pixels], count: int) -> str:
    strange = sum(map(_like_a_map if layer == "aerial" else _like_no_map, seen))
    if len(seen) < _FEWEST or strange < _MANY * len(seen):
        return ""
    many = (
        f"{uri}: {strange} of {counted(len(seen), 'picture', 'pictures')} looked at, of {count} on the {layer} layer,"
    )
    if layer == "aerial":
        return f"{many} look like maps; index maps apart from imagery, by a source of their own, with --layer map"
    return f"{many} have colours of no map style that is known; index photographs apart, with --layer aerial"


def _like_a_map(pixels: Pixels) -> bool:
    """Colours of a known style, and of two classes at least: water from above may have the colour of water in a map."""
    from models.palette import foreignness, map_classes

    classes = np.bincount(map_classes(pixels).ravel()) / pixels[..., 0].size
    return foreignness(pixels) < _MAPLIKE and int((classes >= _NOTABLE).sum()) >= 2


def _like_no_map(pixels: Pixels) -> bool:
    from models.palette import FOREIGN, foreignness

    return foreignness(pixels) > FOREIGN
