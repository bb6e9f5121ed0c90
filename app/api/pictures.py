"""Pictures of the index: a row's own, and tiles for a map, which QGIS and MapLibre find through TileJSON."""

from __future__ import annotations

import html
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as Field

from app.handlers import Handlers, NotFound
from app.mosaic import media_type
from geoanchor.image import Layer
from geoanchor.manifest import Manifest
from geoanchor.tiling import MAX_ZOOM

_FRESH = {"Cache-Control": "private, max-age=300"}
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
Address = Annotated[int, Path(ge=0, lt=1 << MAX_ZOOM)]


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(tags=["pictures"])

    @router.get("/api/thumbnails/{row_id:path}", response_class=Response, summary="A row's picture")
    def thumbnail(row_id: str, request: Request, v: str = "") -> Response:
        """JPEG, WebP or PNG, as it is stored."""
        index = handlers.index
        mark = version_of(index.manifest)
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=_headers(mark, v))
        data = handlers.thumbnail(row_id, index)
        return Response(data, media_type=media_type(data), headers=_headers(mark, v))

    @router.get("/tiles/{layer}.json", summary="A layer as TileJSON 3.0")
    def tilejson(layer: Layer, request: Request) -> dict[str, Any]:
        """Give its address to QGIS or MapLibre."""
        return _tilejson(handlers, layer, str(request.base_url).rstrip("/"))

    nothing: dict[int | str, dict[str, Any]] = {204: {"description": "Nothing lies there"}}

    @router.get("/tiles/{layer}/{z}/{x}/{y}.png", response_class=Response, responses=nothing, summary="A map tile")
    def tile(
        layer: Layer,
        z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
        x: Address,
        y: Address,
        request: Request,
        v: Annotated[str, Field(max_length=100, description="version; as the TileJSON says, it is kept for ever")] = "",
    ) -> Response:
        """From the index's own pictures, as they are stored (PNG, JPEG or WebP); 204 where nothing lies."""
        index = handlers.index
        mark = version_of(index.manifest)
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=_headers(mark, v))
        try:
            data = handlers.tile(layer, z, x, y, index)
        except NotFound:
            return Response(status_code=204, headers=_headers(mark, v))
        return Response(data, media_type=media_type(data), headers=_headers(mark, v))

    return router


def version_of(manifest: Manifest) -> str:
    """An entity tag that changes whenever the index does; every address has a picture of its own."""
    return f'"{manifest.table_version}-{int(manifest.updated.timestamp() * 1000):x}"'


def _headers(mark: str, asked: str) -> dict[str, str]:
    return {"ETag": mark} | (_FOR_EVER if asked and asked == mark.strip('"') else _FRESH)


def _credits(manifest: Manifest, layer: Layer) -> list[str]:
    """Whose the pictures of a layer are."""
    return list(dict.fromkeys(one.attribution for one in manifest.sources if one.layer == layer and one.attribution))


def _tilejson(handlers: Handlers, layer: Layer, base: str) -> dict[str, Any]:
    index = handlers.index
    mosaic = index.mosaic
    zooms, extent = mosaic.zooms(layer), mosaic.extent(layer)
    if zooms is None or extent is None:
        raise NotFound(f"layer {layer!r} has no tiles here")
    version = version_of(index.manifest).strip('"')
    return {
        "tilejson": "3.0.0",
        "name": f"{index.folder.name}: {layer}",
        "scheme": "xyz",
        "tiles": [f"{base}/tiles/{layer}/{{z}}/{{x}}/{{y}}.png?v={version}"],
        "minzoom": zooms[0],
        "maxzoom": zooms[1],
        # TileJSON forbids bounds over the antimeridian, and MapLibre would show no tile within them.
        "bounds": list(extent if extent.west <= extent.east else extent._replace(west=-180.0, east=180.0)),
        "center": [*extent.center, zooms[1] - 1],
        "attribution": html.escape(" · ".join(_credits(index.manifest, layer))),
        "vector_layers": [],
    }
