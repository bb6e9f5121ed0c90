"""`geoanchor changes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.options import Config, Folder, ModelName, Near, Offline, Out, Within, settings_of
from app.commands.output import emit, emit_json, emit_table, progress, say

if TYPE_CHECKING:
    from app.answers import Changes
    from app.index import Index
    from geoanchor.change import Decision, Review

Format = Literal["table", "json", "geojson", "csv", "geoparquet", "html", "maproulette"]
_DONE: Mapping[Decision, str] = {"accept": "accepted", "reject": "rejected", "open": "reopened"}


def changes(
    folder: Folder,
    within: Within = None,
    near: Near = None,
    k: Annotated[int, typer.Option("-k", help="How many places.", min=1)] = 50,
    all_dates: Annotated[
        bool,
        typer.Option(
            "--all-dates", help="Compare every map with every aerial picture of its ground, not the newest alone."
        ),
    ] = False,
    unmapped: Annotated[bool, typer.Option(help="Compare pictures that no map shows with an empty map.")] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Also give places that agree, say too little or were reviewed.")
    ] = False,
    max_offset: Annotated[
        float, typer.Option(help="How far the map may lie off, as a share of a tile's side.", min=0, max=0.5)
    ] = 0.1,
    accept: Annotated[
        list[str] | None, typer.Option(help="Remember that this change is right; may be repeated.", metavar="ID")
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option(help="Remember that this is no change; may be repeated.", metavar="ID")
    ] = None,
    reopen: Annotated[
        list[str] | None, typer.Option(help="Take a decision on this change back; may be repeated.", metavar="ID")
    ] = None,
    note: Annotated[str, typer.Option(help="A remark to keep with the decision.", metavar="TEXT")] = "",
    reviewed: Annotated[bool, typer.Option("--reviewed", help="List the decisions instead, as table or json.")] = False,
    model: ModelName = None,
    offline: Offline = False,
    config: Config = None,
    format: Annotated[Format, typer.Option(help="How to print the places.")] = "table",
    out: Out = None,
) -> None:
    """Rank the places where maps and imagery of an index disagree, worst first, and say why.

    A map that is shifted as a whole is called that, and no change. What a reviewer accepts or rejects is not suggested
    again until the map or the picture is a new one.
    """
    from app.upkeep import zoom_advice
    from app.wiring import open as open_index

    decisions = _decisions({"accept": accept or [], "reject": reject or [], "open": reopen or []}, note)
    if decisions or reviewed:
        _check_reviewing(bool(decisions), reviewed, format)
    index = open_index(folder, model, settings_of(config, offline=offline))
    if reviewed:
        _print_reviews(index.reviews(), format, out)
    elif decisions:
        made = index.review_all(decisions, note)
        for review in made:
            say(f"{review.change}: {_DONE[review.decision]}")
        if format == "json" or out is not None:
            _print_reviews(made, format, out)
    else:
        if advice := zoom_advice(index.folder):
            say(advice)
        with progress("comparing") as advance:
            found = index.changes(
                within=within, near=near, k=k, all_dates=all_dates, unmapped=unmapped, everything=everything,
                max_offset=max_offset, progress=advance,
            )  # fmt: skip
        say(_headline(found, k))
        _print(index, found, format, out, max_offset)


def _decisions(given: Mapping[Decision, Sequence[str]], note: str) -> dict[str, Decision]:
    """The decision on each change. Raises UsageError for a change that is given two, and for a remark on none."""
    from geoanchor.errors import UsageError

    decisions: dict[str, Decision] = {}
    for decision, changes in given.items():
        for change in changes:
            first = decisions.setdefault(change, decision)
            if first != decision:
                both = f"{_DONE[first]} and {_DONE[decision]}"
                raise UsageError(f"{change} cannot be {both} at once; leave out one of the two")
    if note and not given["accept"] and not given["reject"]:
        raise UsageError("--note is kept with a decision; give --accept ID or --reject ID too")
    return decisions


def _check_reviewing(deciding: bool, listing: bool, format: Format) -> None:
    """Raise UsageError before anything is kept."""
    from geoanchor.errors import UsageError

    if deciding and listing:
        raise UsageError("--reviewed lists the decisions made before; give --accept, --reject and --reopen without it")
    if format not in ("table", "json"):
        raise UsageError(f"decisions are given as table or json, not {format}")


def _print_reviews(reviews: Sequence[Review], format: Format, out: Path | None) -> None:
    from app.changesheet import reviews_table

    if format == "json":
        emit_json({"reviews": [review.model_dump(mode="json") for review in reviews]}, out)
    else:
        emit_table(reviews_table(reviews), out)


def _headline(found: Changes, k: int) -> str:
    """What there is to say of the region, and of a full list what its note leaves out."""
    from app.changesheet import headline
    from geoanchor.count import counted

    said = [headline(found.answer)]
    if found.answer.places != len(found):
        said.append("-k shows more")
    if found.answer.reviewed and len(found) == k:
        said.append(f"{counted(found.answer.reviewed, 'was', 'were')} reviewed before")
    return "; ".join(said)


def _print(index: Index, found: Changes, format: Format, out: Path | None, max_offset: float) -> None:
    from app import changesheet

    match format:
        case "table":
            emit_table(changesheet.to_table(found), out)
        case "html":
            from app.changereport import changes_page

            emit(changes_page(index, found, max_offset), out)
        case "json":
            emit(changesheet.to_json(found.answer), out)
        case "geojson":
            emit(changesheet.to_geojson(found.answer), out)
        case "csv":
            emit(changesheet.to_csv(found.answer), out)
        case "geoparquet":
            emit(changesheet.to_geoparquet(found.answer), out)
        case "maproulette":
            emit(changesheet.to_maproulette(found.answer), out)
