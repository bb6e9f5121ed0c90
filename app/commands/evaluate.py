"""`geoanchor evaluate retrieval | matching | map-to-aerial`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import Config, Offline, settings_of
from app.commands.output import emit_json, progress

if TYPE_CHECKING:
    from geoanchor.protocols import Encoder
    from geoanchor.settings import Settings

app = typer.Typer(help="Measure a model on benchmark data.", rich_markup_mode=None)

Model = Annotated[str, typer.Option(help="Model bundle: a name or a folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Pairs = Annotated[
    Path,
    typer.Option(
        help="CSV with the columns aerial,map,label (and kind,changed,dx,dy), or a folder with .../aerial and .../map.",
        metavar="FILE.csv|DIR",
    ),
]
Split = Annotated[str | None, typer.Option(help="Only this split: of a folder, what lies below one of that name.")]
BatchSize = Annotated[int | None, typer.Option(help="Pictures encoded at once.", min=1)]


@app.command()
def retrieval(
    *,
    images: Annotated[Path, typer.Option(help="Folder or tar of the pictures.", metavar="DIR|TAR")],
    captions: Annotated[Path, typer.Option(help='JSON list of {"image", "captions", "split"?}.', metavar="FILE.json")],
    split: Annotated[str | None, typer.Option(help="Only pictures of this split.", show_default="all")] = None,
    model: Model = "mini",
    batch_size: BatchSize = None,
    offline: Offline = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recall of pictures by their captions and of captions by their pictures, in percent."""
    from training.datasets import Pictures, read_captions
    from training.evaluate import evaluate_retrieval

    settings = settings_of(config, offline=offline, batch_size=batch_size)
    captioned, pictures = read_captions(captions, split), Pictures(images)
    with progress("encoding") as advance:
        result = evaluate_retrieval(
            _encoder(model, settings), pictures, captioned, batch_size=settings.batch_size, progress=advance
        )
    _print(result, json)


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
    with progress("encoding") as advance:
        result = evaluate_matching(_encoder(model, settings), listed, batch_size=settings.batch_size, progress=advance)
    if json:
        emit_json(result)
    else:
        print(matching_table(result))


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
    with progress("encoding") as advance:
        result = evaluate_map_to_aerial(
            _encoder(model, settings), listed, batch_size=settings.batch_size, progress=advance
        )
    _print(result, json)


def _encoder(model: str, settings: Settings) -> Encoder:
    from models.bundle import load_bundle

    return load_bundle(model, settings)


def _print(result: dict[str, Any], as_json: bool) -> None:
    """JSON, or a line for each measure, nested ones as "chance.map_to_aerial"."""
    if as_json:
        emit_json(result)
        return
    for name, value in result.items():
        if not isinstance(value, dict):
            print(f"{name}: {value}")
        elif any(isinstance(inner, dict) for inner in value.values()):
            _print({f"{name}.{key}": inner for key, inner in value.items()}, as_json)
        else:
            print(f"{name}: " + ", ".join(f"{key} {number}" for key, number in value.items()))
