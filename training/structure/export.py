"""A base bundle with structure added: decoder, codes, coarse vectors, critic and calibration."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from geoanchor.protocols import RowVectors
from models.bundle import (
    SKETCHES_NAME,
    WEIGHTS_NAME,
    BundleManifest,
    SpaceSpec,
    StructureSpec,
    bundle_folder,
    read_bundle,
)
from models.coarse import COARSE
from models.codes import CELLS
from models.matcher import CODES
from models.structure import StructureNet
from training.export import keep_relevance, replace_bundle, write_tensors
from training.structure.coarse import DIM
from training.structure.recipe import StructureRecipe

_PATHS: Any = {"base": True, "data": {"osm_folder", "workers"}, "pairs": {"path"}}
"""What a recipe says of one machine only."""


def export_structure(
    recipe: StructureRecipe, network: StructureNet, arrays: Mapping[str, Mapping[str, RowVectors]], folder: Path
) -> Path:
    """Write the base bundle with the run's parts in place of its own, in a fresh folder that is renamed into place.

    Args:
        arrays: by part and name, all that the run made but the decoder.
    """
    parts = dict(arrays) if recipe.decoder.keep else {"decoder": decoder_arrays(network), **arrays}
    return export_parts(bundle_folder(recipe.base), parts, folder, lambda base, sha256: describe(recipe, base, sha256))


def export_parts(
    base: Path,
    parts: Mapping[str, Mapping[str, RowVectors]],
    folder: Path,
    described: Callable[[BundleManifest, str], BundleManifest],
    *,
    continued: bool = False,
) -> Path:
    """Write a bundle with other tensors for some of its parts, in a fresh folder that is renamed into place.

    Sketches are drawn of one decoder's features: another decoder goes without. Relevance belongs to the towers.

    Args:
        described: from the base's manifest and the SHA-256 of the weights to the new manifest.
        continued: a decoder among the parts is the base's own, moved so little that its sketches still suit it.
    """
    manifest, tensors = read_bundle(base), load_file(base / WEIGHTS_NAME)
    if "decoder" in parts and not continued:
        manifest = _without_sketches(manifest)
    kept = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] not in parts}
    for part, own in parts.items():
        kept |= {f"{part}.{name}": _half(array, part) for name, array in own.items()}

    def write(partial: Path) -> BundleManifest:
        if manifest.sketches:
            shutil.copyfile(base / SKETCHES_NAME, partial / SKETCHES_NAME)
        made = described(manifest, write_tensors(partial / WEIGHTS_NAME, kept))
        if not manifest.branches.keys() & parts.keys():
            keep_relevance(base, partial, made)
        return made

    return replace_bundle(folder, write)


def _without_sketches(manifest: BundleManifest) -> BundleManifest:
    return manifest.model_copy(
        update={
            "sketches": None,
            "training_data": tuple(line for line in manifest.training_data if not line.startswith("shifts: ")),
            "recipe": {part: plan for part, plan in manifest.recipe.items() if part != "sketches"},
        }
    )


def describe(recipe: StructureRecipe, base: BundleManifest, weights_sha256: str) -> BundleManifest:
    """The base's manifest with the spaces of structure and what they were learned from."""
    decoder = recipe.decoder
    both: dict[str, SpaceSpec] = {
        COARSE: SpaceSpec(dim=DIM, metric="inner_product", modalities=("aerial", "map")),
        CODES: SpaceSpec(dim=CELLS**2, metric="codes", number="uint8", modalities=("aerial", "map")),
    }
    data = recipe.data
    learned = [
        f"structure: procedural cities of the countries {', '.join(data.countries)} and the extracts "
        f"{', '.join(data.osm_train) or 'none'}, drawn as in the base",
    ]
    if recipe.pairs.share and recipe.pairs.path.exists():
        learned.append("structure: real aerial and map pairs of the New York area (research use; only weights ship)")
    earlier = tuple(line for line in base.training_data if not line.startswith("structure: "))
    return base.model_copy(
        update={
            "spaces": base.spaces | both,
            "structure": StructureSpec(widths=decoder.widths, pyramid=decoder.pyramid, size_px=decoder.size_px),
            "weights_sha256": weights_sha256,
            "training_data": (*earlier, *learned),
            "recipe": base.recipe | {"structure": recipe.model_dump(mode="json", exclude=_PATHS)},
        }
    )


def decoder_arrays(network: StructureNet) -> dict[str, RowVectors]:
    """A decoder's tensors by name, as a bundle keeps them."""
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


_SMALL = ("codes", "critic", "calibration")
"""Parts that are kept at full precision."""


def _half(array: RowVectors, part: str) -> RowVectors:
    """The large parts at half precision."""
    large = part not in _SMALL and array.dtype.kind == "f"
    return np.ascontiguousarray(array.astype(np.float16) if large else array)
