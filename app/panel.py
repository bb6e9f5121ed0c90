"""Gradio's panel below /panel, made when somebody first asks for it: to load Gradio takes longer than all the rest."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from app.handlers import Handlers


class Panel:
    """An application to be mounted; what it serves exists from the first request on."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._panel: ASGIApp | None = None
        self._making = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        async with self._making:
            if self._panel is None:
                self._panel = await self._make()
        await self._panel(scope, receive, send)

    async def close(self) -> None:
        """Stop what the panel runs in the background."""
        await self._stack.aclose()

    async def _make(self) -> ASGIApp:
        panel = await run_in_threadpool(_build, self._handlers)
        await self._stack.enter_async_context(panel.router.lifespan_context(panel))
        return panel  # type: ignore[no-any-return]


def _build(handlers: Handlers):  # type: ignore[no-untyped-def]
    from app.ui import panel_app

    return panel_app(handlers)
