"""The service as a whole: what every request passes, and which operations there are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from app.access import Access
from app.api import changes, exports, heat, jobs, pictures, rows, search, status, words
from app.api.faults import Fault, install_faults
from app.apidocs import docs_page
from app.gate import KnownHosts, SameOrigin, TokenGate
from app.guard import BareHeads, BodyLimit, SecurityHeaders
from app.handlers import Handlers
from app.index import Index
from app.jobs import JobRunner
from app.live import LiveIndex
from app.metrics import Counting, Metrics
from app.pace import Pace
from app.pages import install_pages
from geoanchor import __version__

_AT_ONCE = min(8, 2 + (os.cpu_count() or 1))
"""Requests that are worked on; others wait for their turn, first come, first served."""
_JSON_AND_PICTURE_BYTES = 4 / 3
"""Base64 makes a picture in JSON longer by a third."""
_FAULTS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Fault}, "5XX": {"model": Fault}}


def create_api(index: Index | LiveIndex, access: Access = Access()) -> FastAPI:  # noqa: B008 (frozen)
    """The service over one index: REST below /api and /tiles, its description at /docs, the pages.

    While it runs, a new version of the index on disk is taken up between two requests.
    """
    live = index if isinstance(index, LiveIndex) else LiveIndex(index)
    handlers = Handlers(live)
    runner = JobRunner(live.current.folder, access, live.current.settings.offline)
    metrics = Metrics(lambda: (len(live.current), live.current.manifest.table_version))
    live.on_swap = metrics.swaps.inc
    api = FastAPI(
        title="GeoAnchor",
        version=__version__,
        description="Find places in aerial imagery and maps by words, pictures and coordinates.",
        docs_url=None,
        redoc_url=None,
        responses=_FAULTS,
        lifespan=_lifespan(live, runner),
    )
    api.state.handlers = handlers
    _install_guards(api, access, metrics, live.current.settings.max_upload_bytes)
    install_faults(api, live.current.folder)
    for noun in (search, words, heat, rows, exports, pictures, changes):
        api.include_router(noun.routes(handlers))
    api.include_router(jobs.routes(runner))
    api.include_router(status.routes(handlers, metrics))
    install_pages(api)

    @api.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(api.openapi()))

    return api


def _lifespan(live: LiveIndex, runner: JobRunner) -> Any:
    @asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
        # More at once would only take turns, each with its own memory.
        current_default_thread_limiter().total_tokens = _AT_ONCE
        with ExitStack() as stack:
            stack.callback(runner.close)
            stack.enter_context(live.watching())
            yield

    return lifespan


def _install_guards(api: FastAPI, access: Access, metrics: Metrics, max_upload_bytes: int) -> None:
    """From the innermost to the outermost."""
    api.add_middleware(BareHeads)
    api.add_middleware(BodyLimit, max_bytes=int(max_upload_bytes * _JSON_AND_PICTURE_BYTES) + 65_536)
    if access.token:
        api.add_middleware(TokenGate, token=access.token)
    api.add_middleware(SameOrigin)
    if access.requests_per_s:
        api.add_middleware(Pace, per_s=access.requests_per_s)
    api.add_middleware(KnownHosts, hosts=access.hosts)
    api.add_middleware(Counting, metrics=metrics)
    api.add_middleware(SecurityHeaders)
