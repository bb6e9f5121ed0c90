"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from geoanchor.settings import Settings

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The index folder.", show_default=False)]
LayerName = Literal["aerial", "map", "ground"]
Offline = Annotated[bool, typer.Option("--offline", help="Never open a connection to another machine.")]
ModelName = Annotated[
    str | None, typer.Option(help="Model bundle: a name or a folder.", show_default="the index's own", metavar="MODEL")
]
Within = Annotated[
    str | None,
    typer.Option(
        help="Only here: a box in degrees, H3 cells, or the polygons of a vector file.",
        metavar="FILE|WEST,SOUTH,EAST,NORTH|CELL,CELL",
    ),
]
Near = Annotated[str | None, typer.Option(help="Only within so many metres.", metavar="LAT,LNG,METRES")]
Out = Annotated[Path | None, typer.Option(help="Write the result to this file instead of stdout.", metavar="FILE")]
Summary = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print the result.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file.", metavar="FILE", show_default="./geoanchor.toml, if there is one"),
]


def settings_of(
    config: Path | None, *, offline: bool = False, threads: int | None = None, batch_size: int | None = None
) -> Settings:
    """Settings from the file, the environment and the flags; an unset flag leaves the others' word."""
    from geoanchor.settings import load_settings

    return load_settings(config, offline=offline or None, threads=threads, batch_size=batch_size)
