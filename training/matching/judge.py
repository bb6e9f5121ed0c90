"""How well a score tells matches from mismatches, kind by kind, and whether it would without seeing the ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors
from retrieval.metrics import auroc, best_threshold, f1_of
from training.matching.examples import Examples
from training.swaps import ALIKE, derangement

Score = Callable[[Vectors, Vectors], Vectors]
"""(n, d) aerial and (n, d) map vectors -> (n,), higher is more alike."""

SWAPS, EDITS = "swaps", "edits"
_SEED = 29


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Matches and mismatches of one kind: (n, d) vectors of both sides, and (n,) which of them match."""

    aerial: Vectors
    maps: Vectors
    positive: NDArray[np.bool_]

    def scores(self, score: Score) -> NDArray[np.float64]:
        """(n,) by a score."""
        return score(self.aerial, self.maps).astype(np.float64)

    def blind(self) -> Trial:
        """The same maps, each beside the picture of another place: nothing is left to tell a mismatch by."""
        order = derangement(np.random.default_rng(_SEED), len(self.aerial))
        return Trial(self.aerial[order], self.maps, self.positive)


def trials(examples: Examples) -> dict[str, Trial]:
    """ "swaps" of the pairs as found, "edits" of all kinds, and each kind of edit by its name.

    Pairs whose anchors agree in ten attributes are not called a mismatch. An edit's match is the very pair it is of. A
    kind without mismatches is left out.
    """
    plain = np.flatnonzero(examples.plain)
    partner = plain[derangement(np.random.default_rng(_SEED), len(plain))]
    fair = examples.agreement(plain, partner) < ALIKE
    aerial, maps = examples.aerial[0], examples.maps[0]
    found: dict[str, Trial] = {}
    if fair.any():
        found[SWAPS] = _trial(aerial[plain], maps[plain], aerial[plain[fair]], maps[partner[fair]])
    kinds = examples.edits.kind
    for kind in (EDITS, *sorted(set(kinds.tolist()))):
        own = np.flatnonzero((kinds == kind) | (kind == EDITS))
        if len(own):
            rows = examples.edits.row[own]
            found[kind] = _trial(aerial[rows], maps[rows], aerial[rows], examples.changed[0][own])
    return found


def judged(score: Score, tests: Mapping[str, Trial], held_out: Mapping[str, Trial]) -> dict[str, float]:
    """AUROC of each kind; F1 of matches and of mismatches over all, at the threshold that suits `held_out` best."""
    figures = {f"AUROC {kind}": auroc(trial.scores(score), trial.positive) for kind, trial in tests.items()}
    threshold = best_threshold(*_pooled(held_out, score))
    scores, positive = _pooled(tests, score)
    figures["F1 match"] = f1_of(scores >= threshold, positive)
    figures["F1 mismatch"] = f1_of(scores < threshold, ~positive)
    if EDITS in tests:
        blind = tests[EDITS].blind()
        figures["AUROC edits, blind"] = auroc(blind.scores(score), blind.positive)
    return {name: round(value, 4) for name, value in figures.items()}


def cosine(aerial: Vectors, maps: Vectors) -> Vectors:
    """The score that needs no second stage."""
    return np.asarray(np.einsum("nd,nd->n", aerial, maps))


def _pooled(side: Mapping[str, Trial], score: Score) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    own = [side[kind] for kind in (SWAPS, EDITS) if kind in side]
    return np.concatenate([t.scores(score) for t in own]), np.concatenate([t.positive for t in own])


def _trial(aerial: Vectors, maps: Vectors, wrong_aerial: Vectors, wrong_maps: Vectors) -> Trial:
    positive = np.arange(len(aerial) + len(wrong_aerial)) < len(aerial)
    return Trial(np.concatenate([aerial, wrong_aerial]), np.concatenate([maps, wrong_maps]), positive)
