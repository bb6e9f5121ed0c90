"""Who may ask what of the service: names it answers to, the token, the pace, and what it may index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geoanchor.errors import UsageError, reason_of

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
TOKEN_VARIABLE = "GEOANCHOR_TOKEN"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Access:
    """What the service allows.

    Attributes:
        hosts: names under which it may be addressed, so that no web page reaches it under a name of its own; "*" any.
        token: that every request must carry, or "" for none.
        requests_per_s: of one client, on average; a burst may be ten times as many. 0 sets no limit.
        indexing: whether jobs may be started; folders: from below which they may read; config: settings file of theirs,
            None for what is read by default.
    """

    hosts: tuple[str, ...] = ("*",)
    token: str = ""
    requests_per_s: float = 100.0
    indexing: bool = False
    folders: tuple[Path, ...] = ()
    config: Path | None = None


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """The token from a file, else from the environment, else "". Raises UsageError when it is unfit."""
    where = str(file) if file else TOKEN_VARIABLE
    try:
        token = (file.read_text("utf-8") if file else environment.get(TOKEN_VARIABLE, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: cannot read the token ({reason_of(error)})") from error
    if (file or token) and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise UsageError(f"{where}: a token is {_SHORTEST_TOKEN} or more printable ASCII characters on one line")
    return token
