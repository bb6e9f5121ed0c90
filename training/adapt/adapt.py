"""Continues an index's decoder on its own ground, cross-fitted, and keeps that where it is better.

A map that is out of date must not be learned by heart, or nothing would seem to have changed. So the ground is cut into
blocks and the blocks into folds; every aerial row gets its vectors from a decoder that learned from the other folds
alone. What is missing in every fold none of them would gainsay: where the maps together show nothing of a class,
nothing is learned of the places that seem to have it. Codebooks, projections and critic stay common, so that rows can
be compared. Pictures that come later get theirs from one more decoder, which learned from all the ground.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geoanchor.change import MAX_OFFSET
from geoanchor.errors import UsageError
from geoanchor.manifest import OWN_MODEL, Manifest, model_of
from geoanchor.protocols import RowIds, RowStore, RowVectors, Vectors
from geoanchor.settings import Settings
from geoanchor.tiling import cell_name
from indexer.build import Finish
from indexer.store import IndexStore, Stores
from indexer.upkeep import Revision, revise
from models.bundle import BundleManifest, bundle_folder, known_names, load_bundle, read_bundle
from models.coarse import COARSE
from models.decoding import Decoder
from models.matcher import CODES, TERMS
from models.structure import StructureNet
from retrieval.matching import RowMatcher
from retrieval.serving import Serving
from training.adapt.blocks import Blocks, split_blocks
from training.adapt.ground import OwnGround, pictures_of, read_ground
from training.adapt.learning import AdaptOptions, Advance, Judged, beliefs, continued, judge
from training.adapt.record import Adaptation, gain_of, write_former
from training.adapt.unshown import unshown, without
from training.runlog import Log
from training.structure.base import Base
from training.structure.export import decoder_arrays, export_parts

SPACES = (COARSE, CODES)
_AT_ONCE = 256


def adapt(
    folder: Path,
    stores: Stores,
    finish: Finish,
    options: AdaptOptions,
    *,
    model: str | None = None,
    settings: Settings | None = None,
    log: Log,
    advance: Advance,
) -> Adaptation:
    """Adapt an index to its own ground; what came of it, also where it was not kept and nothing was changed.

    Args:
        model: where the index's bundle lies now; None takes the manifest's word. advance: told of steps.

    Raises UsageError where there is nothing to learn from or an adaptation already, SpaceMismatch for another model,
    IndexLocked.
    """
    made: list[Adaptation] = []

    def plan(store: IndexStore, manifest: Manifest) -> Revision | None:
        revision, adaptation = _Adapting(
            folder, store, manifest, _base(folder, manifest, model), options, settings
        ).run(log, advance)
        made.append(adaptation)
        return revision

    revise(folder, stores, finish, plan)
    return made[0]


def aerial_vectors(
    base: Base, serving: Serving, store: RowStore, decoders: Sequence[Decoder], blocks: Blocks, rows: RowIds
) -> tuple[RowIds, dict[str, RowVectors]]:
    """New vectors of those aerial rows that have such and a kept picture, each by the decoder of its block's fold.

    Args:
        rows: sorted positions.
    Returns:
        (n,) rows in serving order, and their vectors (n, d) by space.
    """
    for name in SPACES:
        present = serving.present(name)
        rows = rows if present is None else np.intersect1d(rows, present, assume_unique=True)
    done: list[RowIds] = []
    made: list[dict[str, RowVectors]] = []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        kept = [(row, picture) for row, picture in zip(part, pictures_of(serving, store, part), strict=True)
                if picture is not None]  # fmt: skip
        if kept:
            done.append(np.array([row for row, _ in kept], np.int64))
            fold = blocks.of(serving.places.cells[done[-1]])
            made.append(base.encoder.placed(beliefs(decoders, fold, [picture for _, picture in kept])))
    if not made:
        return np.empty(0, np.int64), {}
    return np.concatenate(done), {name: np.concatenate([part[name] for part in made]) for name in SPACES}


def _base(folder: Path, manifest: Manifest, model: str | None) -> Base:
    """The bundle that the index was made with."""
    if manifest.model == OWN_MODEL:
        raise UsageError(f"{folder}: is adapted already; take that back first with `geoanchor adapt {folder} --undo`")
    if missing := [name for name in SPACES if name not in manifest.spaces]:
        reason = f"holds no space {missing[0]!r}, so it has no decoder to adapt; index it with a model that has one"
        raise UsageError(f"{folder}: {reason}")
    name = model or model_of(folder, manifest)
    if _without_decoder(name):
        raise UsageError(f"model {name!r} has no structure decoder to adapt; name a bundle that has one, like mini")
    base = Base(name)
    for name, space in base.manifest.embedding_spaces().items():
        manifest.spaces[name].require(space, where=str(folder))
    return base


def _without_decoder(name: str) -> bool:
    """Whether it is a name of a model that is no bundle: decoders lie in bundles alone."""
    known = {name.partition(":")[0] for name in known_names()}
    return name.partition(":")[0] in known and not bundle_folder(name).is_dir()


class _Adapting:
    def __init__(
        self,
        folder: Path,
        store: IndexStore,
        manifest: Manifest,
        base: Base,
        options: AdaptOptions,
        settings: Settings | None,
    ) -> None:
        self.folder, self.store, self.manifest, self.base, self.options = folder, store, manifest, base, options
        self.settings = settings
        self.serving = Serving.open(folder, manifest)
        self.ground = read_ground(self.serving, store, base.spec.size_px, options.seed)
        self.blocks = split_blocks(self.ground.cells, options.folds, str(folder))
        self.steps = options.steps_for(len(self.ground))

    def run(self, log: Log, advance: Advance) -> tuple[Revision | None, Adaptation]:
        """What the rows get, None where it is not better; and what there is to say of it."""
        start, ground, folds = time.perf_counter(), self.ground, self.blocks.folds
        log(f"{len(ground)} pairs in {len(self.blocks.fold)} blocks and {folds} folds, {self.steps} steps each")
        if ground.lost:
            log(f"{ground.lost} more are left out, since a picture of theirs is damaged or not kept")
        fold = self.blocks.of(ground.cells)
        pictures = list(ground.aerial)
        believed = self.base.decoder().log_beliefs(pictures)
        before = judge(self.base, ground, believed, self.options.seed)
        lessons = self._lessons(believed, log)
        networks = [self._network(n, lessons, np.flatnonzero(fold != n), advance) for n in range(folds)]
        decoders = [self.base.decoder(network) for network in networks]
        after = judge(self.base, ground, beliefs(decoders, fold, pictures), self.options.seed)
        adaptation = self._adaptation(before.auroc, after.auroc, after.error_over(before, self.options.seed))
        revision = None
        if adaptation.kept:
            last = self._network(folds, lessons, np.arange(len(ground)), advance)
            revision = self._revision(decoders, last, after)
        adaptation = adaptation.model_copy(update={"seconds": round(time.perf_counter() - start, 1)})
        if revision is not None:
            adaptation.write(self.folder / OWN_MODEL)
        return revision, adaptation

    def _lessons(self, log_beliefs: Vectors, log: Log) -> OwnGround:
        """The ground but for the places of what its maps show nothing of."""
        seen = log_beliefs.argmax(axis=-1)
        names = unshown(self.ground, seen)
        if names:
            listed = ", ".join(name.replace("_", " ") for name in names)
            log(f"the maps show next to nothing of {listed}; where the pictures seem to show it, nothing is learned")
        return without(self.ground, seen, names)

    def _network(self, number: int, lessons: OwnGround, rows: RowIds, advance: Advance) -> StructureNet:
        """The network of one fold, or the last one, of all pairs."""
        done, total, seed = number * self.steps, (self.blocks.folds + 1) * self.steps, 100 * self.options.seed + number
        return continued(self.base, lessons, rows, self.steps, seed, lambda step: advance(done + step, total))

    def _adaptation(self, before: dict[str, float], after: dict[str, float], error: float) -> Adaptation:
        return Adaptation(
            kept=gain_of(before, after) > error, error=error,
            former_model=self.manifest.model, former_spaces=self.manifest.spaces, pairs=len(self.ground),
            folds=self.blocks.folds, steps=self.steps, seed=self.options.seed, resolution=self.blocks.resolution,
            fold={cell_name(block): number for block, number in self.blocks.fold.items()},
            before=before, after=after, seconds=0.0,
        )  # fmt: skip

    def _revision(self, decoders: Sequence[Decoder], last: StructureNet, judged: Judged) -> Revision:
        """The index's own bundle, written beside the rows, and what the rows get."""
        aerials = self.serving.layers["aerial"]
        rows, vectors = aerial_vectors(self.base, self.serving, self.store, decoders, self.blocks, aerials)
        bundle = self.folder / OWN_MODEL
        parts = {"decoder": decoder_arrays(last), "calibration": {"terms": self._calibration(judged)}}
        export_parts(self.base.folder, parts, bundle, self._described, continued=True)
        ids = self.serving.rows.column("id").take(rows).to_pylist()
        write_former(bundle, self.store.fetch(ids, ["id", "content_hash", *(f"vector_{name}" for name in SPACES)]))
        model = {"model": OWN_MODEL, "spaces": read_bundle(bundle).embedding_spaces()}
        return Revision(ids, vectors, self.manifest.model_copy(update=model))

    def _calibration(self, judged: Judged) -> Vectors:
        """The structure's term as it is on held-out ground; the others speak as before, about their mean here."""
        terms = self.base.calibration.copy()
        terms[0], terms[1] = judged.line()
        parts = (
            RowMatcher(self.serving, load_bundle(self.base.folder, self.settings))
            .judge(self.ground.pairs, MAX_OFFSET)
            .parts
        )
        terms[0] -= sum(weight * parts[n].mean() for weight, n in zip(terms[2:], TERMS[1:], strict=True) if n in parts)
        return terms

    def _described(self, base: BundleManifest, sha256: str) -> BundleManifest:
        learned = f"structure: {len(self.ground)} pairs of one index's own ground, {self.steps} steps on top"
        how = {"folds": self.blocks.folds, "steps": self.steps, "seed": self.options.seed}
        return base.model_copy(
            update={
                "weights_sha256": sha256,
                "training_data": (*base.training_data, learned),
                "recipe": base.recipe | {"adapted": how},
            }
        )
