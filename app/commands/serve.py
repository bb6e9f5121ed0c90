"""`geoanchor serve` and `geoanchor demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Config, Folder, ModelName, Offline, settings_of
from app.commands.output import emit, progress, say

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 opens it to the network.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]


def serve(
    folder: Folder,
    host: Host = "127.0.0.1",
    port: Port = 7860,
    model: ModelName = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Ask for the token in this file.", metavar="FILE", show_default="GEOANCHOR_TOKEN, if set"),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Also answer to this name, e.g. behind a proxy; may be repeated.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests a second of one client; 0 sets no limit.", min=0)] = 100.0,
    allow_indexing: Annotated[
        bool, typer.Option("--allow-indexing", help="Let the page index city:SEED and service:NAME.")
    ] = False,
    allow_source: Annotated[
        list[Path] | None,
        typer.Option(help="Let the page index what lies in this folder, too; may be repeated.", metavar="DIR"),
    ] = None,
    offline: Offline = False,
    config: Config = None,
) -> None:
    """Serve an index: a page at /, REST at /api, its description at /docs."""
    from app.access import Access, read_token
    from app.server import hosts_of, run
    from app.wiring import open as open_index

    access = Access(
        hosts=(*hosts_of(host), *(allow_host or ())),
        token=read_token(token_file),
        requests_per_s=rate,
        indexing=allow_indexing,
        folders=_folders(allow_source or [], allow_indexing),
        config=config,
    )
    run(open_index(folder, model, settings_of(config, offline=offline)), host, port, say, access)


def _folders(given: list[Path], indexing: bool) -> tuple[Path, ...]:
    from geoanchor.errors import UsageError

    if given and not indexing:
        raise UsageError("--allow-source needs --allow-indexing")
    for folder in given:
        if not folder.is_dir():
            raise UsageError(f"--allow-source {folder}: no such folder")
    return tuple(folder.resolve() for folder in given)


def demo(
    into: Annotated[Path, typer.Option(help="Where to put the index and the report.", metavar="DIR")] = Path(
        "out/demo"
    ),
    seed: Annotated[int, typer.Option(help="Which town.", min=0)] = 7,
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")] = "mini",
    serve: Annotated[bool, typer.Option("--serve", help="Serve the town afterwards.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 7860,
) -> None:
    """Build a procedural town, index it, ask one query of each kind, and write a report with the pictures."""
    from app.demo import run_demo
    from app.wiring import open as open_index

    with progress("indexing the town") as advance:
        report = run_demo(into, seed, model, settings_of(None, offline=True), advance, say)
    emit(str(report))
    if serve:
        from app.access import Access, read_token
        from app.server import hosts_of, run

        access = Access(hosts=hosts_of(host), token=read_token(None))
        run(open_index(into / "city.index"), host, port, say, access)
