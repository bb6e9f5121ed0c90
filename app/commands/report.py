"""`geoanchor report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.output import emit, say


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="An index, or a folder or tar of pictures.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page.", metavar="FILE.html")],
    captions: Annotated[
        Path | None, typer.Option(help="Captions of a folder's pictures, in any format of data sets.", metavar="FILE")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Also write each plot here, as SVG and PNG.", metavar="FOLDER")
    ] = None,
) -> None:
    """Show what a data set is made of: tags, which occur together and in groups, captions and how good, ground, dates.

    The page needs neither network nor script.
    """
    from app.datareport.census import read_census
    from app.datareport.page import data_report
    from geoanchor.errors import UsageError

    census = read_census(folder, captions)
    if not census.records:
        raise UsageError(f"{folder}: has no pictures to report on")
    made = data_report(census)
    emit(made.html(), out)
    if plots:
        for plot in made.plots:
            plot.save(plots)
        say(f"wrote {len(made.plots)} plots to {plots}")
