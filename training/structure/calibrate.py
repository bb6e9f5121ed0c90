"""From a decoder to a matcher: codebooks, the critic and the calibration, on places that the decoder never saw."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from geoanchor.change import MAX_OFFSET
from geoanchor.image import Layer
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES, shares
from models.codes import CELLS, CODES, Codebooks, code_weights, log_odds
from models.critic import Critic, feature_count, features
from models.matcher import StructureMatcher
from retrieval import metrics
from training.logistic import logistic_curve
from training.structure.clearings import clearing, laid, openness
from training.structure.negatives import KINDS, wrong_map
from training.structure.variants import Variants

_LEAST_PRIOR = 0.002
"""A class that hardly occurs must not speak the louder for it."""
_CELLS_SHOWN = 60_000
"""Cells that a codebook is made of."""
RIGHT = ("same", "bare")
"""Kinds of pairs that agree."""
_ROUNDS = 3
"""Wrong maps of each kind made of each frame."""
_RIDGE = 2e-4
_HIDDEN = 32
_MEMBERS = 4
"""Critics that are fitted from other beginnings and averaged: one by itself is a matter of luck."""
FOLDS = 4
_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pairs to learn from: features (n, f), agree (n,) bool, place (n,) of the aerial picture, kind of the pair."""

    features: Vectors
    agree: NDArray[np.bool_]
    place: NDArray[np.int64]
    kind: NDArray[np.str_]


def learn_codebooks(variants: Variants, seed: int) -> Codebooks:
    """The prior and, by k-means over their cells, the codes of held-out maps and pictures."""
    rng = np.random.default_rng(seed)
    maps = variants.shares(np.arange(len(variants)))
    prior = np.maximum(maps.mean(axis=(0, 1, 2)), _LEAST_PRIOR)
    odds = log_odds(variants.log_beliefs, prior)
    books: dict[str, Vectors] = {"prior": prior}
    tables: tuple[tuple[Layer, Vectors], ...] = (("map", maps), ("aerial", odds))
    for layer, table in tables:
        weights = code_weights(prior, layer)
        books[layer] = _centres(table * weights, rng) / weights
    return Codebooks(books)


def _centres(grids: Vectors, rng: np.random.Generator) -> Vectors:
    cells = grids.reshape(-1, len(CLASSES))
    shown = cells[rng.choice(len(cells), min(_CELLS_SHOWN, len(cells)), replace=False)]
    # Pure cells are the commonest by far; the rare mixtures need codes too.
    distinct = np.unique(shown.round(2), axis=0)
    both = np.concatenate([shown[: len(shown) // 2], distinct[rng.permutation(len(distinct))[: len(shown) // 2]]])
    with warnings.catch_warnings():
        # A code that no cell is nearest to keeps its place and does no harm.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        centres, _ = kmeans2(both.astype(np.float64), CODES, iter=25, minit="points", rng=rng)
    return np.asarray(centres, np.float32)


def make_examples(variants: Variants, books: Codebooks, seed: int) -> Examples:
    """Every frame with its own map, jittered, and with wrong maps of every kind."""
    rng, aerials = np.random.default_rng(seed), _pictures(variants, books)
    made = []
    for row in range(len(variants)):
        for kind in KINDS:
            for _ in range(_ROUNDS if kind != "same" else 2 * _ROUNDS):
                drawn = wrong_map(kind, row, variants, rng)
                if drawn is not None:
                    made.append(_Example(row, kind, drawn, aerials[row]))
    return _examples(made, variants, books)


def make_clearings(variants: Variants, books: Codebooks, seed: int) -> Examples:
    """Maps that lack a part, each beside a picture that is bare there and one that is not."""
    rng, aerials, land = np.random.default_rng(seed), _pictures(variants, books), openness(variants)
    made = []
    for row in np.repeat(np.arange(len(variants)), _ROUNDS).tolist():
        if found := clearing(row, variants, land, rng):
            made.append(_Example(row, "bare", found.drawn, laid(aerials, row, found.part, found.bare)))
            made.append(_Example(row, "clear", found.drawn, laid(aerials, row, found.part, found.built)))
    return _examples(made, variants, books)


def joined(first: Examples, second: Examples) -> Examples:
    """Both, one after the other."""
    names = [field.name for field in fields(Examples)]
    return Examples(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


class _Example(NamedTuple):
    """A map (size, size) beside the codes (CELLS, CELLS) of a picture, or of parts of two."""

    row: int
    kind: str
    drawn: NDArray[np.uint8]
    picture: NDArray[np.uint8]


def _pictures(variants: Variants, books: Codebooks) -> NDArray[np.uint8]:
    """Codes (n, CELLS, CELLS) of the frames."""
    return books.encode(log_odds(variants.log_beliefs, books.prior), "aerial").reshape(-1, CELLS, CELLS)


def _examples(made: Sequence[_Example], variants: Variants, books: Codebooks) -> Examples:
    matcher = StructureMatcher(books, _no_critic(), None, np.array([0.0, 1.0], np.float32))
    found = [np.zeros((0, feature_count()), np.float32)]
    for start in range(0, len(made), _AT_ONCE):
        part = made[start : start + _AT_ONCE]
        maps = books.encode(np.stack([shares(example.drawn, CELLS) for example in part]), "map")
        pictures = np.stack([example.picture.ravel() for example in part])
        evidence, _ = matcher.evidence(maps, pictures, MAX_OFFSET, np.zeros((len(part), 2), np.float32))
        found.append(features(evidence, books.prior))
    kinds = np.array([example.kind for example in made], np.str_)
    places = np.array([variants.place[example.row] for example in made], np.int64)
    return Examples(np.concatenate(found), np.isin(kinds, RIGHT), places, kinds)


def fit_critic(examples: Examples, seed: int) -> dict[str, Vectors]:
    """The arrays of a critic that learned from all examples."""
    return _fitted(examples, np.ones(len(examples.place), bool), seed)


def fit_folds(examples: Examples, seed: int) -> list[Critic]:
    """Critics of which number `place % FOLDS` never saw a place."""
    fold = examples.place % FOLDS
    return [Critic(_fitted(examples, fold != number, seed)) for number in range(FOLDS)]


def held_out_logits(examples: Examples, critics: Sequence[Critic]) -> Vectors:
    """(n,) what the critic that never saw an example's place says of it."""
    logits = np.zeros(len(examples.agree), np.float32)
    for number, critic in enumerate(critics):
        rows = examples.place % len(critics) == number
        logits[rows] = critic(examples.features[rows])
    return logits


def judged_by_kind(examples: Examples, logits: Vectors) -> dict[str, float]:
    """AUROC of right maps against each kind of wrong ones."""
    right = logits[examples.agree]
    found: dict[str, float] = {}
    for kind in [*KINDS[1:], "clear"]:
        wrong = logits[examples.kind == kind]
        if len(wrong) and len(right):
            scores = np.concatenate([right, wrong]).astype(np.float64)
            found[kind] = metrics.auroc(scores, np.arange(len(scores)) < len(right))
    return found


def fit_calibration(terms: Vectors, agree: NDArray[np.bool_], kind: NDArray[np.str_]) -> Vectors:
    """Bias and weights (1 + t,) of a logistic regression on terms (n, t) of held-out places (Platt 1999).

    Every term says how well a pair agrees, so one with a weight below 0 tells noise, and gets no say.

    Args:
        agree, kind: (n,) as in `Examples`.
    """
    fitted = logistic_curve(terms, agree, _RIDGE, balanced(kind)).astype(np.float32)
    heard = fitted[1:] >= 0
    if heard.all() or not heard.any():
        return fitted
    again = np.zeros_like(fitted)
    again[np.concatenate([[True], heard])] = fit_calibration(terms[:, heard], agree, kind)
    return again


def _fitted(examples: Examples, rows: NDArray[np.bool_], seed: int) -> dict[str, Vectors]:
    x, y = examples.features[rows], examples.agree[rows].astype(np.float32)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    inputs, wanted = torch.from_numpy(np.clip((x - mean) / scale, -5, 5)), torch.from_numpy(y)
    members = [_member(inputs, wanted, examples.kind[rows], seed * _MEMBERS + number) for number in range(_MEMBERS)]
    layers = {name: [member[name] for member in members] for name in members[0]}
    return {
        "mean": mean,
        "scale": scale,
        "inner.weight": np.concatenate(layers["inner.weight"]),
        "inner.bias": np.concatenate(layers["inner.bias"]),
        "outer.weight": np.concatenate(layers["outer.weight"], axis=1) / _MEMBERS,
        "outer.bias": np.mean(layers["outer.bias"], axis=0),
    }


def _member(inputs: Tensor, wanted: Tensor, kinds: NDArray[np.str_], seed: int) -> dict[str, Vectors]:
    """The layers of one critic, from standardised features (n, f) and 1 or 0 (n,)."""
    torch.manual_seed(seed)
    inner, outer = nn.Linear(inputs.shape[1], _HIDDEN), nn.Linear(_HIDDEN, 1)
    optimiser = torch.optim.AdamW([*inner.parameters(), *outer.parameters()], lr=3e-3, weight_decay=0.05)
    weight = torch.from_numpy(balanced(kinds))
    for step in range(600):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - step / 600)
        logits = outer(torch.relu(inner(inputs)))[:, 0]
        loss = (nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    layers = {"inner": inner, "outer": outer}
    return {f"{name}.{key}": t.numpy() for name, layer in layers.items() for key, t in layer.state_dict().items()}


def balanced(kinds: NDArray[np.str_]) -> Vectors:
    """Weights (n,) by which right and wrong maps count the same, and so does each kind but the plain right ones."""
    weight = np.zeros(len(kinds), np.float32)
    each = 0.5 / max(1, len(set(kinds) - set(RIGHT)))
    share = {kind: each for kind in np.unique(kinds)}
    share["same"] = 0.5 - each * len(set(kinds) & set(RIGHT[1:]))
    for kind in np.unique(kinds):
        rows = kinds == kind
        weight[rows] = share[kind] / rows.sum()
    return weight


def _no_critic() -> Critic:
    arrays = {"mean": np.zeros(feature_count()), "scale": np.ones(feature_count()), "inner.bias": np.zeros(1),
              "inner.weight": np.zeros((1, feature_count())), "outer.weight": np.zeros((1, 1)),
              "outer.bias": np.zeros(1)}  # fmt: skip
    return Critic({name: array.astype(np.float32) for name, array in arrays.items()})
