"""REST: the same Query and the same hits over HTTP. One table says which error is which status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response, UploadFile
from fastapi import Query as Field
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Attribute
from starlette.middleware.trustedhost import TrustedHostMiddleware

from app.apidocs import docs_page
from app.guard import BodyLimit, SecurityHeaders
from app.handlers import Handlers, NotFound
from app.pages import install_pages
from app.wiring import Index
from geoanchor import __version__
from geoanchor.change import ChangeList, Decision, Review
from geoanchor.errors import BadInput as BadInputError
from geoanchor.errors import GeoAnchorError, IndexLocked, OfflineError, SpaceMismatch, UsageError
from geoanchor.query import Answer, Query

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (BadInputError, 422),
    (SpaceMismatch, 409),
    (UsageError, 400),
    (IndexLocked, 503),
    (OfflineError, 503),
    (GeoAnchorError, 500),
)
"""Exception class -> HTTP status; the first that fits counts."""
_FOR_A_DAY = {"Cache-Control": "private, max-age=86400"}
_JSON_AND_PICTURE_BYTES = 4 / 3
"""Base64 makes a picture in JSON longer by a third."""

logger = logging.getLogger(__name__)


class Health(BaseModel):
    """The service is up, and how many rows it searches."""

    status: str
    rows: int
    version: str


class TextScore(BaseModel):
    """A text that suits a picture; higher is better."""

    text: str
    score: float


class Verdict(BaseModel):
    """A reviewer's decision on a change."""

    model_config = ConfigDict(extra="forbid")

    change: str
    decision: Decision
    note: str = Attribute(default="", max_length=2000)


class Described(BaseModel):
    """Texts that suit a picture, best first."""

    texts: list[TextScore]


def create_api(index: Index, hosts: Sequence[str] = ("*",)) -> FastAPI:
    """The service over one index: REST below /api, its description at /docs, files of the page below /static.

    Args:
        hosts: names under which it may be addressed, so that no web page can reach it under a name of its own.
    """
    api = FastAPI(
        title="GeoAnchor",
        version=__version__,
        description="Find places in aerial imagery and maps by words, pictures and coordinates.",
        docs_url=None,
        redoc_url=None,
    )
    handlers = Handlers(index)
    _install_guards(api, hosts, int(index.settings.max_upload_bytes * _JSON_AND_PICTURE_BYTES) + 65_536)
    _install_search(api, handlers)
    _install_pictures(api, handlers)
    _install_changes(api, handlers)
    install_pages(api)
    _install_description(api)
    return api


def _install_guards(api: FastAPI, hosts: Sequence[str], max_bytes: int) -> None:
    api.add_middleware(BodyLimit, max_bytes=max_bytes)
    api.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    api.add_middleware(SecurityHeaders)

    @api.exception_handler(GeoAnchorError)
    async def _on_known(_request: Request, error: GeoAnchorError) -> JSONResponse:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return JSONResponse({"error": str(error)}, status)

    @api.exception_handler(RequestValidationError)
    async def _on_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fault = error.errors()[0]
        where = ".".join(str(step) for step in fault["loc"])
        return JSONResponse({"error": f"{where}: {fault['msg']}"}, 422)

    @api.exception_handler(Exception)
    async def _on_unknown(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return JSONResponse({"error": "the service failed; its log says why"}, 500)


def _install_search(api: FastAPI, handlers: Handlers) -> None:
    @api.post("/api/search", response_model=Answer, tags=["search"], summary="Search by a Query")
    def search(query: Query) -> Answer:
        """Parts (text, image as base64, point, like), filters, k and offset in one JSON object."""
        return handlers.search(query)

    @api.post("/api/search.geojson", tags=["search"], summary="Search by a Query, hits as GeoJSON")
    def search_geojson(query: Query) -> Response:
        """A FeatureCollection with the outline of each hit."""
        return Response(handlers.geojson(handlers.search(query)), media_type="application/geo+json")

    @api.get("/api/search", response_model=Answer, tags=["search"], summary="Search by plain words")
    def search_words(
        q: Annotated[str, Field(description='words, e.g. "stadium by the river"', max_length=2000)] = "",
        not_: Annotated[str, Field(alias="not", description="unlike these words", max_length=2000)] = "",
        at: Annotated[str, Field(description="lat,lng")] = "",
        like: Annotated[str, Field(description="id of a row")] = "",
        near: Annotated[str, Field(description="only within lat,lng,metres")] = "",
        within: Annotated[str, Field(description="only in west,south,east,north or in H3 cells")] = "",
        layer: Annotated[str, Field(description="aerial, map or ground")] = "",
        since: Annotated[str, Field(description="only taken on this day or later")] = "",
        until: Annotated[str, Field(description="only taken on this day or before")] = "",
        k: Annotated[int, Field(ge=1, description="hits on a page")] = 10,
        offset: Annotated[int, Field(ge=0, description="hits to pass over")] = 0,
        suppress: Annotated[float, Field(ge=0, description="metres between hits")] = 0.0,
        relations: Annotated[bool, Field(description='read "A by B" as two things')] = True,
    ) -> Answer:
        """The flags of `geoanchor search` as parameters."""
        return handlers.search_words(
            q=q, not_=not_, at=at, like=like, near=near, within=within, layer=layer, since=since, until=until, k=k,
            offset=offset, suppress=suppress, relations=relations,
        ).answer  # fmt: skip

    @api.post("/api/describe", response_model=Described, tags=["search"], summary="Texts that suit a picture")
    def describe(image: UploadFile, layer: str = "aerial", k: Annotated[int, Field(ge=1, le=1000)] = 5) -> Described:
        """Upload a picture as form field `image`."""
        found = handlers.describe(image.file.read(), layer, k)
        return Described(texts=[TextScore(text=item.text, score=item.score) for item in found])


def _install_pictures(api: FastAPI, handlers: Handlers) -> None:
    @api.get("/api/info", tags=["index"], summary="What the index holds")
    def info() -> dict[str, Any]:
        """The manifest."""
        return handlers.index.info()

    @api.get("/api/health", response_model=Health, tags=["index"], summary="Whether the service is up")
    def health() -> Health:
        """Answers without searching."""
        return Health(status="ok", rows=len(handlers.index), version=__version__)

    @api.get("/api/thumbnails/{row_id:path}", tags=["pictures"], summary="A row's picture")
    def thumbnail(row_id: str) -> Response:
        """JPEG, WebP or PNG."""
        data = handlers.thumbnail(row_id)
        return Response(data, media_type=media_type(data), headers=_FOR_A_DAY)

    @api.get("/api/tiles/{layer}/{z}/{x}/{y}", tags=["pictures"], summary="A map tile from the index's pictures")
    def tile(layer: str, z: int, x: int, y: int) -> Response:
        """JPEG, WebP or PNG; 204 where nothing lies."""
        try:
            data = handlers.tile(layer, z, x, y)
        except NotFound:
            return Response(status_code=204, headers=_FOR_A_DAY)
        return Response(data, media_type=media_type(data), headers=_FOR_A_DAY)


def _install_changes(api: FastAPI, handlers: Handlers) -> None:
    @api.get("/api/changes", response_model=ChangeList, tags=["changes"], summary="Where maps and imagery disagree")
    def changes(
        within: Annotated[str, Field(description="only in west,south,east,north or in H3 cells")] = "",
        near: Annotated[str, Field(description="only within lat,lng,metres")] = "",
        k: Annotated[int, Field(ge=1, description="places")] = 50,
        all_dates: Annotated[
            bool, Field(description="compare with every aerial picture, not the newest alone")
        ] = False,
        unmapped: Annotated[bool, Field(description="compare pictures without a map with an empty one")] = True,
        everything: Annotated[bool, Field(description="also what agrees or was reviewed")] = False,
        max_offset: Annotated[float, Field(ge=0, le=0.5, description="how far the map may lie off, of its side")] = 0.1,
    ) -> ChangeList:
        """The flags of `geoanchor changes` as parameters; worst first, with cause and outline."""
        return handlers.changes(
            within=within, near=near, k=k, offset=max_offset, all_dates=all_dates, unmapped=unmapped,
            everything=everything,
        )  # fmt: skip

    @api.post("/api/changes", response_model=Review, tags=["changes"], summary="Accept or reject a change")
    def review(verdict: Verdict) -> Review:
        """Remembered in the index; the change is not suggested again while both pictures last."""
        return handlers.index.review(verdict.change, verdict.decision, verdict.note)

    @api.get("/api/reviews", response_model=list[Review], tags=["changes"], summary="Decisions so far")
    def reviews() -> list[Review]:
        """The latest on each change, oldest first."""
        return list(handlers.index.reviews())

    @api.get("/api/changes/{change_id}/heat.png", tags=["changes"], summary="Where a pair disagrees")
    def heat(
        change_id: str,
        max_offset: Annotated[float, Field(ge=0, le=0.5, description="0 takes the map as it lies")] = 0.1,
    ) -> Response:
        """A transparent picture to lay over the map or the imagery."""
        return Response(handlers.heat_png(change_id, max_offset), media_type="image/png", headers=_FOR_A_DAY)


def _install_description(api: FastAPI) -> None:
    @api.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(api.openapi()))


def media_type(picture: bytes) -> str:
    """Media type of an encoded picture."""
    if picture[:4] == b"\x89PNG":
        return "image/png"
    return "image/webp" if picture[8:12] == b"WEBP" else "image/jpeg"
