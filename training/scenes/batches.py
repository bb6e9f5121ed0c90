"""Batches of real pictures and drawn tiles, a pure function of seed and step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from geoanchor.protocols import Vectors
from models.text import SentenceEncoder
from training.batches import true_of
from training.data import TilePairs, keyword_phrases
from training.scenes.pictures import ScenePictures
from training.scenes.recipe import ScenesRecipe
from training.scenes.views import view


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's input: n real pictures, then m drawn tiles.

    Attributes:
        views: (n + m, 3, size, size) normalised. rows: (n,) numbers of the real pictures.
        mix: (n, n) each row the shares of the real pictures in a view; the identity where they are not mixed.
        told: (n, 384) a caption of each, or a mixture of its captions. kind: (n,) number of the scene.
        captions: (m, 384) one of each drawn tile; caption_of: (m, m) 1 where it is true of the tile.
        keywords: (w, 384); keyword_of: (m, w) 1 where it is true of the tile.
    """

    views: Tensor
    rows: Tensor
    mix: Tensor
    told: Tensor
    kind: Tensor
    captions: Tensor
    caption_of: Tensor
    keywords: Tensor
    keyword_of: Tensor


class SceneBatches:
    """Draws batches: real pictures each once an epoch, drawn tiles at random."""

    def __init__(self, scenes: ScenePictures, drawn: TilePairs, recipe: ScenesRecipe) -> None:
        self._scenes, self._drawn, self._recipe = scenes, drawn, recipe
        self._real = recipe.schedule.batch - recipe.schedule.drawn
        self._tiles = np.flatnonzero((drawn.captions >= 0).any(axis=1))
        encoder = SentenceEncoder()
        self._phrases = [encoder.encode(ways) for ways in keyword_phrases()]

    def __call__(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        rng = np.random.default_rng([self._recipe.schedule.seed, step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        rows = self._real_rows(step)
        tiles = rng.choice(self._tiles, self._recipe.schedule.drawn, replace=False)
        own = self._drawn.captions[tiles]
        chosen = np.array([rng.choice(row[row >= 0]) for row in own], np.int64)
        views, mix = self._views(rows, tiles, ~self._drawn.oriented[chosen], self._size(step), rng, generator)
        present = np.flatnonzero(self._drawn.concepts[tiles].any(axis=0))
        keywords = [self._phrases[k][rng.integers(len(self._phrases[k]))] for k in present]
        return Batch(
            views=views,
            rows=torch.from_numpy(rows),
            mix=mix,
            told=torch.from_numpy(np.stack([self._told(row, rng) for row in rows])),
            kind=torch.from_numpy(self._scenes.kind[rows]),
            captions=torch.from_numpy(self._drawn.sentences[chosen]),
            caption_of=torch.from_numpy(true_of(own, chosen)),
            keywords=torch.from_numpy(np.stack(keywords)),
            keyword_of=torch.from_numpy(self._drawn.concepts[tiles][:, present].astype(np.float32)),
        )

    def _real_rows(self, step: int) -> NDArray[np.int64]:
        """Epoch after epoch in an order of its own, cut into batches."""
        per_epoch = len(self._scenes) // self._real
        epoch, at = divmod(step, per_epoch)
        order = np.random.default_rng([self._recipe.schedule.seed, 1, epoch]).permutation(len(self._scenes))
        return order[at * self._real : (at + 1) * self._real]

    def _size(self, step: int) -> int:
        for stage in self._recipe.stages:
            if step < stage.steps:
                return stage.size_px
            step -= stage.steps
        return self._recipe.stages[-1].size_px

    def _told(self, row: int, rng: np.random.Generator) -> Vectors:
        own = self._scenes.captions[row]
        if rng.random() >= self._recipe.objective.blended:
            return np.asarray(self._scenes.sentences[rng.choice(own)])
        blend = rng.dirichlet(np.ones(len(own))).astype(np.float32) @ self._scenes.sentences[own]
        return np.asarray(blend / np.linalg.norm(blend))

    def _views(
        self,
        rows: NDArray[np.int64],
        tiles: NDArray[np.int64],
        turnable: NDArray[np.bool_],
        size_px: int,
        rng: np.random.Generator,
        generator: Generator,
    ) -> tuple[Tensor, Tensor]:
        real = view(torch.from_numpy(self._scenes.pixels[rows]), torch.ones(len(rows)), size_px, generator)
        drawn = view(
            torch.from_numpy(self._drawn.aerial(tiles.tolist())), torch.from_numpy(turnable), size_px, generator
        )
        mix = torch.eye(len(rows))
        if rng.random() < self._recipe.objective.mixed:
            share = torch.from_numpy(rng.beta(0.4, 0.4, len(rows)).astype(np.float32))
            share = torch.maximum(share, 1 - share)
            other = torch.from_numpy(rng.permutation(len(rows)))
            real = real * share[:, None, None, None] + real[other] * (1 - share)[:, None, None, None]
            mix = torch.diag(share) + (1 - share)[:, None] * torch.eye(len(rows))[other]
        views = (torch.cat([real, drawn]) - 0.5) / 0.25
        return views.contiguous(memory_format=torch.channels_last), mix
