"""The state of a run on disk: written whole or not at all, refused when it is of another model or recipe."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from geoanchor.errors import UsageError

Stateful = nn.Module | torch.optim.Optimizer
_RECIPE = "recipe.json"
_PACE = (".log_every", ".checkpoint_s")
"""Ends of the names of settings that change nothing of what is learned."""


def require_checkpoint(path: Path, resume: bool, recipe: BaseModel) -> None:
    """Make the folder of a run, and note its recipe there.

    Raises UsageError unless a checkpoint is there just when one is to be resumed from, and is of that recipe: what
    comes of the run says which recipe it was made by.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent}: no folder can be made there for the run ({error.strerror})") from error
    there = path.is_file()
    if resume and not there:
        raise UsageError(f"{path.parent}: holds no {path.name} to resume from; leave --resume out to start")
    if there and not resume:
        raise UsageError(
            f"{path.parent}: holds a run already; go on with --resume, or remove the folder to start again"
        )
    noted, now = path.with_name(_RECIPE), recipe.model_dump(mode="json")
    if resume and noted.is_file():
        # Not written again: a kill here would leave a run that nothing resumes.
        _require_same(path.parent, json.loads(noted.read_text("utf-8")), now)
    else:
        noted.write_text(json.dumps(now, indent=1), "utf-8")


def _require_same(run: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    was, becomes = dict(_settings(before)), dict(_settings(now))
    for name in sorted(was.keys() | becomes.keys()):
        if was.get(name) != becomes.get(name) and not name.endswith(_PACE):
            raise UsageError(
                f"{run}: was started with {name} = {json.dumps(was.get(name))}, not {json.dumps(becomes.get(name))}; "
                "resume it with the same recipe, --set and --smoke, or start a new run"
            )


def _settings(recipe: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting of a recipe by its dotted name."""
    if isinstance(recipe, Mapping) and recipe:
        for key, value in recipe.items():
            yield from _settings(value, f"{name}.{key}" if name else key)
    else:
        yield name, recipe


def save_checkpoint(path: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    """Write the states of a run in one step, so that a killed run leaves the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    torch.save({"step": step} | {name: part.state_dict() for name, part in parts.items()}, partial)
    partial.replace(path)


def load_checkpoint(path: Path, parts: Mapping[str, Stateful]) -> int:
    """Put the states back; the step they were saved at. Raises UsageError when of another model, or damaged."""
    state = read_checkpoint(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UsageError(f"{path}: is of another model than the recipe's; start a new run") from error
    return int(state["step"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds. Raises UsageError when it cannot be read."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path}: is damaged or cut short; remove it to start the run again") from error
    return state
