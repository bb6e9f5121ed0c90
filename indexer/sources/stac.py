"""STAC: items, item collections, collections, catalogs and API searches, as one source of rasters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pystac

from geoanchor.errors import BadInput, OfflineError, UsageError
from geoanchor.image import Layer, TileImage
from geoanchor.protocols import TileRef, TileSource
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds
from indexer.sources.grid import boxes_meet, without_secrets
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions
from indexer.sources.web import Web

_MOST_DOCUMENTS = 100_000
_RGB = ("red", "green", "blue")
Json = dict[str, Any]


def open_stac(uri: str, options: SourceOptions) -> StacImages:
    """Open `stac:FILE-or-URL`: an Item, a FeatureCollection of items (all its pages), a Collection or a Catalog.

    Raises UsageError for a missing file, BadInput for what is not STAC or holds no items, OfflineError for a URL while
    the network is off.
    """
    where = uri.partition(":")[2]
    documents = Documents(options.settings)
    try:
        items = [item for item in documents.items(where) if _wanted(item, options.within)]
    finally:
        documents.close()
    if not items:
        box = "" if options.within is None else " within the box asked for"
        raise BadInput(without_secrets(where), f"holds no STAC items{box}")
    return StacImages(uri, items, options)


class StacImages:
    """A TileSource over items; each opens its picture when first needed, and a bad one harms only itself."""

    def __init__(self, uri: str, items: list[pystac.Item], options: SourceOptions) -> None:
        self.uri, self.zoom = uri, options.zoom
        self.layer: Layer = options.layer or "aerial"
        self._options = options
        self._items = {_item_id(item): item for item in items}
        self.attribution = "; ".join(sorted({_attribution(item) for item in items} - {""}))
        self._opened: dict[str, TileSource] = {}
        self._lock = threading.Lock()

    def plan(self) -> Iterator[TileRef]:
        """Tiles of each item in turn; an item that cannot be opened is one ref, whose reading says why."""
        for name in self._items:
            try:
                for ref in self._open(name).plan():
                    yield replace(ref, id=self._id(name, ref), key=f"{name}\n{ref.id}\n{ref.key}")
            except BadInput:
                yield TileRef(id=f"{self.layer}/{name}", key=name)

    def read(self, ref: TileRef) -> TileImage:
        """One tile of one item. Raises BadInput when its asset is missing or cannot be read."""
        name, _, rest = ref.key.partition("\n")
        inner_id, _, inner_key = rest.partition("\n")
        item = self._items[name]
        image = self._open(name).read(replace(ref, id=inner_id, key=inner_key))
        return replace(
            image,
            id=ref.id,
            acquired=_acquired(item) or image.acquired,
            attribution=_attribution(item) or image.attribution,
        )

    def close(self) -> None:
        """Close the items' rasters."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for source in opened.values():
            source.close()

    def _id(self, name: str, ref: TileRef) -> str:
        return f"{self.layer}/{name}/{ref.tile}" if ref.tile else f"{self.layer}/{name}/{ref.id}"

    def _open(self, name: str) -> TileSource:
        with self._lock:
            if name not in self._opened:
                item = self._items[name]
                asset, bands = pick_asset(item)
                options = replace(self._options, bands=self._options.bands or bands)
                self._opened[name] = open_raster(_place(item, asset, self._options.settings), options)
            return self._opened[name]


class Documents:
    """Reads STAC JSON from files and the web and walks its links."""

    def __init__(self, settings: Settings) -> None:
        self._web = Web(settings)
        self._seen: set[str] = set()

    def items(self, where: str) -> Iterator[pystac.Item]:
        """Every item at or below a file or URL, in the order of the links, each document once."""
        todo = [where]
        while todo:
            here = todo.pop()
            if here in self._seen:
                continue
            self._seen.add(here)
            if len(self._seen) > _MOST_DOCUMENTS:
                raise BadInput(without_secrets(where), f"leads to over {_MOST_DOCUMENTS} documents; name a part of it")
            document = self.read(here)
            yield from _items_in(document, here)
            # Reversed, because the last one put on the pile is read first.
            todo += reversed(_links(document, here))

    def read(self, where: str) -> Json:
        """One JSON object. Raises BadInput when it is none."""
        data = self._web.get(where, lambda body: _parse(body, where)) if _remote(where) else _read_file(where)
        if data is None:
            raise BadInput(without_secrets(where), "the server has nothing there (HTTP 404)")
        return _parse(data, where)

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


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
    return tuple(colors.index(color) + 1 for color in _RGB) if set(_RGB) <= set(colors) else None


def _place(item: pystac.Item, asset: pystac.Asset, settings: Settings) -> str:
    """File or URL of an asset."""
    base = item.get_self_href() or ""
    where = _resolve(asset.href, base)
    if not _remote(where):
        if not Path(where).is_file():
            raise BadInput(f"STAC item {item.id}", f"its asset {asset.href} does not exist")
    elif settings.offline:
        raise OfflineError(f"{without_secrets(where)}: the network is switched off; run without --offline")
    return where


def _resolve(href: str, base: str) -> str:
    """A link of the document at `base` as file or URL; a document from the web cannot name files of this machine."""
    scheme = urlsplit(href).scheme
    if scheme in ("http", "https"):
        return href
    if _remote(base) and not scheme:
        return urljoin(base, href)
    if _remote(base) or scheme not in ("", "file"):
        raise BadInput(without_secrets(base), f"links to {href}, which is neither http(s) nor a file beside it")
    path = Path(unquote(urlsplit(href).path)) if scheme else Path(href)
    return str(path if path.is_absolute() else Path(base).parent / path)


def _remote(where: str) -> bool:
    return urlsplit(where).scheme in ("http", "https")


def _read_file(where: str) -> bytes:
    try:
        return Path(where).read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{where}: no such file") from error
    except OSError as error:
        raise BadInput(where, f"cannot be read ({error.strerror})") from error


def _parse(data: bytes, where: str) -> Json:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(without_secrets(where), f"not JSON ({error})") from error
    if not isinstance(found, dict) or found.get("type") not in (
        "Feature",
        "FeatureCollection",
        "Collection",
        "Catalog",
    ):
        raise BadInput(without_secrets(where), "not a STAC item, item collection, collection or catalog")
    return found


def _items_in(document: Json, where: str) -> Iterator[pystac.Item]:
    if document["type"] == "Feature":
        yield _item(document, where)
    elif document["type"] == "FeatureCollection":
        for feature in document.get("features") or ():
            yield _item(feature, where)


def _item(document: Json, where: str) -> pystac.Item:
    try:
        item = pystac.Item.from_dict(document, preserve_dict=True)
    except (pystac.STACError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(without_secrets(where), f"not a STAC item ({type(error).__name__}: {error})") from error
    # Where it really lies: an item's own idea of it may be of another machine.
    item.set_self_href(where)
    return item


def _links(document: Json, where: str) -> list[str]:
    """Documents to read next: parts of a catalog, the next page of a search."""
    follow = ("next",) if document["type"] == "FeatureCollection" else ("child", "item", "items")
    if document["type"] == "Feature":
        return []
    found = []
    for link in document.get("links") or ():
        if isinstance(link, dict) and link.get("rel") in follow and isinstance(link.get("href"), str):
            if str(link.get("method", "GET")).upper() != "GET":
                raise BadInput(without_secrets(where), "its next page must be asked for by POST; give a GET search")
            found.append(_resolve(link["href"], where))
    return found


def _item_id(item: pystac.Item) -> str:
    collection = item.collection_id
    return f"{collection}/{item.id}" if collection else str(item.id)


def _wanted(item: pystac.Item, within: Bounds | None) -> bool:
    if within is None or not item.bbox:
        return True
    corners = item.bbox
    # Three-dimensional boxes have heights in the middle and at the end.
    west, south, east, north = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
    return boxes_meet(Bounds(west, south, east, north), within)


def _acquired(item: pystac.Item) -> datetime | None:
    moment: datetime | None = item.datetime or item.common_metadata.start_datetime
    return moment


def _attribution(item: pystac.Item) -> str:
    names = [provider.name for provider in item.common_metadata.providers or ()]
    licence = item.common_metadata.license or ""
    return ", ".join([*names, *([licence] if licence else [])])
