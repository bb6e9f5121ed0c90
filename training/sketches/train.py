"""A run of sketches, start to bundle: draw tiles, look at them, fit, weigh, export."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import SKETCHES_NAME, WEIGHTS_NAME, BundleManifest, SketchSpec, sha256_of
from models.sketches import Sketches
from training.checkpoint import require_checkpoint
from training.export import keep_relevance, replace_bundle, write_tensors
from training.runlog import Log, silent
from training.sketches.batches import Batches
from training.sketches.fit import CHECKPOINT, SketchSession
from training.sketches.judge import HeldOut
from training.sketches.recipe import SketchRecipe, load_sketch_recipe
from training.sketches.views import Views
from training.structure.base import Base
from training.structure.batches import Ground
from training.structure.grounds import held_out_sets, learned_grounds
from training.structure.tiles import cache_folder, draw_structure

_PATHS: Any = {"base": True, "name": True, "data": {"osm_folder", "workers"}, "pairs": {"path"}}
"""What a recipe says of one machine only."""


def train_sketches(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    log: Log = silent,
) -> Path:
    """Train sketches by a recipe and export its base bundle with them; the bundle's folder.

    Args and raises: as `training.loop.train`; UsageError for a base without a decoder too.
    """
    plan = load_sketch_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-sketches-smoke" if smoke else f"{plan.name}-sketches")
    require_checkpoint(run / CHECKPOINT, resume, plan)
    base, tiles = Base(plan.base), cache_folder(run, plan.data)
    draw_structure(plan.data, tiles, log)
    decoder, prior, seed = base.decoder(), base.encoder.books.prior, plan.schedule.seed
    grounds = [ground for ground in learned_grounds(plan.pairs, tiles) if ground.share]
    views = [
        Views(ground, decoder, _views_folder(run, plan, base, ground), plan.sketch.views, seed, log)
        for ground in grounds
    ]
    batches = Batches(views, prior, plan.schedule)
    held_out = HeldOut(*held_out_sets(plan.pairs, tiles)[0], decoder, prior, seed)
    log(f"within 1 % by the classes alone: {100 * held_out.within(None):.2f} % of held-out shifts")
    session = SketchSession(base.spec.pyramid, plan.sketch, plan.schedule, batches, held_out, run)
    if resume:
        session.load()
    sketches, share = held_out.weighed(session.fit(log))
    log(f"within 1 % with {share} of the learned weight: {100 * held_out.within(sketches):.2f} %")
    return export_sketches(plan, base, sketches, run / "bundle")


def _views_folder(run: Path, plan: SketchRecipe, base: Base, ground: Ground) -> Path:
    """Where a ground's views are kept; other pictures, windows or another decoder get another folder."""
    pictures = hashlib.sha256(ground.aerial.tobytes()).hexdigest()
    facts = [pictures, base.manifest.weights_sha256, plan.sketch.views, plan.schedule.seed]
    return run / f"views-{sha256_of(facts)[:8]}"


def export_sketches(plan: SketchRecipe, base: Base, sketches: Sketches, folder: Path) -> Path:
    """Write the base bundle with these sketches, in a fresh folder that is renamed into place.

    The base's own weights are copied byte for byte, so that the fingerprints of its spaces stay.
    """

    def write(partial: Path) -> BundleManifest:
        shutil.copyfile(base.folder / WEIGHTS_NAME, partial / WEIGHTS_NAME)
        state = sketches.state_dict().items()
        arrays = {f"sketches.{name}": np.asarray(tensor.half().numpy(), order="C") for name, tensor in state}
        made = describe(plan, base.manifest, write_tensors(partial / SKETCHES_NAME, arrays))
        keep_relevance(base.folder, partial, made)
        return made

    return replace_bundle(folder, write)


def describe(plan: SketchRecipe, base: BundleManifest, weights_sha256: str) -> BundleManifest:
    """The base's manifest with sketches and what they were learned from."""
    countries, extracts = ", ".join(plan.data.countries), ", ".join(plan.data.osm_train) or "none"
    learned = [
        f"shifts: procedural cities of the countries {countries} and the extracts {extracts}, drawn as in the base"
    ]
    if plan.pairs.share:
        learned.append("shifts: real aerial and map pairs of the New York area (research use; only weights ship)")
    earlier = tuple(line for line in base.training_data if not line.startswith("shifts: "))
    return base.model_copy(
        update={
            "sketches": SketchSpec(
                channels=plan.sketch.channels, width=plan.sketch.width, weights_sha256=weights_sha256
            ),
            "training_data": (*earlier, *learned),
            "recipe": base.recipe | {"sketches": plan.model_dump(mode="json", exclude=_PATHS)},
        }
    )
