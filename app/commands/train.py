"""`geoanchor train` and `geoanchor models`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Config, Offline, Summary, settings_of
from app.commands.output import emit, emit_json, say

if TYPE_CHECKING:
    from geoanchor.settings import Settings


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, and how.", show_default=False)],
    *,
    smoke: Annotated[bool, typer.Option("--smoke", help="A minute's work, to see that all is in place.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting; may be repeated.", metavar="A.B=C"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", metavar="DIR", show_default="in runs, by the recipe's name and kind"),
    ] = None,
    offline: Offline = False,
    config: Config = None,
) -> None:
    """Train a model by a recipe; prints the folder of the bundle it made, or the file of open_clip weights."""
    training = _training(recipe, settings_of(config, offline=offline))
    emit(str(training(recipe, run, overrides=set_ or [], smoke=smoke, resume=resume, log=say)))


def _training(recipe: Path, settings: Settings) -> Callable[..., Path]:
    """What trains by a recipe of its kind. Settings go where weights may be fetched; the others open what is here."""
    from training.domain.recipe import is_domain_recipe
    from training.scenes.recipe import is_scenes_recipe
    from training.sketches.recipe import is_sketch_recipe
    from training.structure.recipe import is_structure_recipe

    if is_structure_recipe(recipe):
        from training.structure.train import train_structure

        return train_structure
    if is_scenes_recipe(recipe):
        from training.scenes.train import train_scenes

        return train_scenes
    if is_sketch_recipe(recipe):
        from training.sketches.train import train_sketches

        return train_sketches
    if is_domain_recipe(recipe):
        from training.domain.train import train_domain

        return partial(train_domain, settings=settings)
    from training.loop import train

    return partial(train, settings=settings)


def models(format: Summary = "table") -> None:
    """List the models that are at hand; as JSON with all that is known of them, also of their quality."""
    from models.bundle import known_names, list_bundles

    bundles = list_bundles()
    if format == "json":
        emit_json({"bundles": [bundle.model_dump(mode="json") for bundle in bundles], "names": known_names()})
        return
    for bundle in bundles:
        emit(f"{bundle.name}: {bundle.description}")
        emit(f"  {', '.join(bundle.branches)}; {bundle.licence}")
    emit("names that --model takes: " + ", ".join(known_names()) + ", or a bundle folder")
