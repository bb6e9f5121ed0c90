"""`geoanchor serve` and `geoanchor demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Config, Folder, ModelName, Offline, settings_of
from app.commands.output import progress, say

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 opens it to the network.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]


def serve(
    folder: Folder,
    host: Host = "127.0.0.1",
    port: Port = 7860,
    model: ModelName = None,
    offline: Offline = False,
    config: Config = None,
) -> None:
    """Serve an index: a page at /, REST at /api, its description at /docs."""
    from app.server import run
    from app.wiring import open as open_index

    run(open_index(folder, model, settings_of(config, offline=offline)), host, port, say)


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
    print(report)
    if serve:
        from app.server import run

        run(open_index(into / "city.index"), host, port, say)
