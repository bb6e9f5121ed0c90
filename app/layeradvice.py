"""What to do about pictures that seem to be on the wrong layer: maps among imagery, or photographs among maps."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoanchor.count import counted
from geoanchor.image import Layer, Pixels
from geoanchor.manifest import read_manifest
from geoanchor.picture import kept_rgb

if TYPE_CHECKING:
    from retrieval.index.lance import LanceStore

_SAMPLED = 40
"""Pictures of a source, evenly spread, that are looked at."""
_MANY = 0.2
"""Share of them that makes a mistake likely. Of aerial pictures of a city 4 in 100 look like maps, dark water beside
trees, of scenes of all kinds 3 in 1,000; of its maps 97 in 100 do, and none looks like anything else."""
_FEWEST = 5
_MAPLIKE = 9.0
"""`foreignness` that recompressed maps keep below."""
_NOTABLE = 0.03
"""Share of a picture that shows a class, for it to be one of those that the map tells apart."""


def layer_advice(folder: str | Path) -> list[str]:
    """A sentence for each source many of whose pictures seem to be of the other layer."""
    from retrieval.index.lance import LanceStore

    store, named = LanceStore.open(Path(folder)), {record.uri for record in read_manifest(Path(folder)).sources}
    ids: dict[tuple[str, Layer], list[str]] = defaultdict(list)
    for row in store.columns(["id", "layer", "origin"]).to_pylist():
        if row["layer"] in ("aerial", "map") and row["origin"] in named:
            ids[row["origin"], row["layer"]].append(row["id"])
    found = ((uri, layer, _seen(store, own), len(own)) for (uri, layer), own in ids.items())
    return [text for uri, layer, seen, count in found if (text := _advice(uri, layer, seen, count))]


def _seen(store: LanceStore, ids: list[str]) -> list[Pixels]:
    kept = store.fetch(ids[:: -(-len(ids) // _SAMPLED)], ["id", "thumbnail"])
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
