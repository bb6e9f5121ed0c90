"""Writes docs/cli.md from the command line itself: `python -m scripts.cli_docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from app.cli import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
_HEAD = """# The command line

Made from the program by `make docs`; do not edit.

stdout carries results only; progress and logs go to stderr. Exit codes: 0 success, 2 wrong use, 1 failure, 130 stopped
by Ctrl+C, each with one sentence on stderr that says what, where and what to do. `serve` is meant to be stopped so, and
exits with 0.
"""


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    sections = [_section(name, command) for name, command in _commands(root, "geoanchor")]
    return _HEAD + "\n" + "\n".join(sections)


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, group
    for child, command in getattr(group, "commands", {}).items():
        yield from _commands(command, f"{name} {child}")


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    lines = [f"## `{name}`", "", " ".join((command.help or "").split()), "", f"`{usage}`", ""]
    if rows := [row for parameter in command.params if (row := _row(parameter, context))]:
        lines += ["| | |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any, context: Any) -> str:
    if parameter.name == "help":
        return ""
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    name, meaning = (" ".join(text.split()).replace("|", r"\|") for text in record)
    return f"| `{name}` | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
