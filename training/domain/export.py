"""A network of a domain run as what `--model` takes: a bundle of small towers, or open_clip weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from models.bundle import WEIGHTS_NAME, Branch, BundleManifest, SpaceSpec
from models.text import MINILM_SHA256, SentenceEncoder
from models.tower_encoder import SPACE
from training.domain.network import MEAN, STD, ClipTowers, SmallTowers, TwoTowers
from training.domain.recipe import DomainRecipe
from training.export import write_bundle

LIMITS = (
    "An experiment's model: one country of pictures, moved to another. The shipped model is better at everything.",
)


def export_network(network: TwoTowers, recipe: DomainRecipe, folder: Path) -> Path:
    """Write a network at `folder`, what was there is replaced; the bundle, or the weights of open_clip."""
    if isinstance(network, ClipTowers):
        return _write_clip(network, folder)
    assert isinstance(network, SmallTowers)
    kept = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(("aerial.", "text."))}
    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous().numpy() for name, t in kept.items()}
    return write_bundle(folder, tensors, lambda sha256: _describe(recipe, sha256))


def model_name(recipe: DomainRecipe, made: Path) -> str:
    """What `--model` takes for the path that `export_network` gave."""
    return str(made) if recipe.network.kind == "mini" else f"clip:{recipe.network.architecture}/{made}"


def _write_clip(network: ClipTowers, folder: Path) -> Path:
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    state: dict[str, torch.Tensor] = network.clip.state_dict()
    save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, partial / WEIGHTS_NAME)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder / WEIGHTS_NAME


def _describe(recipe: DomainRecipe, weights_sha256: str) -> BundleManifest:
    shape = recipe.network
    words = SentenceEncoder()
    return BundleManifest(
        name=recipe.name,
        description=recipe.description,
        backend="towers",
        branches={
            "aerial": Branch(architecture=shape.architecture, size_px=shape.size_px, mean=MEAN, std=STD),
            "text": Branch(
                architecture="all-MiniLM-L6-v2",
                weights_sha256=MINILM_SHA256,
                tokeniser_sha256=words.tokeniser_sha256,
            ),
        },
        spaces={SPACE: SpaceSpec(dim=shape.dim, modalities=("aerial", "text"))},
        weights_sha256=weights_sha256,
        licence=recipe.licence,
        training_data=tuple(_told(recipe, name) for name in (recipe.source, recipe.target)),
        limits=LIMITS,
        recipe=recipe.model_dump(mode="json", include={"network", "segments", "pretraining", "adaptation"}),
    )


def _told(recipe: DomainRecipe, name: str) -> str:
    cities = recipe.grounds[name].cities
    told = "; ".join(f"cities {first} to {last} of country {c}" for c, (first, last) in cities.items())
    return f"{'source' if name == recipe.source else 'target'}: {told or name}"
