"""Runs the service: page and REST in one process, over one index."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from app.api import create_api
from app.panel import Panel
from app.wiring import Index
from geoanchor.errors import GeoAnchorError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def create_app(index: Index, host: str = "127.0.0.1") -> FastAPI:
    """REST, pages and panel; on a loopback address it answers to loopback names only."""
    api = create_api(index, _LOOPBACK if host in _LOOPBACK else ("*",))
    panel = Panel(index)
    api.mount("/panel", panel)
    api.router.add_event_handler("shutdown", panel.close)
    return api


def run(index: Index, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until stopped; port 0 takes any free one. Raises GeoAnchorError when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            reason = error.strerror or error
            raise GeoAnchorError(f"{host}:{port}: cannot listen there ({reason}); take another --port") from error
        app = create_app(index, host)
        at = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        say(f"{index.folder} at {at}, REST at {at}/api, described at {at}/docs; stop with Ctrl+C")
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        # Ctrl+C is how a server is stopped; uvicorn passes it on after it has closed everything.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
