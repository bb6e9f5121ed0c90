"""STAC: items, item collections, collections, catalogs and API searches, as one source of rasters."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pystac

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Layer, TileImage
from geoanchor.protocols import TileRef, TileSource
from geoanchor.tiling import Bounds
from indexer.sources.catalog import Documents, is_remote, resolve
from indexer.sources.grid import boxes_meet, without_secrets
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions
from indexer.sources.remote import local_view
from indexer.sources.scenereader import Reader

_RGB = ("red", "green", "blue")


def open_stac(uri: str, options: SourceOptions) -> StacImages:
    """Open `stac:FILE-or-URL`: an Item, a FeatureCollection of items (all its pages), a Collection or a Catalog.

    Raises UsageError for a missing file, BadInput for what is not STAC or holds no items, OfflineError for a URL while
    the network is off.
    """
    where = uri.partition(":")[2]
    if not is_remote(where) and not Path(where).is_file():
        raise UsageError(f"{where}: no such file")
    documents = Documents(options.settings)
    try:
        found = [item for item in documents.items(where) if _wanted(item, options.within)]
        credits = {id(item): documents.credit(item) for item in found if isinstance(item, pystac.Item)}
    finally:
        documents.close()
    if not found:
        box = "" if options.within is None else " within the box asked for"
        raise BadInput(without_secrets(where), f"holds no STAC items{box}")
    if len(found) == 1 and isinstance(found[0], BadInput):
        raise found[0]
    return StacImages(uri, found, [credits.get(id(item), "") for item in found], options)


class StacImages:
    """A TileSource over items; each opens its picture when first needed, and a bad one harms only itself.

    Args:
        items: in their order, or why one cannot be read; an id that comes again, as on overlapping pages, is one item.
        credits: attribution of each.
    """

    def __init__(
        self, uri: str, items: Sequence[pystac.Item | BadInput], credits: Sequence[str], options: SourceOptions
    ) -> None:
        self.uri, self.zoom = without_secrets(uri), options.zoom
        self.layer: Layer = options.layer or "aerial"
        self._options = options
        self._items: dict[str, pystac.Item | BadInput] = {}
        self._credits: dict[str, str] = {}
        for item, credit in zip(items, credits, strict=True):
            self._items.setdefault(_name(item), item)
            self._credits.setdefault(_name(item), credit)
        self.attribution = "; ".join(sorted(set(self._credits.values()) - {""}))
        self._opened: dict[str, TileSource] = {}
        self._reader = Reader()
        self._lock = threading.Lock()

    def plan(self) -> Iterator[TileRef]:
        """Tiles of each item in turn; an item that cannot be opened is one ref, whose reading says why."""
        for name in self._items:
            try:
                for ref in self._open(name).plan():
                    tail = ref.tile or ref.id
                    yield replace(ref, id=f"{self.layer}/{name}/{tail}", key=f"{name}\n{ref.id}\n{ref.key}")
            except BadInput:
                yield TileRef(id=f"{self.layer}/{name}", key=name)

    def read(self, ref: TileRef) -> TileImage:
        """One tile of one item. Raises BadInput when its asset is missing or cannot be read."""
        name, _, rest = ref.key.partition("\n")
        inner_id, _, inner_key = rest.partition("\n")
        source, item = self._open(name), self._item(name)
        image = source.read(replace(ref, id=inner_id, key=inner_key))
        return replace(
            image,
            id=ref.id,
            source=without_secrets(_place(item, pick_asset(item)[0])),
            acquired=_acquired(item) or image.acquired,
            attribution=self._credits[name] or image.attribution,
        )

    def close(self) -> None:
        """Close the items' rasters."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for source in opened.values():
            source.close()

    def _item(self, name: str) -> pystac.Item:
        item = self._items[name]
        if isinstance(item, BadInput):
            raise item
        return item

    def _open(self, name: str) -> TileSource:
        with self._lock:
            if name not in self._opened:
                item = self._item(name)
                asset, bands = pick_asset(item)
                options = replace(self._options, bands=self._options.bands or bands)
                place = _place(item, asset)
                if is_remote(place):
                    place = str(local_view(place, options.settings))
                    # What may be asked for was decided there: with the network off, this machine alone.
                    options = replace(options, settings=options.settings.model_copy(update={"offline": False}))
                self._opened[name] = open_raster(place, options, self._reader)
            return self._opened[name]


def pick_asset(item: pystac.Item) -> tuple[pystac.Asset, tuple[int, ...] | None]:
    """The asset to show, and its bands of red, green and blue where the item names them (1-based).

    The first GeoTIFF or JPEG 2000 of role or name "visual", then one that has all three colours, then role "data", then
    any. Raises BadInput when there is none.
    """
    rasters = {name: asset for name, asset in item.assets.items() if _is_raster(asset)}
    if not rasters:
        raise BadInput(f"STAC item {item.id}", "has no asset that is a GeoTIFF or JPEG 2000")
    best = min(rasters, key=lambda name: _rank(name, rasters[name]))
    return rasters[best], _rgb_bands(rasters[best])


def _rank(name: str, asset: pystac.Asset) -> int:
    """0 for the asset made to be looked at, more for less fitting ones."""
    words = {name, *(asset.roles or ())}
    if "visual" in words:
        return 0
    if _rgb_bands(asset):
        return 1
    return 2 if words & {"data", "overview"} else 3


def _is_raster(asset: pystac.Asset) -> bool:
    kind = (asset.media_type or "").lower()
    name = urlsplit(asset.href).path.lower()
    typed = kind.startswith(("image/tiff", "image/vnd.stac.geotiff", "image/jp2"))
    named = name.endswith((".tif", ".tiff", ".jp2", ".vrt"))
    return (typed or (not kind and named)) and not {"thumbnail", "metadata"} & set(asset.roles or ())


def _rgb_bands(asset: pystac.Asset) -> tuple[int, ...] | None:
    bands = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or []
    colors = [band.get("eo:common_name") or band.get("common_name") for band in bands if isinstance(band, dict)]
    return tuple(colors.index(color) + 1 for color in _RGB) if all(color in colors for color in _RGB) else None


def _place(item: pystac.Item, asset: pystac.Asset) -> str:
    """File or URL of an asset. Raises BadInput when the file does not exist."""
    where = resolve(asset.href, item.get_self_href() or "")
    if not is_remote(where) and not Path(where).is_file():
        raise BadInput(f"STAC item {item.id}", f"its asset {asset.href} does not exist")
    return where


def _name(item: pystac.Item | BadInput) -> str:
    """Part of every id of an item's tiles."""
    if isinstance(item, BadInput):
        return item.where
    return f"{item.collection_id}/{item.id}" if item.collection_id else str(item.id)


def _wanted(item: pystac.Item | BadInput, within: Bounds | None) -> bool:
    if within is None or isinstance(item, BadInput) or not item.bbox or len(item.bbox) not in (4, 6):
        return True
    if not all(isinstance(degrees, int | float) for degrees in item.bbox):
        return True
    # Three-dimensional boxes have heights in the middle and at the end.
    half = len(item.bbox) // 2
    return boxes_meet(Bounds(item.bbox[0], item.bbox[1], item.bbox[half], item.bbox[half + 1]), within)


def _acquired(item: pystac.Item) -> datetime | None:
    moment: datetime | None = item.datetime or item.common_metadata.start_datetime
    return moment
