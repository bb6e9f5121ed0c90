"""Batches as a pure function of seed and step, so that a resumed run sees what an uninterrupted one would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoanchor.protocols import Vectors
from geoanchor.settings import Settings
from models.bundle import Branch
from models.text import SentenceEncoder
from models.tower_encoder import normalise
from training.anchorcache import TileAnchors, read_anchors, text_vectors
from training.anchors.schema import ATTRIBUTES
from training.augment import augment
from training.data import TilePairs, keyword_phrases
from training.recipe import Anchors, Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's input.

    Attributes:
        aerial, map: (n, 3, size, size) normalised pictures of the same n places.
        told: (n,) bool, tiles that have captions; of the others nothing is known to be there or not.
        captions: (c, 384) sentence vectors, one a told tile; keywords: (m, 384), one for each concept in sight.
        caption_of: (n, c), keyword_of: (n, m): 1 where the words are true of the tile.
        aerial_anchors, map_anchors: (n, t) vectors of what each branch is told of its tile; t is 0 without anchors.
        anchor_of: (n, n) how much a tile's anchor is a target of another's, 1 for its own.
    """

    aerial: Tensor
    map: Tensor
    told: Tensor
    captions: Tensor
    keywords: Tensor
    caption_of: Tensor
    keyword_of: Tensor
    aerial_anchors: Tensor
    map_anchors: Tensor
    anchor_of: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class AnchorTargets:
    """Anchors of all training tiles, as their frozen text encoder sees them.

    Attributes:
        anchors: of each tile. vectors: (t, d) of `anchors.texts`. shape: how near doubles share a target.
    """

    anchors: TileAnchors
    vectors: Vectors
    shape: Anchors

    def targets(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, n) 1 on the diagonal, exp((agreement - 11) / temperature) from `soft_from` equal attributes, else 0."""
        agreement = self.anchors.agreement(rows)
        soft = np.exp((agreement - len(ATTRIBUTES)) / self.shape.soft_temperature)
        shared = np.where(agreement >= self.shape.soft_from, soft, 0)
        np.fill_diagonal(shared, 1)
        return shared.astype(np.float32)


def anchor_targets(pairs: TilePairs, shape: Anchors, settings: Settings | None = None) -> AnchorTargets:
    """Read the anchors beside the tiles and encode their texts. Raises UsageError where a place has none."""
    anchors = read_anchors(pairs.shards, shape.form)
    return AnchorTargets(anchors, text_vectors(anchors.texts, shape, settings), shape)


class Batches:
    """Draws batches: a few places, several tiles of each, rare things more often than they occur.

    Args:
        pairs: training tiles; branch: preprocessing of both towers. anchors: of the tiles, where they are learned from.
    """

    def __init__(
        self, pairs: TilePairs, branch: Branch, schedule: Schedule, anchors: AnchorTargets | None = None
    ) -> None:
        self._anchors = anchors
        self._pairs = pairs
        self._branch = branch
        self._schedule = schedule
        self._tiles = [np.flatnonzero(pairs.place == place) for place in range(len(pairs.names))]
        self._weights = _rarity(pairs.concepts)
        encoder = SentenceEncoder()
        occurs = np.asarray(pairs.concepts.any(axis=0)).tolist()
        self._phrases = [
            encoder.encode(ways if there else ()) for ways, there in zip(keyword_phrases(), occurs, strict=True)
        ]

    def __call__(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        rng = np.random.default_rng([self._schedule.seed, step])
        rows = self._draw(rng)
        aerial = torch.from_numpy(self._pairs.aerial(rows.tolist()))
        maps = torch.from_numpy(self._pairs.map(rows.tolist(), rng.integers(2, size=len(rows)).tolist()))
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        told, chosen, turnable = self._captions(rows, rng)
        aerial, maps = augment(aerial, maps, turnable, self._branch.size_px, generator)
        present = np.flatnonzero(self._pairs.concepts[rows].any(axis=0))
        keywords = [ways[rng.integers(len(ways))] for ways in (self._phrases[k] for k in present)]
        aerial_anchors, map_anchors, anchor_of = self._anchored(rows)
        return Batch(
            aerial=normalise(aerial, self._branch),
            map=normalise(maps, self._branch),
            told=torch.from_numpy(told),
            captions=torch.from_numpy(self._pairs.sentences[chosen]),
            keywords=torch.from_numpy(np.stack(keywords) if keywords else self._pairs.sentences[:0]),
            caption_of=torch.from_numpy(true_of(self._pairs.captions[rows], chosen)),
            keyword_of=torch.from_numpy(self._pairs.concepts[rows][:, present].astype(np.float32)),
            aerial_anchors=aerial_anchors,
            map_anchors=map_anchors,
            anchor_of=anchor_of,
        )

    def _captions(
        self, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], Tensor]:
        """(n,) which tiles have captions, one of each of those, and (n,) whether a turned picture is still told right.

        Anchors hold of a tile however it is turned.
        """
        captions = self._pairs.captions[rows]
        told = np.asarray((captions >= 0).any(axis=1))
        chosen = np.array([rng.choice(own[own >= 0]) for own in captions[told]], np.int64)
        turnable = np.ones(len(rows), np.bool_)
        turnable[told] = ~self._pairs.oriented[chosen]
        return told, chosen, torch.from_numpy(turnable)

    def _anchored(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """What each branch is told of each tile, and how much an anchor is another's target too."""
        if self._anchors is None:
            return torch.zeros(len(rows), 0), torch.zeros(len(rows), 0), torch.zeros(len(rows), len(rows))
        own = self._anchors.anchors
        aerial, maps = (torch.from_numpy(self._anchors.vectors[side[rows]]) for side in (own.aerial, own.map))
        return aerial, maps, torch.from_numpy(self._anchors.targets(rows))

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of one batch, none twice."""
        sizes = np.array([len(tiles) for tiles in self._tiles])
        count = min(self._schedule.places, len(sizes))
        places = rng.choice(len(sizes), count, replace=False, p=sizes / sizes.sum())
        pool = np.concatenate([self._some(place, self._schedule.batch // count + 1, rng) for place in places])
        return rng.permutation(pool)[: self._schedule.batch]

    def _some(self, place: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        tiles = self._tiles[place]
        weights = self._weights[tiles]
        return rng.choice(tiles, min(count, len(tiles)), replace=False, p=weights / weights.sum())


def true_of(captions: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, c) captions of each tile, -1 for none, and (m,) captions -> (n, m): 1 where it is one of the tile's."""
    own: NDArray[np.bool_] = (captions[:, :, None] == chosen[None, None, :]).any(axis=1)
    return own.astype(np.float32)


def _rarity(concepts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) how often to draw each tile, 1 to 6: by the rarest thing in it."""
    share = np.maximum(concepts.mean(axis=0), 1e-9)
    rarest = np.where(concepts, share, 1.0).min(axis=1)
    weights: NDArray[np.float64] = np.clip(np.sqrt(0.1 / rarest), 1.0, 6.0)
    return weights
