"""Where maps and imagery disagree, and what reviewers decided on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Query as Parameters
from pydantic import BaseModel, ConfigDict, Field

from app import changesheet
from app.handlers import Handlers
from geoanchor.change import LONGEST_NOTE, MAX_OFFSET, Cause, ChangeList, Decision, Review
from geoanchor.query import LONGEST_PLACE

Format = Literal["geojson", "csv", "parquet", "maproulette"]
MaxOffset = Annotated[float, Field(ge=0, le=0.5, description="how far the map may lie off, of its side")]

_WRITERS: Mapping[Format, tuple[str, Callable[[ChangeList], str | bytes]]] = {
    "geojson": ("application/geo+json", changesheet.to_geojson),
    "csv": ("text/csv; charset=utf-8", changesheet.to_csv),
    "parquet": ("application/vnd.apache.parquet", changesheet.to_geoparquet),
    "maproulette": ("application/geo+json-seq", changesheet.to_maproulette),
}
"""Format -> media type, and what writes it: the same as `geoanchor changes --format`."""


class Asked(BaseModel):
    """The flags of `geoanchor changes`; `reviewed` lists reviewed places beside the others."""

    model_config = ConfigDict(extra="forbid")

    within: str = Field(
        default="", description="only in west,south,east,north, H3 cells or a GeoJSON polygon", max_length=LONGEST_PLACE
    )
    near: str = Field(default="", description="only within lat,lng,metres", max_length=100)
    k: int = Field(default=50, ge=1, description="places")
    all_dates: bool = Field(default=False, description="compare every map with every picture, not the newest alone")
    unmapped: bool = Field(default=True, description="compare pictures without a map with an empty one")
    reviewed: bool = Field(default=False, description="also what was reviewed")
    everything: bool = Field(default=False, description="also what agrees or was reviewed")
    max_offset: MaxOffset = MAX_OFFSET


class AskedFile(Asked):
    """The same, of one cause alone."""

    cause: Cause | None = None


class Verdict(BaseModel):
    """A reviewer's decision on a change."""

    model_config = ConfigDict(extra="forbid")

    change: str = Field(max_length=1000)
    decision: Decision
    note: str = Field(default="", max_length=LONGEST_NOTE)


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["changes"])

    @router.get("/changes", response_model=ChangeList, summary="Where maps and imagery disagree")
    def changes(asked: Annotated[Asked, Parameters()]) -> ChangeList:
        """The flags of `geoanchor changes` as parameters; worst first, with cause and outline."""
        return handlers.changes(**asked.model_dump())

    @router.get("/changes.{format}", response_class=Response, summary="The same as a file")
    def file(format: Format, asked: Annotated[AskedFile, Parameters()]) -> Response:
        """GeoJSON, CSV, GeoParquet or MapRoulette tasks, of all causes or of one."""
        found = handlers.changes(**asked.model_dump(exclude={"cause"}))
        if asked.cause is not None:
            chosen = tuple(one for one in found.changes if one.cause == asked.cause)
            found = found.model_copy(update={"changes": chosen})
        media_type, write = _WRITERS[format]
        headers = {"Content-Disposition": f'attachment; filename="changes.{format}"'}
        return Response(write(found), media_type=media_type, headers=headers)

    @router.post("/changes", response_model=Review, summary="Accept or reject a change, or take that back")
    def review(verdict: Verdict) -> Review:
        """Remembered in the index; the change is not suggested again while both pictures last, unless reopened."""
        return handlers.index.review(verdict.change, verdict.decision, verdict.note)

    @router.get("/reviews", response_model=list[Review], summary="Decisions so far")
    def reviews() -> list[Review]:
        """The latest on each change, oldest first, without those that were taken back."""
        return list(handlers.index.reviews())

    @router.get("/changes/{change_id}/heat.png", response_class=Response, summary="Where a pair disagrees")
    def heat(change_id: str, max_offset: MaxOffset = MAX_OFFSET) -> Response:
        """A transparent picture to lay over the map or the imagery; max_offset 0 takes the map as it lies."""
        # The pair keeps its address when its map or its picture is indexed anew.
        headers = {"Cache-Control": "private, no-cache"}
        return Response(handlers.heat_png(change_id, max_offset), media_type="image/png", headers=headers)

    return router
