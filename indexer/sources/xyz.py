"""Tiles named by a template: folders, tile services by URL, open services by name, and WMTS in its tile form.

Placeholders: {z} {x} {y}, {-y} (rows counted from the south, TMS), {q} (quadkey), {s} (a, b or c), {r} ("@2x" where
tiles over 256 px are asked for), and WMTS's {TileMatrix} {TileCol} {TileRow}.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Layer
from geoanchor.picture import decode
from geoanchor.protocols import TileSource
from geoanchor.tiling import TILE_SIZE_PX, Bounds, Tile, tile_at, tiles_in
from indexer.sources.grid import MOST_TILES, GridTiles, pick_zoom, plain_text, without_secrets
from indexer.sources.identity import file_stamp, source_name
from indexer.sources.registry import SourceOptions
from indexer.sources.vectortile import open_vector_tiles
from indexer.sources.web import Web

_WMTS = {"{TileMatrix}": "{z}", "{TileCol}": "{x}", "{TileRow}": "{y}"}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ADDRESS = {"z": r"\d+", "x": r"\d+", "y": r"\d+", "-y": r"\d+", "q": "[0-3]+"}
_AERIAL = (
    "imagery",
    "satellite",
    "aerial",
    "ortho",
    "photo",
    "truecolor",
    "nasagibs",
    "luchtfoto",
    "swissimage",
    "s2cloudless",
)


def open_xyz(uri: str, options: SourceOptions) -> TileSource:
    """Open a template of a folder or of a tile service.

    A service is read only with a zoom and a box. Vector tiles (.pbf, .mvt) are drawn as maps.
    Raises UsageError for an unknown placeholder, a missing zoom or box, or a folder that does not exist; BadInput for a
    folder without tiles.
    """
    template = _checked(uri)
    vector = urlsplit(template).path.endswith((".pbf", ".mvt"))
    if urlsplit(template).scheme in ("http", "https"):
        zoom, box = _extent(uri, options)
        data_zoom = min(zoom, 14) if vector else zoom
        service = TileService(template, box, options, name=_service_name(template))
        if vector:
            return open_vector_tiles(without_secrets(uri), service, options, (0, data_zoom), "")
        return GridTiles(uri, service, options, zoom, options.layer or "aerial", "")
    folder = TileFolder(template)
    zooms = folder.zooms()
    if vector:
        return open_vector_tiles(uri, folder, options, zooms, "")
    return GridTiles(uri, folder, options, pick_zoom(uri, options.zoom, zooms), options.layer or "aerial", "")


def open_service(uri: str, options: SourceOptions) -> TileSource:
    """Open one of the open tile services that xyzservices knows, e.g. `service:OpenStreetMap.Mapnik`.

    Raises UsageError for an unknown name, a service that needs a token or is not on the web-mercator grid, a zoom it
    does not have, or a missing zoom or box.
    """
    # 900 descriptions: loaded only when a service is asked for.
    from xyzservices import providers

    name = uri.partition(":")[2]
    known = {provider.name.lower(): provider for provider in providers.flatten().values()}
    provider = known.get(name.lower())
    if provider is None:
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(known[match].name for match in near)}?" if near else ""
        raise UsageError(f"{uri}: no open tile service has this name{hint}")
    if provider.requires_token():
        raise UsageError(f"{uri}: {provider.name} needs a token; give its URL template with your own instead")
    if provider.get("crs", "EPSG:3857") != "EPSG:3857":
        raise UsageError(f"{uri}: {provider.name} lies on the grid of {provider['crs']}, not on the web-mercator grid")
    zoom, box = _extent(uri, options)
    pick_zoom(uri, zoom, (int(provider.get("min_zoom", 0)), int(provider.get("max_zoom", 22))))
    service = TileService(provider_template(provider), box, options, provider.name, provider.get("subdomains", "abc"))
    layer: Layer = "aerial" if any(word in provider.name.lower() for word in _AERIAL) else "map"
    return GridTiles(uri, service, options, zoom, options.layer or layer, plain_text(provider.attribution))


class TileFolder:
    """A TileStore of files named by a template."""

    def __init__(self, template: str) -> None:
        self._template = template
        literal = _PLACEHOLDER.split(template)[0]
        self.name = source_name(Path(literal) if literal.endswith("/") else Path(literal).parent)
        pattern = re.escape(template)
        for word, address in _ADDRESS.items():
            # A word that comes twice must have one value.
            group, escaped = f"g{word.replace('-', '_')}", re.escape("{" + word + "}")
            pattern = pattern.replace(escaped, f"(?P<{group}>{address})", 1).replace(escaped, f"(?P={group})")
        self._pattern = re.compile(pattern)

    def zooms(self) -> tuple[int, int]:
        """Shallowest and deepest zoom.

        Raises UsageError when there is no such folder, BadInput when it has no tiles.
        """
        found = {tile.z for tile in self._walk(None)}
        if found:
            return min(found), max(found)
        base = Path(_PLACEHOLDER.split(self._template)[0])
        if not base.is_dir() and not base.parent.is_dir():
            raise UsageError(f"{self._template}: no such file or folder")
        raise BadInput(self._template, "no file has such a name; check the order of the placeholders and the extension")

    def tiles(self, zoom: int) -> Sequence[Tile]:
        """Addresses that have a file, by column and row."""
        return sorted(set(self._walk(zoom)))

    def get(self, tile: Tile) -> bytes | None:
        """The file's bytes."""
        try:
            return self._path(tile).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(str(self._path(tile)), f"cannot be read ({error.strerror})") from error

    def stamp(self, tile: Tile) -> str:
        """Size and time of the file."""
        try:
            return file_stamp(self._path(tile).stat())
        except OSError:
            return ""

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, tile: Tile) -> Path:
        return Path(_fill(self._template, tile))

    def _walk(self, zoom: int | None) -> Iterator[Tile]:
        template = self._template if zoom is None else self._template.replace("{z}", str(zoom))
        words = _PLACEHOLDER.sub("\0", template)
        for path in glob.iglob(glob.escape(words).replace("\0", "*")):
            match = self._pattern.fullmatch(path)
            tile = _tile_of(match.groupdict()) if match else None
            if tile is not None and zoom in (None, tile.z):
                yield tile


class TileService:
    """A TileStore behind a URL template, fetched politely and kept on disk.

    Args:
        box: bounds in degrees of what may be asked for; a service has no end of its own.
        subdomains: what {s} stands for, spread over the tiles.
    """

    def __init__(
        self, template: str, box: Bounds, options: SourceOptions, name: str, subdomains: Sequence[str] = "abc"
    ) -> None:
        self.name = name
        self._template = template.replace("{r}", "@2x" if options.size_px > TILE_SIZE_PX else "")
        self._box, self._subdomains = box, subdomains
        self._max_pixels = options.settings.max_pixels
        self._web = Web(options.settings)
        self._vector = urlsplit(template).path.endswith((".pbf", ".mvt"))

    def tiles(self, zoom: int) -> Iterator[Tile]:
        """Addresses that meet the box. Raises UsageError when they are too many to be meant."""
        count = _count(self._box, zoom)
        if count > MOST_TILES:
            where = without_secrets(self._template)
            raise UsageError(f"{where}: {count:,} tiles at zoom {zoom}; take a smaller box (--within) or zoom (--zoom)")
        return tiles_in(self._box, zoom)

    def get(self, tile: Tile) -> bytes | None:
        """The answer of the service or the copy of it on disk."""
        host = self._subdomains[(tile.x + tile.y) % len(self._subdomains)]
        return self._web.get(_fill(self._template, tile).replace("{s}", host), self._check)

    def stamp(self, tile: Tile) -> str:
        """Always "": only asking could tell, and a plan does not ask."""
        return ""

    def close(self) -> None:
        """Close the connections."""
        self._web.close()

    def _check(self, body: bytes) -> None:
        if not self._vector:
            decode(body, without_secrets(self._template), self._max_pixels)


def _checked(uri: str) -> str:
    """The template in our own placeholders."""
    template = uri
    for theirs, ours in _WMTS.items():
        template = template.replace(theirs, ours)
    words = set(_PLACEHOLDER.findall(template))
    if unknown := words - set(_ADDRESS) - {"s", "r"}:
        raise UsageError(f"{without_secrets(uri)}: put a value in the place of {{{sorted(unknown)[0]}}}")
    if "q" not in words and not ({"z", "x"} <= words and words & {"y", "-y"}):
        raise UsageError(
            f"{without_secrets(uri)}: a template of tiles needs {{z}}, {{x}} and {{y}} (or {{-y}}), or {{q}}"
        )
    return template


def _extent(uri: str, options: SourceOptions) -> tuple[int, Bounds]:
    if options.zoom is None:
        raise UsageError(f"{without_secrets(uri)}: a tile service has no zoom of its own; choose one with --zoom")
    if options.within is None:
        raise UsageError(f"{without_secrets(uri)}: a tile service has no end; say where with --within W,S,E,N")
    return options.zoom, options.within


def _service_name(template: str) -> str:
    """Host and a digest, so that two services of one host do not share ids; without the query, which holds the key."""
    parts = urlsplit(template)
    digest = hashlib.sha256(without_secrets(template).encode()).hexdigest()[:6]
    return f"{parts.hostname}-{digest}"


def provider_template(provider: dict[str, object]) -> str:
    """The provider's URL with all but the address and the subdomain filled in."""
    own = {"z", "x", "y", "s", "r"}
    url = _PLACEHOLDER.sub(
        lambda word: word[0] if word[1] in own else str(provider.get(word[1], "")), str(provider["url"])
    )
    return url.replace("{y}", "{-y}") if provider.get("tms") else url


def _fill(template: str, tile: Tile) -> str:
    """The template at one address; {s} stays."""
    values = {
        "{z}": tile.z,
        "{x}": tile.x,
        "{y}": tile.y,
        "{-y}": (1 << tile.z) - 1 - tile.y,
        "{q}": _quadkey(tile),
        "{r}": "",
    }
    for word, value in values.items():
        template = template.replace(word, str(value))
    return template


def _quadkey(tile: Tile) -> str:
    return "".join(str((tile.x >> bit & 1) | (tile.y >> bit & 1) << 1) for bit in reversed(range(tile.z)))


def _tile_of(groups: dict[str, str | None]) -> Tile | None:
    """The address that a file's name speaks of, None where it speaks of none."""
    quadkey = groups.get("gq")
    if quadkey is not None:
        x = int("0" + "".join(str(int(digit) & 1) for digit in quadkey), 2)
        y = int("0" + "".join(str(int(digit) >> 1) for digit in quadkey), 2)
        z = len(quadkey)
    else:
        z, x = int(groups["gz"] or 0), int(groups["gx"] or 0)
        row, south = groups.get("gy"), groups.get("g_y")
        y = int(row) if row is not None else (1 << min(z, 64)) - 1 - int(south or 0)
    try:
        return Tile(z, x, y)
    except UsageError:
        return None


def _count(box: Bounds, zoom: int) -> int:
    """About how many tiles `tiles_in` gives."""
    top, bottom = tile_at(0.0, box.north, zoom).y, tile_at(0.0, box.south, zoom).y
    width = (box.east - box.west) % 360.0 or (360.0 if box.east != box.west else 0.0)
    return (bottom - top + 1) * (math.ceil(width / 360.0 * (1 << zoom)) + 1)
