"""What a run says while it goes on: a line at a time, to whoever listens and to a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Log = Callable[[str], None]
"""Called with one line, without its end."""


def silent(_line: str) -> None:
    """Log to nowhere."""


def note(path: Path, log: Log, facts: Mapping[str, Any]) -> None:
    """Say facts as one line of JSON, and add it to a file whose folder need not exist yet."""
    line = json.dumps(facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    log(line)
