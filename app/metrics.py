"""What the service counts of itself, for Prometheus; every label has a bounded set of values."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 10, 30)


class Metrics:
    """Requests by route, method and status, their time, the index's size and version, this process's memory.

    Args:
        facts: gives the rows of the index and its table version, when they are asked for.
    """

    def __init__(self, facts: Callable[[], tuple[int, int]]) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("geoanchor_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "geoanchor_request_seconds", "Seconds until an answer was sent", ("route",), buckets=_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.swaps = Counter("geoanchor_index_swaps", "New versions of the index taken up", registry=self.registry)
        Gauge("geoanchor_index_rows", "Rows of the index", registry=self.registry).set_function(lambda: facts()[0])
        Gauge("geoanchor_index_version", "Table version of the index", registry=self.registry).set_function(
            lambda: facts()[1]
        )
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer; paths count by the route that took them, never by what a client wrote."""
        route = getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Counting:
    """Counts every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and count what came back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count(scope, status, time.perf_counter() - start)
