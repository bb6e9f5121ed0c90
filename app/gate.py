"""Who gets in: a token in a header or a cookie, and no requests that another site's page makes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "geoanchor"
_OPEN_PATHS = ("/api/health", "/login")
_READING = ("GET", "HEAD", "OPTIONS")
_MONTH_S = 30 * 86_400
_MAX_FORM_BYTES = 4096
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>GeoAnchor</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:18vh auto}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.4rem 0}}</style>
<h1>GeoAnchor</h1><p role="status">{said}</p><form method="post" action="/login">
<label>Token<input name="token" type="password" autocomplete="current-password" autofocus required></label>
<button>Enter</button></form></html>"""


class TokenGate:
    """Answers 401 to whoever has no token: `Authorization: Bearer TOKEN`, or the cookie that /login gives.

    The cookie does not hold the token itself, is hidden from scripts, and is not sent along by other sites' pages.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        self._cookie = hmac.new(token.encode(), b"geoanchor cookie", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or turn it away."""
        if scope["type"] == "websocket" or scope["type"] == "http":
            request = Request(scope, receive) if scope["type"] == "http" else None
            if request is None or not (request.url.path in _OPEN_PATHS or self._knows(request)):
                await self._turn_away(request)(scope, receive, send)
                return
            if request.url.path == "/login":
                await (await self._login(request))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _knows(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        by_header = scheme.lower() == "bearer" and _same(given.strip(), self._token)
        return by_header or _same(request.cookies.get(COOKIE, ""), self._cookie)

    def _turn_away(self, request: Request | None) -> Response:
        if request is not None and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        reason = "this service asks for a token: send it as `Authorization: Bearer TOKEN`"
        return JSONResponse({"error": reason}, 401, {"WWW-Authenticate": "Bearer"})

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(_PAGE.format(said="This service asks for a token."))
        if int(request.headers.get("content-length", _MAX_FORM_BYTES + 1)) > _MAX_FORM_BYTES:
            return HTMLResponse(_PAGE.format(said="That is no token."), 413)
        async with request.form(max_fields=4, max_files=0) as form:
            given = str(form.get("token", ""))
        if not _same(given.strip(), self._token):
            return HTMLResponse(_PAGE.format(said="That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, self._cookie, _MONTH_S, httponly=True, samesite="strict", secure=secure)
        return answer


class KnownHosts:
    """Answers 400 to whoever calls the service by a name that is not its own (DNS rebinding).

    Args:
        hosts: names and addresses; "*.example.com" for all below one, "*" for any.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = [host.lower() for host in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._knows(Headers(scope=scope).get("host", "")):
            reason = "the service is not known by this name; start it with --allow-host to give it one"
            await JSONResponse({"error": reason}, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return "*" in self._hosts
        return any(
            own in ("*", name, f"[{name}]") or (own.startswith("*.") and name.endswith(own[1:])) for own in self._hosts
        )


class SameOrigin:
    """Answers 403 to what changes or computes something and is sent by a page of another site."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] not in _READING and _is_foreign(Request(scope)):
            reason = "the request comes from a page of another site, which may not use this service"
            await JSONResponse({"error": reason}, 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_foreign(request: Request) -> bool:
    """By what browsers say of a request's origin; other programs say nothing, and are not lured.

    A form's own origin is "null" under our referrer policy; `Sec-Fetch-Site`, which no page can set, says more.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()


def _same(given: str, wanted: str) -> bool:
    """In a time that tells nothing of how far the two agree."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
