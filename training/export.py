"""A trained model as a bundle folder: half-precision safetensors, bundle.json and a card."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import save_file

from geoanchor.protocols import RowVectors
from geoanchor.space import Modality
from models.bundle import CARD_NAME, MANIFEST_NAME, WEIGHTS_NAME, Branch, BundleManifest, SpaceSpec, read_bundle
from models.fusion import PREFIX, FusionScorer
from models.text import MINILM_SHA256, SentenceEncoder, file_sha256
from retrieval.calibration import FILE_NAME as RELEVANCE_NAME
from retrieval.calibration import read_calibration, write_calibration
from training.model import PairModel, branch_of
from training.recipe import Recipe

LIMITS = (
    "Learned from synthetic pictures only: the procedural city, and real OpenStreetMap geometry drawn with the same "
    "aerial look. Expect far lower figures on real imagery.",
    "Zoom 16 to 18 and middle latitudes; a tile of another ground size is out of what it saw.",
    "Text is English; words for things that the captions never name are guesses of the sentence encoder.",
)


def export(model: PairModel, recipe: Recipe, folder: Path, fusion: FusionScorer | None = None) -> Path:
    """Write the bundle in a fresh folder and rename it into place; what was at `folder` is replaced.

    A recipe that learns from no captions gives a bundle without text. Scales and biases of the losses are left out:
    they matter to training only. Quality is empty until `training.quality` measures it.
    """
    kept = {name: tensor for name, tensor in model.state_dict().items() if not _in_training_only(name)}
    if not recipe.weights.captions:
        kept = {name: tensor for name, tensor in kept.items() if not name.startswith("text.")}
    if fusion:
        kept |= {f"{PREFIX}.{name}": torch.from_numpy(array) for name, array in fusion.arrays().items()}
    tensors = {name: _half(tensor).numpy() for name, tensor in kept.items()}
    return write_bundle(folder, tensors, lambda sha256: describe(recipe, sha256))


def write_bundle(folder: Path, tensors: Mapping[str, RowVectors], described: Callable[[str], BundleManifest]) -> Path:
    """Write a bundle of tensors; see `replace_bundle`.

    Args:
        described: from the SHA-256 of the weights to the manifest.
    """

    def write(partial: Path) -> BundleManifest:
        return described(write_tensors(partial / WEIGHTS_NAME, tensors))

    return replace_bundle(folder, write)


def replace_bundle(folder: Path, write: Callable[[Path], BundleManifest]) -> Path:
    """Write a bundle in a fresh folder and rename it into place; what was at `folder` is replaced.

    Args:
        write: puts the weights into the fresh folder; the manifest.
    """
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_manifest(partial, write(partial))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def keep_relevance(base: Path, partial: Path, manifest: BundleManifest) -> None:
    """Give a new bundle its base's relevance; for a bundle that makes the same vectors of words and pictures, perhaps
    under another fingerprint."""
    calibration = read_calibration(base / RELEVANCE_NAME)
    names = {space.fingerprint: name for name, space in read_bundle(base).embedding_spaces().items()}
    if calibration and calibration.space in names:
        space = manifest.embedding_spaces()[names[calibration.space]].fingerprint
        write_calibration(partial / RELEVANCE_NAME, calibration.model_copy(update={"space": space}))


def write_tensors(path: Path, tensors: Mapping[str, RowVectors]) -> str:
    """Write a safetensors file that everyone may read; its SHA-256."""
    save_file(dict(tensors), path)
    path.chmod(0o644)  # safetensors writes for the owner alone
    return file_sha256(path)


def describe(recipe: Recipe, weights_sha256: str) -> BundleManifest:
    """The manifest of a freshly trained bundle."""
    picture = branch_of(recipe.towers)
    words = Branch(
        architecture="all-MiniLM-L6-v2",
        weights_sha256=MINILM_SHA256,
        tokeniser_sha256=SentenceEncoder().tokeniser_sha256,
    )
    data = recipe.data
    branches: dict[Modality, Branch] = {"aerial": picture, "map": picture}
    if recipe.weights.captions:
        branches["text"] = words
    extracts = ", ".join(data.osm_train)
    return BundleManifest(
        name=recipe.name,
        description=recipe.description,
        backend="towers",
        branches=branches,
        spaces={"semantic": SpaceSpec(dim=recipe.towers.dim, modalities=tuple(branches))},
        weights_sha256=weights_sha256,
        licence=recipe.licence,
        training_data=(
            f"procedural cities of the countries {', '.join(data.countries)}",
            *(["real pairs of aerial and map pictures"] if _real_pairs(recipe) else []),
            *(
                [f"OpenStreetMap extracts drawn as maps and with the city's aerial look: {extracts}"]
                if extracts
                else []
            ),
        ),
        attribution=("© OpenStreetMap contributors, ODbL",) if extracts else (),
        limits=_limits(recipe),
        seeds={
            "train": f"{data.train_seeds[0]}..{data.train_seeds[1]}",
            "validation": ", ".join((f"{data.val_seeds[0]}..{data.val_seeds[1]}", *data.osm_val)),
        },
        recipe=recipe.model_dump(mode="json", exclude={"data": {"osm_folder", "workers"}, "pairs": {"path"}}),
    )


def _real_pairs(recipe: Recipe) -> bool:
    """Whether real pairs were learned from: a recipe goes without where they are not at hand."""
    return recipe.pairs is not None and recipe.pairs.path.exists()


def _limits(recipe: Recipe) -> tuple[str, ...]:
    synthetic, ground, text = LIMITS
    return (*(() if _real_pairs(recipe) else (synthetic,)), ground, *((text,) if recipe.weights.captions else ()))


def write_manifest(folder: Path, manifest: BundleManifest) -> None:
    """Write bundle.json and the card that says the same in words."""
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
    (folder / CARD_NAME).write_text(card(manifest), "utf-8")


def card(manifest: BundleManifest) -> str:
    """The model card in Markdown."""
    parts = [f"# {manifest.name}", manifest.description, "## Branches", _table(manifest)]
    for title, lines in (
        ("Learned from", manifest.training_data),
        ("Attribution", manifest.attribution),
        ("Limits", manifest.limits),
        ("Seeds", tuple(f"{split}: {seeds}" for split, seeds in manifest.seeds.items())),
    ):
        if lines:
            parts += [f"## {title}", "\n".join(f"- {line}" for line in lines)]
    parts += ["## Quality", _quality(manifest.quality)]
    parts += ["## Licence", manifest.licence, "## Recipe", f"See `recipe` in {MANIFEST_NAME}."]
    return "\n\n".join(parts) + "\n"


def _table(manifest: BundleManifest) -> str:
    rows = [f"| {m} | {b.architecture} | {b.size_px or '-'} |" for m, b in manifest.branches.items()]
    return "\n".join(["| modality | architecture | side, px |", "| --- | --- | --- |", *rows])


def _quality(quality: dict[str, Any]) -> str:
    if not quality:
        return "Not measured."
    header = ["| task | R@1 | R@5 | R@10 |", "| --- | --- | --- | --- |"]
    rows = [
        f"| {task} | " + " | ".join(f"{figures[f'R@{k}']}" for k in (1, 5, 10)) + " |"
        for task, figures in quality["recall"].items()
    ]
    return "\n\n".join([quality["protocol"], "\n".join(header + rows), *quality.get("notes", ())])


def _in_training_only(name: str) -> bool:
    return "_scale." in name or name == "keyword_bias" or name.startswith("anchor_projection.")


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
