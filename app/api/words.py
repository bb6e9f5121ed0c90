"""The search box: what a text means, texts to try, names of places."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as Field
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Attribute

from app.handlers import Handlers
from app.phrasing import Understood
from geoanchor.places import Place


class Words(BaseModel):
    """What was typed."""

    model_config = ConfigDict(extra="forbid")

    text: str = Attribute(max_length=2000)


class Examples(BaseModel):
    """Texts to try, each of which finds something, and ids of some pictures to begin with."""

    examples: list[str]
    pictures: list[str]


class Places(BaseModel):
    """Named places, the most important first."""

    places: list[Place]


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["search box"])

    @router.post("/parse", response_model=Understood, summary="What a text means")
    def parse(words: Words) -> Understood:
        """The Query that the text asks, and chips that say which words became what."""
        return Understood.of(words.text, handlers.index.reader(words.text))

    @router.get("/suggest", response_model=Examples, summary="Texts and pictures to try")
    def suggest(k: Annotated[int, Field(ge=1, le=50)] = 6) -> Examples:
        """From the index's own tags, captions and names; pictures from all over it."""
        index = handlers.index
        return Examples(examples=list(index.suggest(k)), pictures=[row.id for row in index.rows.spread(k)])

    @router.get("/places", response_model=Places, summary="Places by the beginning of their names")
    def places(q: Annotated[str, Field(max_length=200)] = "", k: Annotated[int, Field(ge=1, le=100)] = 8) -> Places:
        """Case and accents do not matter."""
        return Places(places=list(handlers.index.places(q, k)))

    return router
