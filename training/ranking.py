"""Maps of pairs ranked against all aerial pictures, and laid on their own, as a search does: at every scale tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from geoanchor.gaps import Gaps
from geoanchor.image import Layer
from geoanchor.protocols import Encoder, Matcher, RowVectors, Vectors
from retrieval.alignment import align
from retrieval.counterpart import COMPARED, USUAL_ROWS
from retrieval.framing import SCALES, beyond, bounded, framed
from retrieval.scales import told_scale, usual_of
from training.encoding import encode_spaces, shared_space
from training.pairscores import EncodedPairs, read

_CHUNK = 64
"""Maps ranked at once: an offset is kept for each aerial picture and scale."""

Sides = Mapping[str, RowVectors]


def rank_pairs(encoder: Encoder, encoded: EncodedPairs, batch_size: int) -> tuple[Vectors, Vectors | None]:
    """Every map with every aerial picture.

    Returns:
        scores (m, a), higher where they suit each other: by the matcher, or the cosine of a model without one; and how
        far the maps lie off their own pictures, (n, 2) shares of the side, NaN where nothing tells: None without a
        matcher.
    """
    matcher = encoder.matcher
    if matcher is None:
        space = shared_space(encoder, "aerial", "map")
        products: Vectors = encoded.maps[space] @ encoded.aerials[space].T
        return products, None
    sides = [{name: encoded.maps[name] for name in matcher.spaces}]
    # A matcher that judges pairs as wholes knows no frame.
    if matcher.cells:
        sides += _framed(encoder, encoded, matcher, SCALES[1:], batch_size)
    scores, offsets, scale = ranked(matcher, sides, encoded)
    return scores, _laid(matcher, encoded, offsets, scale)


def ranked(
    matcher: Matcher, maps: Sequence[Sides], encoded: EncodedPairs
) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Scores (m, a), and of the pairs offsets (n, 2) and numbers (n,) of the scales that are told.

    Args:
        maps: their vectors at each of the scales.
    """
    aerials = {name: encoded.aerials[name] for name in matcher.spaces}
    queries, gallery = int(encoded.map_of.max()) + 1, int(encoded.aerial_of.max()) + 1
    scores, found = np.empty((queries, gallery), np.float32), np.empty((len(encoded.pairs), 2), np.float32)
    told = np.empty(len(encoded.pairs), np.int64)
    for start in range(0, queries, _CHUNK):
        some = [_rows(side, slice(start, start + _CHUNK)) for side in maps]
        scores[start : start + _CHUNK], offsets, scales = _ranked(matcher, some, aerials)
        own = (encoded.map_of >= start) & (encoded.map_of < start + _CHUNK)
        at = encoded.map_of[own] - start, encoded.aerial_of[own]
        found[own], told[own] = offsets[at], scales[at]
    return scores, found, told


def _ranked(matcher: Matcher, maps: Sequence[Sides], aerials: Sides) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Scores (q, g), offsets (q, g, 2) and scales (q, g) of some maps."""
    likeness, offsets = matcher.rank(maps[0], aerials)
    scales = np.zeros(likeness.shape, np.int64)
    if len(maps) == 1:
        return likeness, offsets, scales
    unseen = [_beyond(matcher, scale, len(likeness)) for scale in SCALES[1:]]
    found = [matcher.rank(side, aerials, compared=COMPARED, hidden=hidden)
             for side, hidden in zip(maps[1:], unseen, strict=True)]  # fmt: skip
    anywhere = slice(None, None, max(1, likeness.shape[1] // USUAL_ROWS))
    some = _rows(aerials, anywhere)
    usual = [likeness[:, anywhere], *(matcher.rank(side, some, hidden=hidden)[0]
             for side, hidden in zip(maps[1:], unseen, strict=True))]  # fmt: skip
    every, lies = np.stack([likeness, *(one for one, _ in found)]), np.stack([offsets, *(one for _, one in found)])
    for query, common in enumerate(map(usual_of, np.stack(usual, axis=1))):
        above, scales[query] = told_scale(every[:, query], common, SCALES)
        # In the measure of the maps' own scale, so that maps can be ranked for a picture, too.
        likeness[query] = common.median[0] + above * common.deviation
        offsets[query] = lies[scales[query], query, np.arange(len(above))]
    return likeness, offsets, scales


def _beyond(matcher: Matcher, scale: float, count: int) -> dict[Layer, Gaps]:
    return {"map": np.broadcast_to(beyond(scale, matcher.cells), (count, matcher.cells, matcher.cells))}


def _rows(side: Sides, part: slice) -> dict[str, RowVectors]:
    return {name: vectors[part] for name, vectors in side.items()}


def _framed(
    encoder: Encoder, encoded: EncodedPairs, matcher: Matcher, scales: Sequence[float], batch_size: int
) -> list[dict[str, RowVectors]]:
    """Vectors of the maps at each of some scales, as aerial pictures of those would show them."""
    path_of = dict(zip(encoded.map_of.tolist(), (pair.map for pair in encoded.pairs), strict=True))
    maps = (bounded(read(path_of[row], "map"), "map") for row in range(len(path_of)))
    pictures = (framed(pixels, scale) for pixels in maps for scale in scales)
    vectors = encode_spaces(encoder, pictures, "map", matcher.spaces, batch_size)
    return [_rows(vectors, slice(first, None, len(scales))) for first in range(len(scales))]


def _laid(matcher: Matcher, encoded: EncodedPairs, offsets: Vectors, scale: NDArray[np.int64]) -> Vectors:
    """Offsets (n, 2) of the pairs from their pictures where the model can tell them so, else those of the vectors."""
    registrar = matcher.registrar
    if registrar is None:
        return offsets
    laid, own = np.empty_like(offsets), np.flatnonzero(scale == 0)
    for start in range(0, len(own), _CHUNK):
        pairs = [encoded.pairs[at] for at in own[start : start + _CHUNK]]
        laid[own[start : start + _CHUNK]] = registrar.offsets(
            [read(pair.map, "map") for pair in pairs], [read(pair.aerial, "aerial") for pair in pairs]
        )
    # Of these pictures alone tell the scale as finely as an offset wants it, one pair at a time.
    for at in np.flatnonzero(scale != 0):
        pair = encoded.pairs[at]
        (lies,) = align(bounded(read(pair.map, "map"), "map"), "map", [read(pair.aerial, "aerial")], registrar)
        laid[at] = lies.offset
    return laid
