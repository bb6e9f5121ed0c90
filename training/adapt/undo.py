"""Takes an adaptation back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from geoanchor.count import counted
from geoanchor.errors import ModelNotFound, UsageError
from geoanchor.manifest import OWN_MODEL, Manifest, read_manifest
from geoanchor.protocols import RowVectors
from indexer.build import Finish
from indexer.store import IndexStore, Stores
from indexer.upkeep import Revision, revise
from retrieval.serving import Serving
from training.adapt.adapt import SPACES, aerial_vectors
from training.adapt.blocks import Blocks
from training.adapt.record import Adaptation, read_adaptation, read_former
from training.structure.base import Base


def undo(folder: Path, stores: Stores, finish: Finish, *, model: str | None = None) -> Adaptation:
    """Give an index its former vectors and model again, and delete its own bundle; what was taken back.

    Rows that came since, or have another picture now, are put into the former spaces from the pictures that are kept.

    Args:
        model: where the former model lies now; None takes the adaptation's word.

    Raises UsageError when the index was not adapted, IndexCorrupt when the former vectors are gone, SpaceMismatch when
    the former model is needed and is another now.
    """
    bundle = folder / OWN_MODEL
    if read_manifest(folder).model != OWN_MODEL:
        raise UsageError(f"{folder}: was not adapted, so there is nothing to undo")
    adaptation = read_adaptation(bundle)

    def plan(store: IndexStore, manifest: Manifest) -> Revision:
        former = {"model": adaptation.former_model, "spaces": adaptation.former_spaces}
        ids, vectors = _former(folder, store, manifest, adaptation, model)
        return Revision(ids, vectors, manifest.model_copy(update=former))

    revise(folder, stores, finish, plan)
    shutil.rmtree(bundle)
    return adaptation


def _former(
    folder: Path, store: IndexStore, manifest: Manifest, adaptation: Adaptation, model: str | None
) -> tuple[list[str], dict[str, RowVectors]]:
    """Ids and former vectors of all aerial rows."""
    known, kept = read_former(folder / OWN_MODEL)
    rows = store.columns(["id", "layer", "content_hash"]).to_pylist()
    found = [(row["id"], known.get((row["id"], row["content_hash"]))) for row in rows if row["layer"] == "aerial"]
    ids = [name for name, at in found if at is not None]
    vectors = {name: kept[name][[at for _, at in found if at is not None]] for name in SPACES}
    fresh = {name for name, at in found if at is None}
    if not fresh:
        return ids, vectors
    try:
        base = Base(model or adaptation.former_model)
    except ModelNotFound as error:
        if model:
            raise
        raise ModelNotFound(
            f"{folder}: {counted(len(fresh), 'picture', 'pictures')} came since it was adapted and "
            f"{'needs' if len(fresh) == 1 else 'need'} the model of before, {adaptation.former_model!r}, which is not "
            "there; say where it lies now with --model"
        ) from error
    for name, space in base.manifest.embedding_spaces().items():
        adaptation.former_spaces[name].require(space, where=str(folder))
    serving = Serving.open(folder, manifest)
    rows = np.array(sorted(row for name in fresh if (row := serving.row_of(name)) is not None), np.int64)
    done, made = aerial_vectors(base, serving, store, [base.decoder()], Blocks(0, 1, {}), rows)
    joined = {name: np.concatenate([vectors[name], made[name]]) for name in SPACES} if len(done) else vectors
    return ids + serving.rows.column("id").take(done).to_pylist(), joined
