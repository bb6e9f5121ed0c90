"""Search by a Query, by plain words, by a row; texts that suit a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Response, UploadFile
from fastapi import Query as Parameters
from pydantic import BaseModel, ConfigDict, Field

from app.handlers import Handlers
from geoanchor.image import Layer
from geoanchor.query import LONGEST_PLACE, Answer, Query
from retrieval.searcher import Description

Count = Annotated[int, Field(ge=1, le=10_000, description="hits on a page")]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000, description="hits to pass over")]


class Words(BaseModel):
    """The flags of `geoanchor search` that take words or numbers; pictures and weights go into a Query."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(default="", description='words, e.g. "stadium by the river"', max_length=2000)
    not_: str = Field(default="", alias="not", description="unlike these words", max_length=2000)
    at: str = Field(default="", description="lat,lng", max_length=100)
    like: str = Field(default="", description="id of a row", max_length=1000)
    segment: int | None = Field(default=None, ge=0, description="number of a part of that row")
    near: str = Field(default="", description="only within lat,lng,metres", max_length=100)
    within: str = Field(
        default="", description="only in west,south,east,north, H3 cells or a GeoJSON polygon", max_length=LONGEST_PLACE
    )
    layer: str = Field(default="", description="aerial, map or ground", max_length=20)
    since: str = Field(default="", description="only taken on this day or later", max_length=40)
    until: str = Field(default="", description="only taken on this day or before", max_length=40)
    k: Count = 10
    offset: Offset = 0
    suppress: float = Field(default=0.0, ge=0, le=1e8, description="metres between hits")
    min_probability: float = Field(default=0.0, ge=0, le=1, description="leave out hits that are less likely")
    rerank: str = Field(default="", description="segments: by the part that suits best", max_length=100)
    relations: bool = Field(default=True, description='read "A by B" as two things')
    tags: bool = Field(default=True, description="rows whose map tags say what the words name come first")
    literal: bool = Field(default=False, description="take q as it is: no places, dates or minus-words in it")


class TextScore(BaseModel):
    """A text that suits a picture; higher is better."""

    text: str
    score: float


class Described(BaseModel):
    """Texts that suit a picture, best first."""

    texts: list[TextScore]


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["search"])

    @router.post("/search", response_model=Answer, summary="Search by a Query")
    def search(query: Query) -> Response:
        """Parts (text, image as base64, point, like), filters, k and offset in one JSON object."""
        return _json(handlers.search(query))

    @router.get("/search", response_model=Answer, summary="Search by plain words")
    def search_words(words: Annotated[Words, Parameters()]) -> Response:
        """Parameters that are named like the flags of `geoanchor search`; an unknown one is refused."""
        return _json(handlers.search_words(**words.model_dump()).answer)

    @router.get("/similar/{row_id:path}", response_model=Answer, summary="More like a row")
    def similar(row_id: str, layer: Layer | None = None, k: Count = 10, offset: Offset = 0) -> Response:
        """Rows like one of the index, by its id; the row itself is left out."""
        handlers.row(row_id)
        return _json(handlers.search_words(like=row_id, layer=layer or "", k=k, offset=offset).answer)

    @router.post("/describe", response_model=Described, summary="Texts that suit a picture")
    def describe(image: UploadFile, layer: Layer = "aerial", k: Annotated[int, Field(ge=1, le=1000)] = 5) -> Described:
        """Upload a picture as form field `image`."""
        return _said(handlers.describe(image.file.read(), layer, k))

    @router.get("/describe/{row_id:path}", response_model=Described, summary="Texts that suit a row's picture")
    def describe_row(row_id: str, k: Annotated[int, Field(ge=1, le=1000)] = 5) -> Described:
        """Texts for a picture of the index, by its id."""
        return _said(handlers.describe_row(row_id, k))

    return router


def _json(answer: Answer) -> Response:
    """An answer as it is: it was checked as it was made; to check every hit once more would cost half a search."""
    return Response(answer.model_dump_json(), media_type="application/json")


def _said(found: Sequence[Description]) -> Described:
    return Described(texts=[TextScore(text=item.text, score=item.score) for item in found])
