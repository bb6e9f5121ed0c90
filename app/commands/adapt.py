"""`geoanchor adapt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Config, Folder, ModelName, Offline, Summary, settings_of
from app.commands.output import emit, emit_json, progress, say

if TYPE_CHECKING:
    from training.adapt.record import Adaptation


def adapt(
    folder: Folder,
    folds: Annotated[
        int, typer.Option(help="Parts of the ground; each is seen by a decoder of the others.", min=2)
    ] = 4,
    steps: Annotated[
        int | None, typer.Option(help="Steps of each decoder.", min=1, show_default="one a pair, 60 to 300")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    undo: Annotated[bool, typer.Option("--undo", help="Take an adaptation back.")] = False,
    model: ModelName = None,
    offline: Offline = False,
    config: Config = None,
    format: Summary = "table",
) -> None:
    """Learn from an index's own maps and imagery, where most of the map can be trusted; kept only if it is better.

    Right and wrong maps are told apart before and after, on blocks of ground that were not learned from; the mean over
    all kinds of wrong maps has to rise, and one kind may fall a little. The index then has a model of its own, in
    DIR/model, and its aerial pictures other vectors. It is not adapted again, after new imagery neither, before --undo.
    """
    from app import adapting

    settings = settings_of(config, offline=offline)
    if undo:
        taken = adapting.undo(folder, model=model)
        say(f"{folder}: has the vectors of {taken.former_model} again; its own model is deleted")
        return
    with progress("learning") as advance:
        made = adapting.adapt(
            folder, folds=folds, steps=steps, seed=seed, model=model, settings=settings, log=say, progress=advance
        )
    if format == "json":
        emit_json(made.model_dump(mode="json", exclude={"former_spaces", "fold"}) | {"gain": made.gain})
    else:
        emit(_summary(made))
    say(_verdict(made))


def _summary(made: Adaptation) -> str:
    """AUROC of right maps against each kind of wrong ones, on ground that was not learned from."""
    lines = ["AUROC    before  after"]
    lines += [f"{kind:8} {made.before[kind]:.3f}   {made.after[kind]:.3f}" for kind in made.before]
    return "\n".join(lines)


def _verdict(made: Adaptation) -> str:
    facts = f"{made.gain:+.3f} on average (± {made.error:.3f}) over {made.pairs} pairs in {made.seconds:.0f} s"
    if made.kept:
        return f"kept: {facts}; take it back with --undo"
    return f"not kept, since it is no better beyond chance: {facts}; the index is as it was"
