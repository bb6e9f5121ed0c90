"""How the service is: what it holds, that it lives, what it counts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.handlers import Handlers
from app.metrics import CONTENT_TYPE, Metrics
from geoanchor import __version__


class Health(BaseModel):
    """The service is up: how many rows it searches, and the table version of the index."""

    status: str
    rows: int
    index_version: int
    version: str


def routes(handlers: Handlers, metrics: Metrics) -> APIRouter:
    """The operations."""
    router = APIRouter(tags=["index"])

    @router.get("/api/info", summary="What the index holds")
    def info() -> dict[str, Any]:
        """The manifest."""
        return handlers.index.info()

    @router.get("/api/health", response_model=Health, summary="Whether the service is up")
    def health() -> Health:
        """Answers without searching."""
        index = handlers.index
        return Health(status="ok", rows=len(index), index_version=index.manifest.table_version, version=__version__)

    @router.get("/metrics", response_class=Response, summary="What the service counts")
    def figures() -> Response:
        """For Prometheus: requests, seconds, rows, memory."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
