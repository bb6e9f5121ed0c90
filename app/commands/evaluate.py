"""`geoanchor evaluate adaptation | retrieval | table | matching | map-to-aerial`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import Config, Offline, settings_of
from app.commands.output import emit, emit_json, progress, say, say_some
from geoanchor.count import counted
from geoanchor.errors import BadInput, OnBad, UsageError

if TYPE_CHECKING:
    from geoanchor.protocols import Encoder
    from geoanchor.settings import Settings

app = typer.Typer(help="Measure a model on benchmark data.", rich_markup_mode=None)

Model = Annotated[str, typer.Option(help="Model bundle: a name or a folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Pairs = Annotated[
    Path,
    typer.Option(
        help="CSV with the columns aerial,map,label (1 or 0, true or false; and kind,changed,dx,dy), or a folder with "
        ".../aerial and .../map.",
        metavar="FILE.csv|DIR",
    ),
]
Split = Annotated[str | None, typer.Option(help="Only this split: of a folder, what lies below one of that name.")]
Images = Annotated[Path, typer.Option(help="Folder or tar of the pictures.", metavar="DIR|TAR")]
Captions = Annotated[
    Path,
    typer.Option(
        help='JSON list of {"image", "captions", "split"?}; or Karpathy JSON, CSV, or caption lists.',
        metavar="FILE.json",
    ),
]
CaptionSplit = Annotated[
    str | None,
    typer.Option(
        help="Only this split of the file; hash:0/10 for a tenth by the hash of names; MANIFEST.json:PART.",
        show_default="all",
    ),
]
BatchSize = Annotated[int | None, typer.Option(help="Pictures encoded at once.", min=1)]


@contextmanager
def _unreadable() -> Iterator[OnBad]:
    """Takes pictures that cannot be read, and names the first of them at the end, an end by error too."""
    found: list[BadInput] = []
    try:
        yield found.append
    finally:
        say_some([str(error) for error in found], "that cannot be read")


@app.command()
def retrieval(
    *,
    images: Images,
    captions: Captions,
    split: CaptionSplit = None,
    model: Model = "mini",
    markdown: Annotated[Path | None, typer.Option(help="Write a report, with chance and intervals.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw recall against k: .png, .svg or .pdf.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the best and the worst queries with what they found.")
    ] = None,
    batch_size: BatchSize = None,
    offline: Offline = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recall of pictures by their captions and of captions by their pictures, in percent.

    Exact: only the picture that a caption was written for is right. Text-equivalent: so is any other with the very same
    words. Ties count in expectation; intervals are 95 % bootstrap over pictures.
    """
    from training import recall_plot, recall_sheet
    from training.datasets import Pictures, read_captions
    from training.evaluate import encode_captioned, retrieval_result
    from training.recall_table import recall_report

    for path, formats in ((plot, recall_plot.FORMATS), (picture, recall_sheet.FORMATS)):
        _require_format(path, formats)
    settings = settings_of(config, offline=offline, batch_size=batch_size)
    captioned, pictures = read_captions(captions, split), Pictures(images)
    encoder = _encoder(model, settings)
    with _unreadable() as on_bad, progress("encoding") as advance:
        encoded = encode_captioned(encoder, pictures, captioned, settings.batch_size, advance, on_bad)
    result = retrieval_result(encoder, encoded, len(captioned)) | {"split": split}
    if markdown:
        emit(recall_report(result), markdown)
    if plot:
        emit(recall_plot.plot_recall(encoded, f"{model}, {len(encoded.names)} images", plot.suffix), plot)
    if picture:
        emit(recall_sheet.query_sheet(encoded, pictures, picture.suffix), picture)
    _print(result, json)


@app.command()
def table(
    *,
    dataset: Annotated[str, typer.Option(help="Whose published figures: rsicd, rsitmd, ucm, uc-spain, ...")] = "rsicd",
    results: Annotated[
        list[Path] | None,
        typer.Option("--result", help="What `evaluate retrieval --json` printed; a row each.", show_default="none"),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Measure now: the pictures.", metavar="DIR|TAR")] = None,
    captions: Annotated[Path | None, typer.Option(help="Measure now: their captions.", metavar="FILE")] = None,
    split: CaptionSplit = None,
    model: Annotated[list[str] | None, typer.Option(help="Measure now: these models.", show_default="mini")] = None,
    batch_size: BatchSize = None,
    offline: Offline = False,
    config: Config = None,
) -> None:
    """Published recall of a data set as a Markdown table, our own rows beside it, each with what it was trained on."""
    from training.datasets import Pictures, read_captions
    from training.evaluate import evaluate_retrieval
    from training.published import measured, published, read_result
    from training.recall_table import comparison

    if (images is None) != (captions is None):
        raise UsageError("--images and --captions belong together")
    published(dataset)  # refuses an unknown name before anything is measured
    rows = [measured(read_result(path), dataset, str(path)) for path in results or []]
    settings = settings_of(config, offline=offline, batch_size=batch_size)
    if images and captions:
        captioned, pictures = read_captions(captions, split), Pictures(images)
        for name in model or ["mini"]:
            encoder = _encoder(name, settings)
            with _unreadable() as on_bad, progress(f"encoding with {name}") as advance:
                result = evaluate_retrieval(
                    encoder, pictures, captioned, batch_size=settings.batch_size, progress=advance,
                    on_bad=on_bad,
                )  # fmt: skip
            rows.append(measured(result | {"split": split}, dataset, name))
    emit(comparison(dataset, rows))


@app.command()
def matching(
    *,
    pairs: Pairs,
    split: Split = None,
    model: Model = "mini",
    batch_size: BatchSize = None,
    offline: Offline = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """AUROC and F1 of "the same place, unchanged" over pairs of a map and an aerial picture.

    Beside the model stand rivals that need no training, in a Markdown table. "auroc_imagery_swapped" is measured with
    every aerial picture exchanged for another, and 0.5 where the maps alone give nothing away.
    """
    from training.evaluate import evaluate_matching
    from training.matching_table import matching_table
    from training.pairlist import read_pairs

    settings = settings_of(config, offline=offline, batch_size=batch_size)
    listed = read_pairs(pairs, split)
    # Before the clock runs: opening a model takes seconds, by which the time left would be told far too long.
    encoder = _encoder(model, settings)
    with _unreadable() as on_bad, progress("encoding") as advance:
        result = evaluate_matching(encoder, listed, batch_size=settings.batch_size, progress=advance, on_bad=on_bad)
    _say_foreign(result)
    if json:
        emit_json(result)
    else:
        emit(matching_table(result))


@app.command()
def map_to_aerial(
    *,
    pairs: Pairs,
    split: Split = None,
    model: Model = "mini",
    batch_size: BatchSize = None,
    offline: Offline = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recall of the aerial picture by its map and back, over the pairs with label 1, in percent."""
    from training.evaluate import evaluate_map_to_aerial
    from training.pairlist import read_pairs

    settings = settings_of(config, offline=offline, batch_size=batch_size)
    listed = read_pairs(pairs, split)
    encoder = _encoder(model, settings)
    with _unreadable() as on_bad, progress("encoding") as advance:
        result = evaluate_map_to_aerial(
            encoder, listed, batch_size=settings.batch_size, progress=advance, on_bad=on_bad
        )
    _say_foreign(result)
    _print(result, json)


@app.command()
def adaptation(
    *,
    recipe: Annotated[Path, typer.Option(help="Whose grounds, network and transfers.", metavar="RECIPE.toml")] = Path(
        "training/recipes/urbancross_mini.toml"
    ),
    seeds: Annotated[int, typer.Option(help="Runs of each cell.", min=1)] = 3,
    run: Annotated[
        Path | None, typer.Option(help="Folder of finished cells.", metavar="DIR", show_default="runs/<recipe's name>")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="A minute's work, to see that all is in place.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting; may be repeated.", metavar="A.B=C")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table.")] = None,
    json: Json = False,
) -> None:
    """The adaptation matrix: each transfer of a recipe, without adaptation, with each part of it left out, and in full.

    Finished cells are kept in the run's folder, so that a stopped evaluation goes on where it was.
    """
    from training.domain.matrix import run_matrix
    from training.domain.recipe import load_domain_recipe
    from training.domain.table import matrix_table

    plan = load_domain_recipe(recipe, set_ or [], smoke)
    folder = run or Path("runs") / (f"{plan.name}-smoke" if smoke else plan.name)
    result = run_matrix(plan, folder, range(seeds), say)
    if markdown:
        emit(matrix_table(result) + "\n", markdown)
    if json:
        emit_json(result)
    elif not markdown:
        emit(matrix_table(result))


def _require_format(path: Path | None, formats: tuple[str, ...]) -> None:
    if path and path.suffix.lower() not in formats:
        raise UsageError(f"{path}: the name of such a file ends in {', '.join(formats[:-1])} or {formats[-1]}")


def _encoder(model: str, settings: Settings) -> Encoder:
    from models.bundle import load_bundle

    return load_bundle(model, settings)


def _say_foreign(result: dict[str, Any]) -> None:
    """By colours alone a map in an unknown style is misread, and a matcher judges by what is read."""
    if result["foreign_maps"] and result["score"] == "matcher":
        say(
            f"{counted(result['foreign_maps'], 'map has', 'maps have')} colours of no map style that is known, so that "
            "figures of a matcher mean little; are the columns aerial and map exchanged?"
        )


def _print(result: dict[str, Any], as_json: bool) -> None:
    """JSON, or a line for each measure, nested ones as "chance.map_to_aerial"."""
    if as_json:
        emit_json(result)
        return
    for name, value in result.items():
        if not isinstance(value, dict):
            emit(f"{name}: {value}")
        elif any(isinstance(inner, dict) for inner in value.values()):
            _print({f"{name}.{key}": inner for key, inner in value.items()}, as_json)
        else:
            emit(f"{name}: " + ", ".join(f"{key} {number}" for key, number in value.items()))
