"""Polite HTTP: few connections, patient retries, a cache on disk, nothing at all when the network is off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from geoanchor import __version__
from geoanchor.errors import BadInput, OfflineError
from geoanchor.settings import Settings
from indexer.sources.grid import MAX_TILE_BYTES, without_secrets

USER_AGENT = f"GeoAnchor/{__version__} (place search; reads map and imagery tiles)"
_CONNECTIONS = 4
_FRESH_S = 7 * 86_400.0
"""Tile services ask clients to keep tiles at least this long."""
_ABSENT_S = 86_400.0
_MAX_WAIT_S = 120.0
_ABSENT = (204, 404, 410)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_IN_A_ROW = 5
"""So many addresses given up one after another, and the next ones get one attempt each until one succeeds."""

Check = Callable[[bytes], object]
"""Raises BadInput when an answer is not what was asked for; such an answer is not kept."""


class _TryAgain(Exception):
    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class _Kept:
    """One answer: body None where the server has nothing there."""

    body: bytes | None
    etag: str
    until: float


class Web:
    """Fetches by GET. Thread-safe.

    Args:
        attempts: tries of one address before it is given up; only for failures that may pass.
        wait_s: wait before the second try, doubled for each further one unless the server says `Retry-After`.
        timeout_s: of connecting and of each silence while reading; a whole answer may take four times that.
    """

    def __init__(self, settings: Settings, *, attempts: int = 5, wait_s: float = 1.0, timeout_s: float = 20.0) -> None:
        self._settings = settings
        self._attempts, self._wait_s, self._timeout_s = attempts, wait_s, timeout_s
        self._cache = settings.cache_dir / "web"
        self._given_up = 0
        self._client = httpx.Client(
            headers={"User-Agent": USER_AGENT},
            timeout=httpx.Timeout(timeout_s, pool=None),
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            follow_redirects=True,
            event_hooks={"request": [self._refuse_when_offline]},
        )

    def get(self, url: str, check: Check) -> bytes | None:
        """Body of an address, None where the server says that there is nothing; from the cache while that is fresh.

        Raises OfflineError when the network is off and no copy is kept, BadInput when the server refuses, keeps
        failing, or answers with something `check` refuses.
        """
        kept = self._load(url)
        if kept and (kept.until > time.time() or not may_dial(url, self._settings)):
            return kept.body
        fetched = self._fetch(url, kept)
        if fetched.body is not None:
            check(fetched.body)
        self._keep(url, fetched)
        return fetched.body

    def close(self) -> None:
        """Close the connections; may be called twice."""
        self._client.close()

    def _refuse_when_offline(self, request: httpx.Request) -> None:
        # As a hook of the client it sees redirects too.
        refuse_when_offline(str(request.url), self._settings)

    def _fetch(self, url: str, kept: _Kept | None) -> _Kept:
        attempts = self._attempts if self._given_up < _IN_A_ROW else 1
        retrying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_TryAgain),
            reraise=True,
        )
        try:
            fetched: _Kept = retrying(self._ask, url, kept)
        except _TryAgain as error:
            self._given_up += 1
            raise BadInput(without_secrets(url), f"{error} (tried {attempts} times); try again later") from error
        self._given_up = 0
        return fetched

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after_s if isinstance(error, _TryAgain) else 0.0
        return max(asked, min(self._wait_s * 2.0 ** (state.attempt_number - 1), _MAX_WAIT_S))

    def _ask(self, url: str, kept: _Kept | None) -> _Kept:
        headers = {"If-None-Match": kept.etag} if kept and kept.etag else {}
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                return self._answer(url, response, kept)
        except httpx.TransportError as error:
            raise _TryAgain(f"no answer ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BadInput(without_secrets(url), f"cannot be fetched ({type(error).__name__}: {error})") from error

    def _answer(self, url: str, response: httpx.Response, kept: _Kept | None) -> _Kept:
        status, now = response.status_code, time.time()
        if status in _PASSING:
            after_s = _retry_after_s(response)
            if after_s > _MAX_WAIT_S:
                raise BadInput(without_secrets(url), f"the server asks to wait {after_s:.0f} s (HTTP {status})")
            raise _TryAgain(f"the server answers HTTP {status}", after_s)
        if status in _ABSENT:
            return _Kept(None, "", now + _ABSENT_S)
        if status == 304 and kept:
            return _Kept(kept.body, kept.etag, now + _FRESH_S)
        if status in (401, 403):
            raise BadInput(without_secrets(url), f"the server refuses access (HTTP {status}); it may need a key")
        if status != 200:
            raise BadInput(without_secrets(url), f"the server answers HTTP {status}")
        return _Kept(self._body(url, response), response.headers.get("ETag", ""), now + _FRESH_S)

    def _body(self, url: str, response: httpx.Response) -> bytes:
        body, deadline = bytearray(), time.monotonic() + 4 * self._timeout_s
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_TILE_BYTES:
                raise BadInput(without_secrets(url), f"the answer is over {MAX_TILE_BYTES} bytes")
            if time.monotonic() > deadline:
                raise _TryAgain("the answer comes too slowly")
        return bytes(body)

    def _path(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode()).hexdigest()
        return self._cache / digest[:2] / digest

    def _load(self, url: str) -> _Kept | None:
        try:
            head, _, body = self._path(url).read_bytes().partition(b"\n")
            facts = json.loads(head)
            whole = facts["size"] in (None, len(body))
            return _Kept(None if facts["size"] is None else body, facts["etag"], facts["until"]) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, url: str, answer: _Kept) -> None:
        size = None if answer.body is None else len(answer.body)
        head = json.dumps({"etag": answer.etag, "until": answer.until, "size": size})
        path = self._path(url)
        # A full or read-only disk costs the cache, not the build.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(head.encode() + b"\n" + (answer.body or b""))
                Path(partial).replace(path)
            except OSError:
                Path(partial).unlink(missing_ok=True)


def may_dial(url: str, settings: Settings) -> bool:
    """Whether a connection to this address may be opened: with the network off only one to this machine itself."""
    host = urlsplit(url).hostname or ""
    return not settings.offline or host in ("localhost", "::1") or host.startswith("127.")


def refuse_when_offline(url: str, settings: Settings) -> None:
    """Raise OfflineError unless `may_dial`."""
    if not may_dial(url, settings):
        where = without_secrets(url)
        raise OfflineError(f"{where}: not in the cache and the network is switched off; run once without --offline")


def _retry_after_s(response: httpx.Response) -> float:
    """Seconds of a `Retry-After` header, in its form of seconds or of a date; 0 without one."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
