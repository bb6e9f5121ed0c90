"""`geoanchor index`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.options import Config, LayerName, Offline, Summary, settings_of
from app.commands.output import emit, emit_json, progress_as, say

if TYPE_CHECKING:
    from geoanchor.tiling import Bounds
    from indexer.report import BuildReport

_SHOWN = 10
"""Quarantined inputs named in the summary; all are in report.json."""


def index(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Files, folders, URL templates, city:7, ...", show_default=False),
    ] = None,
    *,
    into: Annotated[Path, typer.Option(help="The index folder; made, or brought up to date.", metavar="DIR")],
    layer: Annotated[
        LayerName | None, typer.Option(help="What the pictures are.", show_default="rasters aerial, vectors map")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model bundle: a name or a folder.", show_default="the index's own, else mini")
    ] = None,
    zoom: Annotated[
        int | None, typer.Option(help="Tile zoom.", min=0, max=24, show_default="nearest to the source's own GSD")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help='JSON list of {"image": name, "captions": [...]}.', metavar="FILE")
    ] = None,
    segments: Annotated[
        str | None,
        typer.Option(
            help="Also keep the parts of aerial pictures: none, regions (of like colour), polygons (of vector "
            "sources), sam:vit_b, sam:vit_l, sam:vit_h or sam:FILE.",
            show_default="the index's own, else none",
            metavar="METHOD",
        ),
    ] = None,
    fuse: Annotated[
        float | None,
        typer.Option(help="Share of the parts in a picture's own vector, e.g. 0.3.", min=0, max=1, show_default="0"),
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="Only tiles in this box, in degrees.", metavar="WEST,SOUTH,EAST,NORTH")
    ] = None,
    style: Annotated[str, typer.Option(help="How vectors are drawn: standard, light, google or dark.")] = "standard",
    bands: Annotated[
        str | None, typer.Option(help="Bands to show as red,green,blue, or one as grey, from 1.", metavar="B,B,B")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of a tile in pixels.", min=16, max=2048)] = 256,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Remove all rows that came from this source, or the row with this id; may be repeated."),
    ] = None,
    prune: Annotated[bool, typer.Option(help="Remove rows whose source no longer has them.")] = True,
    batch_size: Annotated[int | None, typer.Option(help="Pictures encoded at once.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Reading threads.", min=1, show_default="cores")] = None,
    engine: Annotated[Literal["local"], typer.Option(help="What runs the build.")] = "local",  # noqa: ARG001 (one engine so far)
    offline: Offline = False,
    config: Config = None,
    progress: Annotated[
        Literal["bar", "json"], typer.Option(help="How to show progress on stderr; json is a line now and then.")
    ] = "bar",
    format: Summary = "table",
) -> None:
    """Put imagery and maps into an index, or bring the index up to date: run it again with the same sources.

    Only what is new or changed is embedded. An interrupted build goes on where it was when it is run again. A file that
    cannot be used is set aside with its reason and the build goes on.
    """
    from geoanchor.count import counted
    from geoanchor.errors import GeoAnchorError, UsageError

    settings = settings_of(config, offline=offline, threads=threads, batch_size=batch_size)
    if not sources and not remove:
        raise UsageError("nothing to do: name a source to index, or one to take out with --remove")
    from app import upkeep, wiring
    from app.modelname import model_named_by

    if remove:
        removal = upkeep.remove(into, remove)
        say(f"{into}: removed {counted(removal.rows, 'row', 'rows')}")
        for uri, count in removal.copies.items():
            if uri not in (sources or ()):
                copies = counted(count, "picture", "pictures")
                say(f"{uri} left out {copies} as copies; index it again to have those whose other is gone now")
    if not sources:
        return
    with progress_as(progress, "indexing") as advance, model_named_by(into, model):
        report = wiring.build(
            sources, into, model=model, layer=layer, zoom=zoom, within=box_of(within), style=style,
            bands=_bands(bands), size=size, captions=captions, segments=segments, fuse=fuse, prune=prune,
            settings=settings, progress=lambda state: advance(state.done, state.total),
        )  # fmt: skip
    if format == "json":
        emit_json(report.model_dump(mode="json"))
    else:
        emit(_summary(into, report))
        for advice in upkeep.advices(into):
            say(advice)
    if not report.rows:
        reason = f"{into}: the index is empty, nothing in the sources could be used"
        if report.skipped.get("nodata"):
            reason += "; a raster smaller than half a tile needs a larger --zoom, and beyond latitude 85 are no tiles"
        raise GeoAnchorError(reason)


def _summary(into: Path, report: BuildReport) -> str:
    lines = [
        f"{into}: {report.rows} rows ({report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.removed} removed) and {report.texts} texts in {report.seconds:.1f} s, "
        f"{report.tiles_per_s:.1f} pictures a second"
    ]
    if report.skipped:
        lines.append("skipped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(report.skipped.items())))
    lines += [f"not usable: {item.where}: {item.reason}" for item in report.quarantined[:_SHOWN]]
    if len(report.quarantined) > _SHOWN:
        lines.append(f"and {len(report.quarantined) - _SHOWN} more; all are in {into / 'report.json'}")
    return "\n".join(lines)


def box_of(within: str | None) -> Bounds | None:
    """The box that --within names. Raises UsageError for anything but one."""
    if within is None:
        return None
    from app.question import region
    from geoanchor.errors import UsageError
    from geoanchor.query import BoundsRegion

    box = region(within)
    if not isinstance(box, BoundsRegion):
        raise UsageError(f"--within {within}: an index takes a box WEST,SOUTH,EAST,NORTH in degrees")
    return box.bounds


def _bands(bands: str | None) -> tuple[int, ...] | None:
    from geoanchor.errors import UsageError

    if bands is None:
        return None
    try:
        numbers = tuple(int(item) for item in bands.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or min(numbers) < 1:
        raise UsageError(f"--bands {bands}: give one band or three, counted from 1, like 4,1,2")
    return numbers
