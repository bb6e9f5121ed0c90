"""One calibration for all terms: structure, discriminator and prototypes on real pairs that none of them saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import MAX_OFFSET
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Vectors
from geoanchor.structure import shares
from models.codes import CELLS, Codebooks, log_odds
from models.critic import Critic, features
from models.decoding import Decoder
from models.fusion import FusionScorer
from models.matcher import SEMANTIC, StructureMatcher
from models.palette import map_classes
from training.patches import paste, patch
from training.swaps import derangement

KINDS = ("same", "swap", "patch")
"""Of maps that a calibration is fitted on."""
_SHARES = (0.5, 0.25)
"""Of a map's area, by which it is made wrong in part."""


@dataclass(frozen=True, slots=True, eq=False)
class JointPairs:
    """Real maps, right and wrong, against the pictures of their places.

    Attributes:
        place: (n,) row of the aerial picture. maps: n pictures. agree: (n,) bool. kind: (n,).
    """

    place: NDArray[np.int64]
    maps: Sequence[Pixels]
    agree: NDArray[np.bool_]
    kind: NDArray[np.str_]


def joint_pairs(maps: Pixels, rng: np.random.Generator) -> JointPairs:
    """Each map (n, h, w, 3) as it is, another's, and with rectangles of another's."""
    others = derangement(rng, len(maps))
    made: list[tuple[int, str, Pixels]] = []
    for row, other in enumerate(others.tolist()):
        made += [(row, "same", maps[row]), (row, "swap", maps[other])]
        for share in _SHARES:
            box = patch(rng, share, maps.shape[1:3])
            made.append((row, "patch", paste(maps[row], maps[other], box)))
    place, kind = np.array([row for row, _, _ in made]), np.array([kind for _, kind, _ in made])
    return JointPairs(place, [drawn for _, _, drawn in made], kind == "same", kind)


def joint_terms(
    pairs: JointPairs, aerial: Pixels, base: Encoder, fusion: FusionScorer, decoder: Decoder, books: Codebooks,
    critics: Sequence[Critic],
) -> Vectors:  # fmt: skip
    """Terms (n, 3) of every pair, in the order of `models.matcher.TERMS`.

    Args:
        aerial: pictures (m, h, w, 3) of the places. base: whose "semantic" vectors the fusion judges.
        critics: of which number `place % len(critics)` never saw a place.
    """
    grids = np.stack([shares(map_classes(drawn), CELLS) for drawn in pairs.maps])
    seen = books.encode(log_odds(decoder.log_beliefs(list(aerial)), books.prior), "aerial")
    matcher = StructureMatcher(books, critics[0], None, np.array([0.0, 1.0], np.float32))
    still = np.zeros((len(grids), 2), np.float32)
    evidence, _ = matcher.evidence(books.encode(grids, "map"), seen[pairs.place], MAX_OFFSET, still)
    found = features(evidence, books.prior)
    structure = np.zeros(len(grids), np.float32)
    for number, critic in enumerate(critics):
        rows = pairs.place % len(critics) == number
        structure[rows] = critic(found[rows])
    pictures = base.encode(list(aerial), "aerial")[SEMANTIC][pairs.place]
    judged = fusion.scores(pictures, base.encode(pairs.maps, "map")[SEMANTIC])
    return np.stack([structure, *judged], axis=1)
