"""STAC documents: JSON from files and the web, and the links between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pystac

from geoanchor.errors import BadInput, OfflineError
from geoanchor.settings import Settings
from indexer.sources.grid import without_secrets
from indexer.sources.web import Web

_MOST_DOCUMENTS = 100_000
Json = dict[str, Any]


class Documents:
    """Reads STAC JSON from files and the web and walks its links."""

    def __init__(self, settings: Settings) -> None:
        self._web = Web(settings)
        self._seen: set[str] = set()
        self._collections: dict[str, str] = {}

    def items(self, where: str) -> Iterator[pystac.Item | BadInput]:
        """Every item at or below a file or URL, in the order of the links, each document once.

        A linked document or an item that is no STAC is given as its BadInput, as is a link that cannot be followed; for
        the first document that is raised.
        """
        todo = [where]
        while todo:
            here = todo.pop()
            if here in self._seen:
                continue
            self._seen.add(here)
            if len(self._seen) > _MOST_DOCUMENTS:
                raise BadInput(without_secrets(where), f"leads to over {_MOST_DOCUMENTS} documents; name a part of it")
            try:
                document = self.read(here)
            except BadInput as error:
                if here == where:
                    raise
                yield error
                continue
            yield from _items_in(document, here)
            links = list(_links(document, here))
            yield from (link for link in links if isinstance(link, BadInput))
            # Reversed, because the last one put on the pile is read first.
            todo += reversed([link for link in links if isinstance(link, str)])

    def read(self, where: str) -> Json:
        """One STAC object as JSON. Raises BadInput when it is none."""
        data = self._web.get(where, lambda body: _parse(body, where)) if is_remote(where) else _read_file(where)
        if data is None:
            raise BadInput(without_secrets(where), "the server has nothing there")
        document = _parse(data, where)
        if document["type"] == "Collection":
            self._collections[where] = _credit(document)
        return document

    def credit(self, item: pystac.Item) -> str:
        """Providers and licence of an item, or else of its collection; "" where neither names any."""
        own = _credit(item.properties)
        link = item.get_single_link("collection")
        if own or link is None:
            return own
        try:
            where = resolve(str(link.get_href(transform_href=False)), item.get_self_href() or "")
            if where not in self._collections:
                self._collections[where] = ""
                self.read(where)
            return self._collections[where]
        except (BadInput, OfflineError):
            return ""

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


def resolve(href: str, base: str) -> str:
    """A link of the document at `base` as file or URL; a document from the web cannot name files of this machine."""
    scheme = urlsplit(href).scheme
    if scheme in ("http", "https"):
        return href
    if is_remote(base) and not scheme:
        return urljoin(base, href)
    if is_remote(base) or scheme not in ("", "file"):
        raise BadInput(without_secrets(base), f"links to {href}, which is neither http(s) nor a file beside it")
    path = Path(unquote(urlsplit(href).path)) if scheme else Path(href)
    return str(path if path.is_absolute() else Path(base).parent / path)


def is_remote(where: str) -> bool:
    """Whether a place is on the web."""
    return urlsplit(where).scheme in ("http", "https")


def _read_file(where: str) -> bytes:
    try:
        return Path(where).read_bytes()
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


def _items_in(document: Json, where: str) -> Iterator[pystac.Item | BadInput]:
    if document["type"] == "Feature":
        yield _item(document, where, where)
    elif document["type"] == "FeatureCollection":
        for number, feature in enumerate(_listed(document, "features")):
            yield _item(feature, where, f"{where} item {number}")


def _item(document: Json, base: str, where: str) -> pystac.Item | BadInput:
    try:
        # An item's own idea of where it lies may be of another machine, and its assets would be looked for there.
        links = [link for link in document.get("links") or () if link.get("rel") != "self"]
        item = pystac.Item.from_dict({**document, "links": links}, preserve_dict=True)
    except (pystac.STACError, pystac.STACTypeError, ValueError, KeyError, TypeError, AttributeError) as error:
        return BadInput(without_secrets(where), f"not a STAC item ({type(error).__name__})")
    item.set_self_href(base)
    return item


def _listed(document: Json, name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _links(document: Json, where: str) -> Iterator[str | BadInput]:
    """Documents to read next, parts of a catalog or the next page of a search, or why one cannot be."""
    follow = {"FeatureCollection": ("next",), "Feature": ()}.get(document["type"], ("child", "item", "items"))
    for link in _listed(document, "links"):
        if isinstance(link, dict) and link.get("rel") in follow and isinstance(link.get("href"), str):
            if str(link.get("method", "GET")).upper() != "GET":
                yield BadInput(without_secrets(where), "its next page must be asked for by POST; give a GET search")
                continue
            try:
                yield resolve(link["href"], where)
            except BadInput as error:
                yield error


def _credit(facts: Json) -> str:
    """Names of the providers and the licence."""
    providers = facts.get("providers")
    names = [one.get("name") for one in providers if isinstance(one, dict)] if isinstance(providers, list) else []
    return ", ".join(str(name) for name in (*names, facts.get("license")) if name)
