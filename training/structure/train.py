"""A structure run, start to bundle: draw tiles, fit the decoder, learn the codes, calibrate the matcher, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from geoanchor.errors import UsageError
from geoanchor.protocols import RowVectors, Vectors
from models.bundle import WEIGHTS_NAME, bundle_folder, load_bundle, read_bundle
from models.coarse import coarse_cells
from models.codes import Codebooks, log_odds
from models.critic import Critic
from models.decoding import Decoder
from models.fusion import PREFIX as FUSION
from models.fusion import FusionScorer
from models.matcher import TERMS
from models.registration import MAP_FLOOR, PICTURE_FLOOR, sharpened
from models.structure import StructureNet
from models.weights import Weights
from training.checkpoint import require_checkpoint
from training.runlog import Log, silent
from training.structure.calibrate import (
    fit_calibration,
    fit_critic,
    fit_folds,
    held_out_logits,
    joined,
    judged_by_kind,
    learn_codebooks,
    make_clearings,
    make_examples,
)
from training.structure.coarse import learn_projections
from training.structure.export import export_structure
from training.structure.fit import CHECKPOINT, StructureSession
from training.structure.fusing import joint_pairs, joint_terms
from training.structure.grounds import held_out_sets, learned_grounds
from training.structure.pairs import read_pictures
from training.structure.recipe import StructureRecipe, load_structure_recipe
from training.structure.tiles import cache_folder, draw_structure
from training.structure.variants import Variants, make_variants


def train_structure(
    recipe: Path,
    run: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    smoke: bool = False,
    resume: bool = False,
    log: Log = silent,
) -> Path:
    """Train a structure recipe and export its base bundle with the decoder and matcher; the bundle's folder.

    Args and raises: as `training.loop.train`.
    """
    plan = load_structure_recipe(recipe, overrides, smoke)
    run = run or Path("runs") / (f"{plan.name}-structure-smoke" if smoke else f"{plan.name}-structure")
    require_checkpoint(run / CHECKPOINT, resume, plan)
    tiles = cache_folder(run, plan.data)
    draw_structure(plan.data, tiles, log, ("val",) if plan.decoder.keep else ("train", "val"))
    network = kept_decoder(plan) if plan.decoder.keep else _fitted(plan, tiles, run, resume, log)
    return export_structure(plan, network, learn_rest(plan, network, tiles, log), run / "bundle")


def _fitted(plan: StructureRecipe, tiles: Path, run: Path, resume: bool, log: Log) -> StructureNet:
    session = StructureSession(plan.decoder, plan.schedule, learned_grounds(plan.pairs, tiles), run)
    if resume:
        session.load()
    return session.fit(log)


def kept_decoder(plan: StructureRecipe) -> StructureNet:
    """The base's decoder, as it is. Raises UsageError when it has another shape or none."""
    network = StructureNet(plan.decoder.widths, plan.decoder.pyramid).eval()
    try:
        network.load_state_dict({n: torch.from_numpy(array) for n, array in _base_part(plan, "decoder").items()})
    except RuntimeError as error:
        raise UsageError(f"{plan.base}: holds no decoder of the recipe's shape to keep") from error
    return network


def _base_part(plan: StructureRecipe, part: str) -> Mapping[str, Vectors]:
    folder = bundle_folder(plan.base)
    return Weights(folder / WEIGHTS_NAME, read_bundle(folder).weights_sha256).read(part)


def learn_rest(
    plan: StructureRecipe, network: StructureNet, tiles: Path, log: Log
) -> dict[str, Mapping[str, RowVectors]]:
    """Everything that is learned once the decoder stands, by part of the bundle, on places that it never saw.

    With a kept decoder only critic and calibration: the base's codes and coarse vectors stay as they are.
    """
    seed, decoder = plan.schedule.seed, Decoder(network, plan.decoder.size_px)
    sets = held_out_sets(plan.pairs, tiles)
    log(f"calibrating on {', '.join(str(len(aerial)) for aerial, _ in sets)} held-out pictures")
    variants = make_variants(decoder, sets, np.random.default_rng(seed))
    books = Codebooks(_base_part(plan, "codes")) if plan.decoder.keep else learn_codebooks(variants, seed)
    examples = joined(make_examples(variants, books, seed), make_clearings(variants, books, seed))
    critics = fit_folds(examples, seed)
    held_out = held_out_logits(examples, critics)
    for name, value in judged_by_kind(examples, held_out).items():
        log(f"AUROC of held-out places, {name}: {value:.4f}")
    terms = _fused(plan, decoder, books, critics, log)
    if terms is None:
        # Without real pairs nothing tells what the other terms are worth: they get no say.
        alone = fit_calibration(held_out[:, None], examples.agree, examples.kind)
        terms = np.pad(alone, (0, len(TERMS) - 1))
    learned: dict[str, Mapping[str, RowVectors]] = {
        "critic": fit_critic(examples, seed),
        "calibration": {"terms": terms},
    }
    if not plan.decoder.keep:
        learned |= {"codes": books.arrays(), "coarse": _coarse(variants, books)}
    return learned


def _coarse(variants: Variants, books: Codebooks) -> dict[str, Vectors]:
    """Projections of maps and of pictures to coarse vectors."""
    maps = coarse_cells(sharpened(variants.shares(np.arange(len(variants))), MAP_FLOOR))
    odds = log_odds(variants.log_beliefs, books.prior)
    return learn_projections(maps, coarse_cells(sharpened(odds, PICTURE_FLOOR)))


def _fused(
    plan: StructureRecipe, decoder: Decoder, books: Codebooks, critics: list[Critic], log: Log
) -> Vectors | None:
    """The calibration of all terms, where the base has a discriminator and real pairs lie at hand."""
    arrays = _base_part(plan, FUSION)
    if not arrays or not plan.pairs.share or not plan.pairs.path.exists():
        return None
    _, aerial, maps = read_pictures(plan.pairs.path, "calibration")
    pairs = joint_pairs(maps, np.random.default_rng(plan.schedule.seed))
    terms = joint_terms(
        pairs, aerial, load_bundle(bundle_folder(plan.base)), FusionScorer(arrays), decoder, books, critics
    )
    fitted = fit_calibration(terms, pairs.agree, pairs.kind)
    log(f"bias and weights of {', '.join(TERMS)}: {', '.join(f'{value:.3f}' for value in fitted)}")
    return fitted
