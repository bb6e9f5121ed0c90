"""`geoanchor search` and `geoanchor describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.commands.options import Config, Folder, LayerName, ModelName, Near, Offline, Out, Summary, Within, settings_of
from app.commands.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from app.answers import Hits
    from app.index import Index
    from geoanchor.query import Answer, Query

Format = Literal["table", "json", "geojson", "geoparquet", "html"]
_BESIDE_A_SAVED_QUERY = {"folder", "query", "k", "offset", "model", "offline", "config", "format", "out"}
"""Parameters that say nothing of what is asked, or page through it."""


def search(
    context: typer.Context,
    folder: Folder,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help='Words, e.g. "stadium by the river".', show_default=False)
    ] = None,
    image: Annotated[list[Path] | None, typer.Option(help="Aerial picture to match.", metavar="FILE")] = None,
    map_: Annotated[list[Path] | None, typer.Option("--map", help="Map picture to match.", metavar="FILE")] = None,
    ground: Annotated[list[Path] | None, typer.Option(help="Street photo to match.", metavar="FILE")] = None,
    at: Annotated[str | None, typer.Option(help="Near this coordinate.", metavar="LAT,LNG")] = None,
    like: Annotated[list[str] | None, typer.Option(help="More like the row with this id.", metavar="ID")] = None,
    segment: Annotated[
        int | None, typer.Option(help="Like this part of the row that --like names; hits tell their numbers.", min=0)
    ] = None,
    not_: Annotated[list[str] | None, typer.Option("--not", help="Unlike these words.", metavar="TEXT")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="How much a kind of part counts: text, image, map, ground, at, like (1) or not (-0.5).",
            metavar="KIND=NUMBER",
        ),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            help="A saved query, the JSON that REST takes; - reads it from stdin. -k and --offset page through it.",
            metavar="FILE",
        ),
    ] = None,
    literal: Annotated[
        bool, typer.Option("--literal", help="Take TEXT as it is: no places, coordinates, dates or minus-words in it.")
    ] = False,
    within: Within = None,
    near: Near = None,
    layer: Annotated[LayerName | None, typer.Option(help="Only this layer.", show_default="all")] = None,
    since: Annotated[str | None, typer.Option(help="Only taken on this day or later.", metavar="DATE")] = None,
    until: Annotated[str | None, typer.Option(help="Only taken on this day or before.", metavar="DATE")] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.", min=1)] = 10,
    offset: Annotated[int, typer.Option(help="How many of the best to pass over first.", min=0)] = 0,
    suppress: Annotated[
        float, typer.Option(help="Of hits nearer to each other than this, only the best.", metavar="METRES", min=0)
    ] = 0.0,
    min_probability: Annotated[
        float, typer.Option(help="Leave out hits that are less likely to be right; 0 to 1.", min=0, max=1)
    ] = 0.0,
    relations: Annotated[bool, typer.Option(help='Read "A by B" as two things and their distance.')] = True,
    tags: Annotated[bool, typer.Option(help="Rows whose map tags say what the text names come first.")] = True,
    rerank: Annotated[
        str | None,
        typer.Option(
            help="Reorder the hits: mismatch puts first what disagrees most with --map, among the -k hits of this page "
            "alone; segments what has a part that suits the query, among the best 200.",
            metavar="RERANKER",
        ),
    ] = None,
    model: ModelName = None,
    offline: Offline = False,
    config: Config = None,
    format: Annotated[Format, typer.Option(help="How to print the hits.")] = "table",
    out: Out = None,
) -> None:
    """Find places by words, pictures, a coordinate, a row of the index, or a weighted mixture of them.

    TEXT is read as the search box reads it: "school near Krems -parking", "47.37, 8.54", "forest in 2014". Parts may be
    repeated and mixed. Filters (--within, --near, --layer, --since, --until) apply before the search.
    """
    from app.layeradvice import query_advice
    from app.question import Question
    from app.wiring import open as open_index

    question = Question(
        text=text, image=image, map=map_, ground=ground, at=at, like=like, segment=segment, not_=not_,
        within=within, near=near, layer=layer, since=since, until=until, k=k, offset=offset, relations=relations,
        tags=tags, suppress=suppress, rerank=rerank, min_probability=min_probability, weights=_weights(weight or []),
    )  # fmt: skip
    saved = _saved(query, context) if query is not None else None
    index = open_index(folder, model, settings_of(config, offline=offline))
    with question.naming_files():
        asked = saved or question.query(None if literal else index.reader)
        hits = index.query(asked)
    for sentence in query_advice(asked, index.settings):
        say(sentence)
    _print(index, hits, format, out)


def describe(
    folder: Folder,
    *,
    image: Annotated[Path, typer.Option(help="The picture.", metavar="FILE")],
    layer: Annotated[LayerName, typer.Option(help="What kind of picture it is.")] = "aerial",
    k: Annotated[int, typer.Option("-k", help="How many texts.", min=1)] = 5,
    model: ModelName = None,
    offline: Offline = False,
    config: Config = None,
    format: Summary = "table",
) -> None:
    """Say in words what a picture shows: the captions and phrases of the index that suit it best."""
    from app.wiring import open as open_index

    index = open_index(folder, model, settings_of(config, offline=offline))
    found = index.describe(image, layer=layer, k=k)
    if format == "json":
        emit_json({"texts": [{"text": item.text, "score": item.score} for item in found]})
        return
    for item in found:
        emit(f"{item.score:.4f}  {item.text}")
    if not found:
        say(f"{folder}: the index holds no texts; they come from captions and tags")


def _saved(path: Path, context: typer.Context) -> Query:
    """A saved query, on the page that is asked for. Raises UsageError when more is asked beside it."""
    from app.question import read_query
    from geoanchor.errors import UsageError

    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    for parameter in context.command.params:
        if parameter.name in given - _BESIDE_A_SAVED_QUERY:
            flag = next((name for name in parameter.opts if name.startswith("--")), "TEXT")
            raise UsageError(f"--query replays a saved query: say what {flag} says in the file instead")
    return read_query(path).model_copy(update={name: context.params[name] for name in given & {"k", "offset"}})


def _print(index: Index, hits: Hits, format: Format, out: Path | None) -> None:
    from app import render

    for sentence in _asides(hits.answer):
        say(sentence)
    if format == "table":
        emit_table(render.to_table(hits.answer), out)
    elif format == "html":
        from app.report import report_page, section_of

        emit(report_page("Search", str(index.folder), [section_of(index, hits)]), out)
    else:
        writers: dict[str, Any] = {
            "json": render.to_json, "geojson": render.to_geojson, "geoparquet": render.to_geoparquet
        }  # fmt: skip
        emit(writers[format](hits.answer), out)


def _asides(answer: Answer) -> list[str]:
    """What is to be said beside the hits."""
    said = [answer.note] if answer.note else []
    if answer.verdict == "nothing" and answer.nearest:
        said.append("nothing here matches; these are the nearest" if answer.hits else _nearest(answer))
    reasons = {"improbable": "improbable", "suppressed": "too near to a better one"}
    hidden = [f"{count} {reasons[reason]}" for reason, count in answer.hidden_why.items()]
    return said + ([f"hidden: {', '.join(hidden)}"] if hidden else [])


def _nearest(answer: Answer) -> str:
    names = [f"{hit.id} ({100 * hit.why['probability']:.0f} %)" for hit in answer.nearest]
    return f"nothing here matches; the nearest are {', '.join(names)}"


def _weights(given: list[str]) -> dict[str, float]:
    from geoanchor.errors import UsageError

    weights = {}
    for item in given:
        kind, _, number = item.partition("=")
        try:
            weights[kind] = float(number)
        except ValueError as error:
            raise UsageError(f"--weight {item}: give a kind and a number, like text=0.5") from error
    return weights
