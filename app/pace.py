"""How fast one client may ask: a token bucket each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_BURST_S = 10.0
_CLIENTS = 10_000
_UNCOUNTED = ("/api/health", "/metrics")


class Pace:
    """Answers 429 to a client that asks faster than `per_s` on average; a burst of ten seconds' worth is let through.

    Only as many clients are remembered as fit; the ones longest unseen start afresh.
    """

    def __init__(self, app: ASGIApp, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._per_s = per_s
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in _UNCOUNTED and not self._take(_client(scope)):
            reason = f"too many requests: at most {self._per_s:g} a second are answered; wait a second"
            await JSONResponse({"error": reason}, 429, {"Retry-After": "1"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _take(self, client: str) -> bool:
        """Whether the client's bucket had one left."""
        now, full = self._clock(), self._per_s * _BURST_S
        left, since = self._buckets.pop(client, (full, now))
        left = min(full, left + (now - since) * self._per_s)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


def _client(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""
