"""Where maps and imagery disagree, and what reviewers decided on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Query as Field
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Attribute

from app.handlers import Handlers
from geoanchor.change import ChangeList, Decision, Review

MaxOffset = Annotated[float, Field(ge=0, le=0.5, description="how far the map may lie off, of its side")]


class Verdict(BaseModel):
    """A reviewer's decision on a change."""

    model_config = ConfigDict(extra="forbid")

    change: str = Attribute(max_length=1000)
    decision: Decision
    note: str = Attribute(default="", max_length=2000)


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["changes"])

    @router.get("/changes", response_model=ChangeList, summary="Where maps and imagery disagree")
    def changes(
        within: Annotated[
            str, Field(description="only in west,south,east,north or in H3 cells", max_length=20_000)
        ] = "",
        near: Annotated[str, Field(description="only within lat,lng,metres", max_length=100)] = "",
        k: Annotated[int, Field(ge=1, description="places")] = 50,
        all_dates: Annotated[
            bool, Field(description="compare with every aerial picture, not the newest alone")
        ] = False,
        unmapped: Annotated[bool, Field(description="compare pictures without a map with an empty one")] = True,
        everything: Annotated[bool, Field(description="also what agrees or was reviewed")] = False,
        max_offset: MaxOffset = 0.1,
    ) -> ChangeList:
        """The flags of `geoanchor changes` as parameters; worst first, with cause and outline."""
        return handlers.changes(
            within=within, near=near, k=k, offset=max_offset, all_dates=all_dates, unmapped=unmapped,
            everything=everything,
        )  # fmt: skip

    @router.post("/changes", response_model=Review, summary="Accept or reject a change")
    def review(verdict: Verdict) -> Review:
        """Remembered in the index; the change is not suggested again while both pictures last."""
        return handlers.index.review(verdict.change, verdict.decision, verdict.note)

    @router.get("/reviews", response_model=list[Review], summary="Decisions so far")
    def reviews() -> list[Review]:
        """The latest on each change, oldest first."""
        return list(handlers.index.reviews())

    @router.get("/changes/{change_id}/heat.png", response_class=Response, summary="Where a pair disagrees")
    def heat(change_id: str, max_offset: MaxOffset = 0.1) -> Response:
        """A transparent picture to lay over the map or the imagery; max_offset 0 takes the map as it lies."""
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(handlers.heat_png(change_id, max_offset), media_type="image/png", headers=headers)

    return router
