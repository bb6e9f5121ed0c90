"""`geoanchor captions`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import Config, LayerName, Offline, Summary, settings_of
from app.commands.output import emit, emit_json, progress, say_some

if TYPE_CHECKING:
    from geoanchor.errors import BadInput


def captions(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE", help="Pictures, vectors, city:7, an index folder, ...", show_default="the index --into"
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help='Where captions go, a JSON list of {"image", "captions"}.', metavar="FILE.json")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Give the rows of this index their captions, and its texts.", metavar="DIR")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="templates makes sentences from tags; instructblip, the hub's name of another image-to-text model or "
            "a folder looks at the pictures and is told the tags.",
            metavar="MODEL",
        ),
    ] = "templates",
    vectors: Annotated[
        str | None,
        typer.Option(
            help="What is known of the ground: a vector file, city:7, ...",
            metavar="SOURCE",
            show_default="the source's or the index's own tags",
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Paraphrases of each picture, by templates.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Of the choice of words in templates.", min=0)] = 0,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask the model only in this way: plain, map or known; BLIP and GIT: plain, tags or place. May be "
            "repeated.",
            show_default="all, the best is kept",
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Model bundle that also judges captions by their pictures.", metavar="BUNDLE")
    ] = None,
    layer: Annotated[
        LayerName | None, typer.Option(help="What the pictures are.", show_default="rasters aerial, vectors map")
    ] = None,
    zoom: Annotated[int | None, typer.Option(help="Tile zoom.", min=0, max=24, show_default="the source's own")] = None,
    within: Annotated[
        str | None, typer.Option(help="Only tiles in this box, in degrees.", metavar="WEST,SOUTH,EAST,NORTH")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many pictures of a source.", min=1)] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures that the model sees at once.", min=1)] = 8,
    offline: Offline = False,
    config: Config = None,
    format: Summary = "table",
) -> None:
    """Say in sentences what pictures show: from geo-tags, or by a captioning model that is told them.

    A model is asked in several ways and the caption that is judged best is kept; where it fails, the tags speak.
    Answers are remembered, so that a stopped run goes on where it was.
    """
    from app.captioning import CaptionOptions, caption, put_into
    from app.commands.index import box_of
    from geoanchor.errors import GeoAnchorError, UsageError
    from training.captions.records import summary, write_file

    uris = sources or ([str(into)] if into else [])
    if not uris or not (out or into):
        raise UsageError("name what to caption, and where the captions go: --out FILE.json, --into DIR, or both")
    settings = settings_of(config, offline=offline)
    options = CaptionOptions(
        model, vectors or "", count, seed, tuple(prompt or ()), judge or "", layer, zoom, box_of(within), limit,
        batch_size,
    )  # fmt: skip
    bad: list[BadInput] = []
    with progress("captioning") as advance:
        written = caption(uris, options, settings, bad.append, lambda done: advance(done, None))
    say_some([f"no caption: {item.where}: {item.reason}" for item in bad], "without a caption")
    if not written:
        raise GeoAnchorError(f"{', '.join(uris)}: no picture could be captioned")
    if out:
        write_file(written, out)
    report: dict[str, Any] = summary(written) | {"without_caption": len(bad)}
    if into:
        report["rows"] = put_into(into, written, options, settings)
    if format == "json":
        emit_json(report)
    else:
        emit(_table(report))


def _table(report: dict[str, Any]) -> str:
    by = ", ".join(f"{count} by {name}" for name, count in report["by"].items())
    head = f"{report['captions']} captions of {report['pictures']} pictures ({by}), {report['mean_words']} words each"
    if "rows" in report:
        head += f"; {report['rows']} rows of the index have them"
    columns = ("kept", "score", "coverage", "support", "variety", "length", "likeness")
    lines = [head, f"{'prompt':10}" + "".join(f"{name:>10}" for name in columns)]
    for row in report["prompts"]:
        lines.append(f"{row['prompt']:10}" + "".join(f"{_shown(row[name]):>10}" for name in columns))
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
