"""What others have published, and our own figures as a row beside it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from geoanchor.errors import UsageError, reason_of
from models.bundle import MANIFEST_NAME, SHIPPED, read_bundle

_FILE = Path(__file__).with_name("published.toml")
_KS = ("R@1", "R@5", "R@10")
_WORDS = ("name", "trained_on", "image_weights", "source", "doubt")


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one model on one data set, percent.

    Attributes:
        to_text, to_image: recall@1, 5, 10, shorter where a source prints fewer.
        mean: of the six; interval: of the mean, 95 % bootstrap, where it was measured here.
        trained_on: pairs that it learned from; image_weights: what its picture network had learned before.
        gallery: what was searched; doubt: why to read it with care, or "".
        ours: whether it was measured here.
    """

    name: str
    to_text: tuple[float, ...]
    to_image: tuple[float, ...]
    mean: float
    trained_on: str
    image_weights: str
    source: str
    doubt: str = ""
    gallery: str = "official test half"
    interval: tuple[float, float] | None = None
    ours: bool = False


def datasets() -> list[str]:
    """Names of the data sets that there are figures of."""
    return sorted({name for model in _published()["models"] for name in model if name not in _WORDS})


def published(dataset: str) -> list[Row]:
    """Published rows of a data set ("rsicd", "rsitmd", ...), as they stand in published.toml.

    Raises UsageError for an unknown one.
    """
    if dataset not in datasets():
        raise UsageError(f"no published figures of {dataset!r}; there are some of: {', '.join(datasets())}")
    return [_row(model, model[dataset]) for model in _published()["models"] if dataset in model]


def other_protocol(dataset: str) -> list[tuple[str, float, float, str]]:
    """(name, mean image to text, mean text to image, source) under another averaging, which compare with themselves."""
    return [
        (f"{model['name']}, {model['trained_on']}", *model[dataset], model["source"])
        for model in _published()["other_protocol"]
        if dataset in model
    ]


def read_result(path: Path) -> dict[str, Any]:
    """A result that was printed as JSON. Raises UsageError when the file holds none."""
    try:
        result = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a result of `geoanchor evaluate` ({reason_of(error)})") from error
    if not isinstance(result, dict):
        raise UsageError(f"{path}: not a result of `geoanchor evaluate retrieval --json`")
    return result


def measured(result: Mapping[str, Any], dataset: str, where: str) -> Row:
    """The row of a result of `training.evaluate.evaluate_retrieval`; UsageError, naming `where`, when it is none."""
    try:
        to_text, to_image = (tuple(float(result[way][k]) for k in _KS) for way in ("image_to_text", "text_to_image"))
        return Row(
            name=str(result["model"]),
            to_text=to_text,
            to_image=to_image,
            mean=float(result["mean_recall"]),
            trained_on=_learned_from(result["trained_on"], dataset),
            image_weights=str(result["image_weights"]),
            source="measured here",
            gallery=f"{result['images']} images, {result.get('split') or 'all of the file'}",
            interval=(float(result["intervals"]["mean_recall"][0]), float(result["intervals"]["mean_recall"][1])),
            ours=True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: is no result of `geoanchor evaluate retrieval --json` ({error})") from error


def provenance(model: str) -> dict[str, Any]:
    """{"trained_on": what a model learned from, None where nothing says so; "image_weights": what its picture network
    began with}."""
    folder = next((own for own in (SHIPPED / model, Path(model)) if (own / MANIFEST_NAME).is_file()), None)
    if folder is None:
        known = (learned for start, learned in _published()["learned_from"].items() if model.startswith(start))
        return {"trained_on": next(known, None), "image_weights": "its publisher's"}
    manifest = read_bundle(folder)
    begun = manifest.recipe.get("towers", {}).get("pretrained", False)
    return {"trained_on": list(manifest.training_data), "image_weights": "ImageNet" if begun else "none, from scratch"}


def _learned_from(trained_on: Sequence[str] | None, dataset: str) -> str:
    if trained_on is None:
        return "not known"
    # UrbanCross's own sets have names of their own here.
    known = dataset.removeprefix("uc-") in " ".join(trained_on).lower()
    return f"{dataset.upper()} and more" if known else f"no {dataset.upper()} (zero-shot)"


def _row(model: Mapping[str, Any], figures: Mapping[str, Any]) -> Row:
    words = {name: model[name] for name in _WORDS if name in model}
    return Row(to_text=tuple(figures["to_text"]), to_image=tuple(figures["to_image"]), mean=figures["mean"], **words)


@cache
def _published() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))
