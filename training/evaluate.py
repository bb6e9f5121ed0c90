"""Evaluation that others can repeat: recall@k of texts and pictures, maps and aerial pictures, with chance beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import OnBad, UsageError
from geoanchor.protocols import Encoder, Vectors
from retrieval import metrics
from training.datasets import Captioned, Pictures
from training.encoding import Progress, encode_readable, encode_texts, shared_space, silent, untold
from training.matching_report import report, require_labels
from training.pairlist import Pair
from training.pairscores import EncodedPairs, encode_pairs, scorers
from training.published import provenance
from training.ranking import rank_pairs
from training.recall import TIE_RULE, EncodedSet, intervals, recall_figures

_TRUE_OFFSET = 0.01
"""An offset as near as this to the true one is right, as a share of the side."""
_HIT = 0.5
"""Expected recall above which a pair counts as found."""


def evaluate_retrieval(
    encoder: Encoder,
    pictures: Pictures,
    captioned: Sequence[Captioned],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
    on_bad: OnBad = untold,
) -> dict[str, Any]:
    """`retrieval_result` of captioned pictures; those that cannot be read are left out and counted."""
    encoded = encode_captioned(encoder, pictures, captioned, batch_size, progress, on_bad)
    return retrieval_result(encoder, encoded, len({item.image for item in captioned}), seed)


def retrieval_result(encoder: Encoder, encoded: EncodedSet, pictures: int, seed: int = 0) -> dict[str, Any]:
    """`training.recall.recall_figures`, how they were come by, and what the model had learned from.

    Args:
        pictures: how many there should have been; those not encoded are `skipped`.
    """
    skipped = {"skipped": pictures - len(encoded.names)}
    protocol = _protocol(encoder, _cosine(encoder, shared_space(encoder, "aerial", "text")), seed)
    return recall_figures(encoded, seed) | skipped | protocol | provenance(encoder.name)


def encode_captioned(
    encoder: Encoder,
    pictures: Pictures,
    captioned: Sequence[Captioned],
    batch_size: int = 64,
    progress: Progress = silent,
    on_bad: OnBad = untold,
) -> EncodedSet:
    """Vectors of the pictures that can be read and of all their captions, in the space that holds both.

    Raises UsageError when no picture can be read.
    """
    space = shared_space(encoder, "aerial", "text")
    captions_of = {item.image: item.captions for item in captioned}
    names = list(captions_of)
    vectors, kept = encode_readable(encoder, names, pictures.read, "aerial", (space,), batch_size, progress, on_bad)
    texts = [text for name in kept for text in captions_of[name]]
    owner = np.repeat(np.arange(len(kept)), [len(captions_of[name]) for name in kept])
    return EncodedSet(kept, vectors[space], texts, encode_texts(encoder, texts, space), owner)


def evaluate_map_to_aerial(
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
    on_bad: OnBad = untold,
) -> dict[str, Any]:
    """Recall of the aerial picture by its map and back over the label-1 pairs, in percent.

    A model with a matcher ranks every aerial picture for every map by that, as a search does, at every scale that a map
    may have, both ways by the same scores, and its offsets are told beside the true ones; another ranks by the cosine
    of its shared space.
    Pictures that occur in several pairs are one gallery item with several right answers. Unreadable ones are left out
    together with their pairs and counted in `skipped`.
    """
    same = [pair for pair in pairs if pair.label == 1]
    if not same:
        raise UsageError("none of the pairs has label 1, so there is nothing to retrieve")
    encoded = encode_pairs(encoder, same, batch_size, progress, on_bad)
    scores, offsets = rank_pairs(encoder, encoded, batch_size)
    aerial_right, map_right = _matches(encoded.map_of, encoded.aerial_of), _matches(encoded.aerial_of, encoded.map_of)
    to_aerial = metrics.expected_hits(scores, aerial_right)
    to_map = metrics.expected_hits(scores.T, map_right)
    result: dict[str, Any] = {
        "map_to_aerial": metrics.percent(to_aerial),
        "aerial_to_map": metrics.percent(to_map),
        "pairs": len(encoded.pairs),
        "score": "matcher" if encoder.matcher else "cosine",
        "chance": {
            "map_to_aerial": metrics.chance(aerial_right, scores.shape[1]),
            "aerial_to_map": metrics.chance(map_right, scores.shape[0]),
        },
        "intervals": {
            "map_to_aerial": intervals(to_aerial, None, seed),
            "aerial_to_map": intervals(to_map, None, seed),
        },
        "skipped": encoded.skipped,
        "foreign_maps": encoded.foreign,
    }
    if offsets is not None:
        found = to_aerial[encoded.map_of, metrics.KS.index(10)] > _HIT
        result["offsets"] = _offset_facts(offsets, encoded, found)
    return result | _protocol(encoder, _compared(encoder), seed)


def evaluate_matching(
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
    on_bad: OnBad = untold,
) -> dict[str, Any]:
    """How well the model tells the same, unchanged place from others (0..1): `matching_report.report` of its score.

    The score is the matcher's probability, or the cosine of the shared space of a model without one. `baselines` holds
    the same report of what needs no matcher: the cosine, density of buildings against edges, and chance.
    Raises UsageError when a label has fewer than two pairs.
    """
    require_labels(pairs)
    encoded = encode_pairs(encoder, pairs, batch_size, progress, on_bad)
    (name, scorer), *rivals = scorers(encoder, encoded, seed).items()
    result = report(scorer, encoded, seed)
    facts = {
        "auroc": result["auroc"],
        "f1": result["f1_match"],
        "threshold": result["threshold"],
        "pairs": len(encoded.pairs),
        "skipped": encoded.skipped,
        "foreign_maps": encoded.foreign,
        "score": name,
    }
    baselines = {rival: report(score, encoded, seed) for rival, score in rivals}
    protocol = _protocol(encoder, _compared(encoder), seed)
    return facts | result | {"baselines": baselines} | protocol


def _offset_facts(offsets: Vectors, encoded: EncodedPairs, found: NDArray[np.bool_]) -> dict[str, float | None]:
    """How far the offsets (n, 2) of the true pairs lie from the true ones, as shares of the side.

    `told`: percent of the pairs whose offset is told at all; `median`: of their distances; `within_1_percent`: percent
    of the pairs, `of_told`: of those told, `of_top_10`: of those whose map finds its aerial picture among the first
    ten. None where there is none of those.
    """
    true = np.array([(pair.dx or 0.0, pair.dy or 0.0) for pair in encoded.pairs])
    far = np.linalg.norm(offsets - true, axis=1)
    told, right = np.isfinite(far), far <= _TRUE_OFFSET
    return {
        "told": round(100 * float(told.mean()), 2),
        "median": round(float(np.median(far[told])), 5) if told.any() else None,
        "within_1_percent": round(100 * float(right.mean()), 2),
        "of_told": round(100 * float(right[told].mean()), 2) if told.any() else None,
        "of_top_10": round(100 * float(right[found].mean()), 2) if found.any() else None,
    }


def _matches(query_of: NDArray[np.int64], gallery_of: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.unique(gallery_of[query_of == query]) for query in range(int(query_of.max()) + 1)]


def _compared(encoder: Encoder) -> dict[str, Any]:
    """What was compared: the fingerprint of each space of the matcher, or the space of the cosine."""
    if encoder.matcher:
        return {"spaces": {name: encoder.spaces[name].fingerprint for name in encoder.matcher.spaces}}
    return _cosine(encoder, shared_space(encoder, "aerial", "map"))


def _cosine(encoder: Encoder, space: str) -> dict[str, Any]:
    return {"space": space, "fingerprint": encoder.spaces[space].fingerprint}


def _protocol(encoder: Encoder, compared: dict[str, Any], seed: int) -> dict[str, Any]:
    return {"model": encoder.name, **compared, "ties": TIE_RULE, "seed": seed}
