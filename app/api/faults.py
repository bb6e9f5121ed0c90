"""One table says which error is which status; every error is one sentence of JSON and tells nothing of the inside."""

from __future__ import annotations

import logging
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.handlers import Busy, Forbidden, NotFound
from geoanchor.errors import BadInput, GeoAnchorError, IndexLocked, OfflineError, SpaceMismatch, UsageError, first_fault

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (Forbidden, 403),
    (Busy, 503),
    (BadInput, 422),
    (SpaceMismatch, 409),
    (UsageError, 400),
    (IndexLocked, 503),
    (OfflineError, 503),
    (GeoAnchorError, 500),
)
"""Exception class -> HTTP status; the first that fits counts."""
_LONGEST = 500

logger = logging.getLogger(__name__)


class Fault(BaseModel):
    """What went wrong, in one sentence; kind: which of GeoAnchor's own errors it is, where it is one."""

    error: str
    kind: str = ""


def install_faults(api: FastAPI, folder: Path) -> None:
    """Answer every error with a status and one sentence; where the index lies on this machine stays here."""
    # Of "." there is nothing to hide, and every sentence has a full stop.
    hidden, shown = (str(folder), folder.name) if folder.name else ("", "")

    @api.exception_handler(GeoAnchorError)
    async def _on_known(_request: Request, error: GeoAnchorError) -> JSONResponse:
        words = str(error).replace(hidden, shown) if hidden else str(error)
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return fault(words, status, kind=_public(error).__name__)

    @api.exception_handler(RequestValidationError)
    async def _on_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return fault(first_fault(error), 422)

    @api.exception_handler(HTTPException)
    async def _on_http(_request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return fault(str(error.detail), error.status_code, headers)

    @api.exception_handler(Exception)
    async def _on_unknown(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return fault("the service failed; its log says why", 500)


def fault(sentence: str, status: int, headers: dict[str, str] | None = None, kind: str = "") -> JSONResponse:
    """An error as JSON: on one line, not endless, and fit for UTF-8 whatever the request held."""
    words = " ".join(sentence.split())
    words = words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
    said = {"error": words.encode("utf-8", "replace").decode()} | ({"kind": kind} if kind else {})
    return JSONResponse(said, status, headers)


def _public(error: GeoAnchorError) -> type[GeoAnchorError]:
    """The class of an error that users can import."""
    return next(kind for kind in type(error).__mro__ if kind.__module__ == GeoAnchorError.__module__)
