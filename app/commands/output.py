"""Where a command's words go: results to stdout or a file, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geoanchor.errors import GeoAnchorError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 160
"""Columns of a table that is not printed on a terminal."""
_TOLD = 10
"""Sentences of one kind."""
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_JSON = 0.3

Advance = Callable[[int, int | None], None]
"""Called with how many are done and how many there are, None where that is not known."""


def emit(result: str | bytes, out: Path | None = None) -> None:
    """Print a result, or write it to a file and say so. Raises UsageError for bytes that would go to a terminal."""
    if out is not None:
        data = result if isinstance(result, bytes) else result.encode()
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(data)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
        say(f"wrote {out}")
    elif isinstance(result, str):
        write(f"{result}\n")
    elif sys.stdout.isatty():
        raise UsageError("this format is no text: send it to a file with --out FILE")
    else:
        write(result)


def write(result: str | bytes) -> None:
    """Put a result on stdout, all of it. Raises GeoAnchorError where it cannot be written, BrokenPipeError where nobody
    reads it any more."""
    try:
        if isinstance(result, bytes):
            sys.stdout.buffer.write(result)
        else:
            sys.stdout.write(result)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        close_stdout()
        reason = (error.strerror or str(error)).lower()
        raise GeoAnchorError(f"the result cannot be written to standard output: {reason}") from error


def close_stdout() -> None:
    """Let all that goes to stdout vanish, else Python fails once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(value: Any, out: Path | None = None) -> None:
    """Print a value as JSON, or write it to a file."""
    emit(json.dumps(value, ensure_ascii=False, indent=1), out)


def emit_table(table: Table, out: Path | None = None) -> None:
    """Print a table, as wide as the terminal."""
    from io import StringIO

    from rich.console import Console

    # Printed by rich itself, a broken pipe would end the process.
    text, terminal = StringIO(), out is None and sys.stdout.isatty()
    Console(file=text, force_terminal=terminal or None, width=None if terminal else PIPE_WIDTH).print(table)
    if out is None:
        write(text.getvalue())
    else:
        emit(text.getvalue(), out)


def say(sentence: str) -> None:
    """Tell the user something that is no result."""
    print(sentence, file=sys.stderr)


def say_some(sentences: Sequence[str], others: str) -> None:
    """Tell the first few of many sentences, and how many others there are and of what."""
    for sentence in sentences[:_TOLD]:
        say(sentence)
    if len(sentences) > _TOLD:
        say(f"and {len(sentences) - _TOLD} more {others}")


@contextmanager
def progress_as(form: Literal["bar", "json"], what: str) -> Iterator[Advance]:
    """As `progress`, or as lines of JSON for a program that reads them: done, total, eta_s."""
    if form == "json":
        yield _json_lines()
        return
    with progress(what) as advance:
        yield advance


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """A bar with the time left on a terminal; elsewhere a line every ten seconds."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _json_lines() -> Advance:
    pace, last = _Pace(), 0.0

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        left, now = pace.left_s(done, total), time.monotonic()
        if now - last >= _SECONDS_BETWEEN_JSON or done == total:
            last = now
            print(json.dumps({"done": done, "total": total, "eta_s": left}), file=sys.stderr, flush=True)

    return advance


def _lines(what: str) -> Advance:
    pace, last = _Pace(), time.monotonic()

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        left, now = pace.left_s(done, total), time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES and (total is None or left is not None):
            last = now
            say(f"{what}: {done}" if left is None else f"{what}: {done} of {total}, {left:.0f} s left")

    return advance


class _Pace:
    """How long a job still takes, by its pace since it was first told of: what was done by then, be it by a build that
    was stopped or before there was anything to count, says nothing of it."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def left_s(self, done: int, total: int | None) -> float | None:
        """Seconds left, None where nothing is known yet."""
        now = time.monotonic()
        # A first piece has a model to load as well.
        if self._first is None and done:
            self._first = now, done
        since, first = self._first or (now, done)
        return None if total is None or done <= first else (now - since) / (done - first) * (total - done)
