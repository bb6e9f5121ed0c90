"""Composition root of adapting: joins the index's store and serving files with what learns from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.modelname import model_named_by
from retrieval.snapshot import derive_serving

if TYPE_CHECKING:
    from geoanchor.settings import Settings
    from training.adapt.record import Adaptation


def adapt(
    folder: str | Path,
    *,
    folds: int = 4,
    steps: int | None = None,
    seed: int = 0,
    model: str | None = None,
    settings: Settings | None = None,
    log: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Adaptation:
    """Learn from an index's own co-located maps and imagery; kept, with before and after, only where it is better.

    Args:
        folds: parts of the ground, each seen by a decoder of the others. steps: of each decoder, None for one a pair
            within bounds. model: where the index's bundle lies now.

    Raises a GeoAnchorError in one sentence.
    """
    from retrieval.index.lance import LanceStore
    from training.adapt.adapt import adapt as adapt_index
    from training.adapt.learning import AdaptOptions

    options = AdaptOptions(folds, steps or 0, seed)
    with model_named_by(folder, model):
        return adapt_index(
            Path(folder), LanceStore, derive_serving, options, model=model, settings=settings, log=log, advance=progress
        )


def undo(folder: str | Path, *, model: str | None = None) -> Adaptation:
    """Give an adapted index its former vectors and model again; what was taken back.

    Args:
        model: where the former bundle lies now.

    Raises a GeoAnchorError in one sentence.
    """
    from retrieval.index.lance import LanceStore
    from training.adapt.undo import undo as undo_index

    return undo_index(Path(folder), LanceStore, derive_serving, model=model)
