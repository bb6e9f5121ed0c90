"""Runs the service: page and REST in one process, over one index."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from app.access import LOOPBACK, Access
from app.api import create_api
from app.index import Index
from app.panel import Panel
from geoanchor.errors import GeoAnchorError

_MOST_CONNECTIONS = 500
_IDLE_S = 15
"""A connection that asks nothing for so long is closed."""


def create_app(index: Index, host: str = "127.0.0.1", access: Access | None = None) -> FastAPI:
    """REST, pages and panel; on a loopback address it answers to loopback names only, unless `access` says more."""
    api = create_api(index, access or Access(hosts=hosts_of(host)))
    panel = Panel(api.state.handlers)
    api.mount("/panel", panel)
    api.router.add_event_handler("shutdown", panel.close)
    return api


def hosts_of(host: str) -> tuple[str, ...]:
    """The names that a service listening there answers to."""
    return LOOPBACK if host in LOOPBACK else ("*",)


def run(index: Index, host: str, port: int, say: Callable[[str], None], access: Access | None = None) -> None:
    """Serve until stopped; port 0 takes any free one. Raises GeoAnchorError when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            reason = error.strerror or error
            raise GeoAnchorError(f"{host}:{port}: cannot listen there ({reason}); take another --port") from error
        app = create_app(index, host, access)
        at = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        say(f"{index.folder} at {at}, REST at {at}/api, described at {at}/docs; stop with Ctrl+C")
        if host not in LOOPBACK and not (access and access.token):
            say("anyone who can reach this machine can search it; ask for a token with GEOANCHOR_TOKEN")
        # Whoever a proxy speaks for is not believed: a client could name itself as it likes, and so evade its limit.
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=3, timeout_keep_alive=_IDLE_S,
            limit_concurrency=_MOST_CONNECTIONS, proxy_headers=False, server_header=False,
        )  # fmt: skip
        # Requests share the cores; BLAS's own threads would wait for each other in loops that keep a core busy.
        threadpool_limits(1, "blas")
        # Ctrl+C is how a server is stopped; uvicorn passes it on after it has closed everything.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
