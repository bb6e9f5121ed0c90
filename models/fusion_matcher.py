"""A matcher of towers alone: it judges a map and a picture as wholes, and cannot say where they differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from geoanchor.change import MAX_OFFSET
from geoanchor.errors import UnsupportedModality
from geoanchor.gaps import Gaps
from geoanchor.image import Layer
from geoanchor.protocols import Judgement, RowVectors, Vectors
from geoanchor.structure import CLASSES
from models.fusion import FusionScorer
from models.matcher import SEMANTIC


class FusionMatcher:
    """Discriminator and prototypes by themselves (U-CSA, stage two), for bundles without a structure decoder.

    Its grid has no cells: a judgement is a probability and no more. It looks for no offset.
    """

    spaces = (SEMANTIC,)
    cells = 0
    registrar = None

    def __init__(self, scorer: FusionScorer) -> None:
        self._scorer = scorer

    def judge(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        expected: Vectors | None = None,
        gaps: Gaps | None = None,
    ) -> Judgement:
        """Judge n pairs as they lie; see `geoanchor.protocols.Matcher`."""
        ours, theirs = maps[SEMANTIC], aerials[SEMANTIC]
        ours, theirs = np.broadcast_arrays(ours, theirs)
        count = len(ours)
        discriminator, prototypes = self._scorer.scores(theirs, ours)
        none = np.zeros((count, 0, 0), np.float32)
        by_class = np.zeros((count, 0, 0, len(CLASSES)), np.float32)
        return Judgement(
            probability=self._scorer.calibration.match_probability(discriminator, prototypes),
            offset=np.zeros((count, 2), np.float32), content=np.zeros(count, np.float32), evidence=none,
            shares=by_class, beliefs=by_class, parts={"discriminator": discriminator, "prototypes": prototypes},
        )  # fmt: skip

    def rank(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        compared: int | None = None,
        hidden: Mapping[Layer, Gaps] | None = None,
    ) -> tuple[Vectors, Vectors]:
        """Match scores (q, g) of every map and picture, and offsets (q, g, 2) that nothing tells."""
        ours, theirs = maps[SEMANTIC], aerials[SEMANTIC]
        scores = np.zeros((len(ours), len(theirs)), np.float32)
        for row, own in enumerate(ours):
            each = self._scorer.scores(theirs, np.broadcast_to(own, theirs.shape))
            scores[row] = self._scorer.calibration.match_score(*each)
        return scores, np.full((*scores.shape, 2), np.nan, np.float32)

    def probes(self, layer: Layer, side: Mapping[str, RowVectors], max_offset: float = MAX_OFFSET) -> Vectors:
        """None: raises UnsupportedModality."""
        raise UnsupportedModality("the model compares whole pictures and has no coarse vectors of structure")
