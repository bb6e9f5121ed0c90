"""All rows, or all hits of a query, as a file: streamed, as many as there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.handlers import Handlers
from app.streams import KINDS, Batches, Format
from geoanchor.image import Layer
from geoanchor.query import Query


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["exports"])

    @router.post("/search.{format}", response_class=StreamingResponse, summary="All hits of a Query as a file")
    def hits(format: Format, query: Query) -> StreamingResponse:
        """GeoJSON, CSV or GeoParquet; here k may be as large as the index."""
        return _streamed(handlers.all_hits(query), format, "hits")

    @router.get("/rows.{format}", response_class=StreamingResponse, summary="All rows as a file")
    def rows(format: Format, layer: Layer | None = None) -> StreamingResponse:
        """GeoJSON, CSV or GeoParquet: facts and outlines; `geoanchor export` gives the vectors, too."""
        return _streamed(handlers.index.rows.batches(layer), format, "rows")

    return router


def _streamed(batches: Batches, format: Format, name: str) -> StreamingResponse:
    """What is wrong with the request shows in its first batch, before anything is sent."""
    first: Batches = iter([batch for batch in [next(batches, None)] if batch is not None])
    kind = KINDS[format]
    pieces: Iterator[bytes] = kind.write(chain(first, batches), name == "hits")
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    return StreamingResponse(pieces, media_type=kind.media_type, headers=headers)
