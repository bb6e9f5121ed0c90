"""Two small domains of captioned pictures on disk: coloured halves, the second in another light."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.domain.recipe import DomainRecipe

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220), "white": (240, 240, 240)}


def write_domain(folder: Path, name: str, count: int = 60, light: float = 1.0) -> dict[str, str]:
    """The table of a ground whose pictures and captions lie at `folder`/`name`."""
    (folder / name).mkdir(parents=True)
    rng, listed = np.random.default_rng(len(name)), []
    for number in range(count):
        left, right = (list(COLOURS)[int(i)] for i in rng.choice(len(COLOURS), 2, replace=False))
        pixels = np.empty((32, 32, 3))
        pixels[:, :16], pixels[:, 16:] = COLOURS[left], COLOURS[right]
        seen = np.clip(light * pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
        file = f"{name}-{number}.png"
        Image.fromarray(seen).save(folder / name / file)
        listed.append({"image": file, "captions": [f"a {left} and a {right} field", f"{left} beside {right}"]})
    (folder / f"{name}.json").write_text(json.dumps(listed))
    return {"images": str(folder / name), "captions": str(folder / f"{name}.json")}


def domain_tree(folder: Path, **tables: dict[str, Any]) -> dict[str, Any]:
    """A recipe over two such domains, "day" and "dusk", as its tables; `tables` are laid over them."""
    tree: dict[str, Any] = {
        "name": "fields", "description": "Fields.", "licence": "CC0-1.0", "source": "day", "target": "dusk",
        "transfers": [["day", "dusk"]], "cache_px": 32,
        "grounds": {"day": write_domain(folder, "day"), "dusk": write_domain(folder, "dusk", light=0.5)},
        "network": {"size_px": 32, "dim": 16, "hidden": 16},
        "pretraining": {"steps": 20, "batch": 16, "learning_rate": 3e-3, "warmup": 1, "log_every": 2},
        "adaptation": {"epochs": 2, "batch": 4, "learning_rate": 1e-3},
    }  # fmt: skip
    return tree | {name: tree.get(name, {}) | own for name, own in tables.items()}


def domain_recipe(folder: Path, **tables: dict[str, Any]) -> DomainRecipe:
    """The same, checked."""
    return DomainRecipe.model_validate(domain_tree(folder, **tables))


def write_recipe(folder: Path, **tables: dict[str, Any]) -> Path:
    """The same as a TOML file."""
    path = folder / "fields.toml"
    path.write_text(_toml(domain_tree(folder, **tables)))
    return path


def _toml(tree: dict[str, Any]) -> str:
    plain = [f"{key} = {json.dumps(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    tables = [f"{key} = {_inline(value)}" for key, value in tree.items() if isinstance(value, dict)]
    return "\n".join([*plain, *tables])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(own)}" for key, own in value.items()) + "}"
    return json.dumps(value)
