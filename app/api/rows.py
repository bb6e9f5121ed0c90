"""The rows themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as Parameters
from pydantic import BaseModel, ConfigDict, Field

from app.handlers import Handlers
from geoanchor.image import Layer
from geoanchor.query import RowFacts


class Page(BaseModel):
    """Which rows are asked for."""

    model_config = ConfigDict(extra="forbid")

    layer: Layer | None = None
    offset: int = Field(default=0, ge=0, le=1_000_000_000)
    limit: int = Field(default=100, ge=1, le=1000)


class RowPage(BaseModel):
    """Some rows, how many there are in all, and the offset of the next page, if there is one."""

    rows: list[RowFacts]
    total: int
    next: int | None


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["rows"])

    @router.get("/rows", response_model=RowPage, summary="A page of rows")
    def page(asked: Annotated[Page, Parameters()]) -> RowPage:
        """In the index's own order: by H3 cell, those without position first."""
        rows, total = handlers.index.rows.page(asked.layer, asked.offset, asked.limit)
        end = asked.offset + len(rows)
        return RowPage(rows=list(rows), total=total, next=end if rows and end < total else None)

    @router.get("/rows/{row_id:path}", response_model=RowFacts, summary="One row")
    def one(row_id: str) -> RowFacts:
        """What is known of a row, by its id."""
        return handlers.row(row_id)

    return router
