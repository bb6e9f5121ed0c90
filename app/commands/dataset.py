"""`geoanchor dataset overlap | split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.commands.output import emit, emit_json, progress, say
from geoanchor.errors import UsageError, reason_of

app = typer.Typer(help="Look at benchmark data: what two sets share, and how to divide one.", rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def overlap(
    first: Annotated[Path, typer.Argument(metavar="TRAIN", help="Captions to learn from, in any known format.")],
    second: Annotated[Path, typer.Argument(metavar="TEST", help="Captions to be judged by.")],
    *,
    images: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Folder or tar of the pictures of each; without, captions alone.", metavar="DIR|TAR DIR|TAR"),
    ] = None,
    splits: Annotated[
        tuple[str, str] | None, typer.Option(help="Only these splits of each.", metavar="TRAIN TEST")
    ] = None,
    drop: Annotated[
        Path | None, typer.Option(help="Write the names to leave out of TRAIN, one a line.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """What two captioned sets share: captions word for word, and pictures that are the same.

    Pictures are the same when their perceptual hashes differ in four bits of 64 or fewer, in any of eight ways to lay
    them, and three captions or more are equal (all, where a picture has fewer).
    """
    from training.datasets import Pictures, read_captions
    from training.datasets.overlap import overlap as compare

    if drop and not images:
        raise UsageError("--drop needs --images TRAIN-PICTURES TEST-PICTURES: captions alone do not make a duplicate")
    own, other = splits or (None, None)
    one, two = read_captions(first, own), read_captions(second, other)
    own_pictures, other_pictures = (Pictures(images[0]), Pictures(images[1])) if images else (None, None)
    with progress("hashing") as advance:
        found = compare(one, two, own_pictures, other_pictures, advance)
    if drop:
        emit("".join(f"{name}\n" for name in found.drop), drop)
    if json:
        emit_json(found.figures())
        return
    for name, value in found.figures().items():
        if name != "pairs" and value is not None:
            emit(f"{name.replace('_', ' ')}: {' and '.join(map(str, value)) if isinstance(value, list) else value}")


@app.command()
def split(
    captions: Annotated[Path, typer.Argument(metavar="CAPTIONS", help="Captions in any known format.")],
    into: Annotated[Path, typer.Argument(metavar="FILE.json", help="The split manifest to write.")],
    *,
    by: Annotated[
        Literal["name", "block"], typer.Option(help="Hash names, or the H3 cells that the pictures lie in.")
    ] = "name",
    without: Annotated[
        Path | None, typer.Option(help="Leave these names out, one a line.", metavar="FILE", show_default="none")
    ] = None,
) -> None:
    """Divide a target domain 2:1:7 into adapt, validation and test, and write down which picture is in which."""
    from training.datasets import read_captions
    from training.datasets.split import divide

    items, dropped = read_captions(captions), _names(without) if without else frozenset()
    if unknown := sorted(dropped - {item.image for item in items}):
        say(f"{without}: {len(unknown)} of its names are of no picture in {captions}, {unknown[0]!r} for one")
    manifest = divide([item for item in items if item.image not in dropped], by)
    emit(manifest.model_dump_json(indent=1), into)
    say(", ".join(f"{part}: {len(names)}" for part, names in manifest.images.items()))


def _names(path: Path) -> frozenset[str]:
    try:
        return frozenset(name for line in path.read_text("utf-8-sig").splitlines() if (name := line.strip()))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of names ({reason_of(error)})") from error
