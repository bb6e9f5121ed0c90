"""GeoAnchor: a search engine for places in aerial imagery and maps.

    import geoanchor
    index = geoanchor.open("town.index")
    hits = index.search("stadium by the river", k=10)

Importing this package is quick; what needs torch or LanceDB is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from geoanchor.errors import GeoAnchorError
    from geoanchor.image import TileImage
    from geoanchor.query import Answer, Hit, Query, Region
    from geoanchor.space import EmbeddingSpace
    from geoanchor.tiling import Bounds, Tile

    open: Callable[..., Any]
    build: Callable[..., Any]
    connect: Callable[..., Any]
    load_bundle: Callable[..., Any]

__version__ = "0.1.0"

_ON_FIRST_USE = {
    "Answer": "geoanchor.query",
    "Bounds": "geoanchor.tiling",
    "EmbeddingSpace": "geoanchor.space",
    "GeoAnchorError": "geoanchor.errors",
    "Hit": "geoanchor.query",
    "Query": "geoanchor.query",
    "Region": "geoanchor.query",
    "Tile": "geoanchor.tiling",
    "TileImage": "geoanchor.image",
    "build": "app.wiring",
    "connect": "app.client",
    "load_bundle": "models.bundle",
    "open": "app.wiring",
}
"""Public name -> the module that holds it."""

__all__ = [
    "Answer",
    "Bounds",
    "EmbeddingSpace",
    "GeoAnchorError",
    "Hit",
    "Query",
    "Region",
    "Tile",
    "TileImage",
    "__version__",
    "build",
    "connect",
    "load_bundle",
    "open",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'geoanchor' has no attribute {name!r}")
    return getattr(import_module(_ON_FIRST_USE[name]), name)
