"""A base bundle with the towers, words and matcher of a scenes run in place of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geoanchor.protocols import RowVectors
from models.bundle import BundleManifest, SpaceSpec, bundle_folder
from models.fusion import PREFIX as FUSION
from models.fusion import FusionScorer
from models.tower_encoder import SPACE
from training.model import branch_of
from training.scenes.maps import MapModel
from training.scenes.model import SceneModel
from training.scenes.recipe import ScenesRecipe, aerial_branch
from training.structure.export import export_parts

LIMITS = (
    "Aerial pictures of about 0.3 to 8 m a pixel that show 100 to 600 m of ground; of other scales it saw little.",
    "Text is English; words for things that the captions never name are guesses of the sentence encoder.",
    "The real captions repeat themselves (a quarter are distinct), so fine differences of one kind of scene are weak.",
)
_PATHS: Any = {
    "base": True, "start": True, "data": {"osm_folder", "workers"}, "pairs": {"path"},
    "scenes": {"pictures", "captions"},
}  # fmt: skip
"""What a recipe says of one machine only."""


def export_scenes(recipe: ScenesRecipe, model: SceneModel, maps: MapModel, fusion: FusionScorer, folder: Path) -> Path:
    """Write the bundle in a fresh folder and rename it into place; heads and scales of the losses are left out."""
    parts: Mapping[str, Mapping[str, RowVectors]] = {
        "aerial": {name: tensor.numpy() for name, tensor in model.aerial.state_dict().items()},
        "map": {name: tensor.numpy() for name, tensor in maps.map.state_dict().items()},
        "text": {name: tensor.numpy() for name, tensor in model.text.state_dict().items()},
        FUSION: fusion.arrays(),
    }
    return export_parts(bundle_folder(recipe.base), parts, folder, lambda base, sha256: describe(recipe, base, sha256))


def describe(recipe: ScenesRecipe, base: BundleManifest, weights_sha256: str) -> BundleManifest:
    """The base's manifest with the new branches and what they were learned from."""
    data, structure = recipe.data, base.recipe.get("structure")
    learned = (
        f"procedural cities of the countries {', '.join(data.countries)}",
        f"OpenStreetMap extracts drawn as maps and with the city's aerial look: {', '.join(data.osm_train)}",
        "RSICD: nine tenths, by hash, of the training and validation pictures with a scene class, five captions each "
        "(research use; only weights ship)",
        *(["map tower: real aerial and map pairs of the New York area (research use; only weights ship)"]
          if recipe.pairs else []),
    )  # fmt: skip
    kept = tuple(line for line in base.training_data if line.startswith("structure: "))
    own = recipe.model_dump(mode="json", exclude=_PATHS)
    branches = base.branches | {"aerial": aerial_branch(recipe), "map": branch_of(recipe.map_tower)}
    return base.model_copy(
        update={
            "name": recipe.name,
            "description": recipe.description,
            "licence": recipe.licence,
            "branches": branches,
            "spaces": base.spaces | {SPACE: SpaceSpec(dim=recipe.towers.dim, modalities=("aerial", "map", "text"))},
            "weights_sha256": weights_sha256,
            "training_data": (*learned, *kept),
            "limits": LIMITS,
            "quality": {},
            "seeds": {
                "train": f"{data.train_seeds[0]}..{data.train_seeds[1]}",
                "validation": ", ".join((f"{data.val_seeds[0]}..{data.val_seeds[1]}", *data.osm_val)),
            },
            "recipe": own | ({"structure": structure} if structure else {}),
        }
    )
