"""Batches of captioned pictures: one caption a picture, and what else of the batch it is true of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from geoanchor.image import Pixels
from training.batches import true_of
from training.domain.pictures import DomainPictures, Rows
from training.scenes.views import view


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's pictures.

    Attributes:
        pictures: (n, 3, size, size) in 0..1. words: (n, ...) read captions, the i-th drawn for the i-th picture.
        positive: (n, n) 1 where a caption is one of a picture's own, by its text.
        crops: (n, k, 3, size, size) segments; there: (n, k) bool; k is 0 where the branch is off.
    """

    pictures: Tensor
    words: Tensor
    positive: Tensor
    crops: Tensor
    there: Tensor


class Views:
    """Random views of a domain's pictures with a random caption of each.

    Args:
        words: (t, ...) the domain's texts as the network reads them. size_px: side of a view.
    """

    def __init__(self, pictures: DomainPictures, words: Tensor, size_px: int) -> None:
        self.pictures = pictures
        self.words = words
        self._size_px = size_px

    def __call__(self, rows: Rows, rng: np.random.Generator) -> Batch:
        """The batch of some rows, decided by the generator alone."""
        captions = self.pictures.captions[rows]
        chosen = np.array([rng.choice(own[own >= 0]) for own in captions], np.int64)
        turnable = torch.from_numpy(~self.pictures.oriented[chosen])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        crops, there = self.pictures.crops(rows)
        return Batch(
            pictures=self._seen(rows, turnable, generator),
            words=self.words[torch.from_numpy(chosen)],
            positive=torch.from_numpy(true_of(captions, chosen)),
            crops=crops_of(crops, self._size_px),
            there=torch.from_numpy(there),
        )

    def _seen(self, rows: Rows, turnable: Tensor, generator: torch.Generator) -> Tensor:
        return view(torch.from_numpy(self.pictures.pixels(rows)), turnable, self._size_px, generator)

    def whole(self, rows: Rows) -> Tensor:
        """(n, 3, size, size) in 0..1: the pictures with nothing cut off or changed."""
        return whole(self.pictures.pixels(rows), self._size_px)

    def unpaired(self, rows: Rows, count: int, rng: np.random.Generator) -> Tensor:
        """(count, ...) captions of any of these rows' pictures: whose they are is not told."""
        drawn = self.pictures.captions[rng.choice(rows, count)]
        return self.words[torch.from_numpy(np.array([rng.choice(own[own >= 0]) for own in drawn], np.int64))]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One domain of a training: its random views and the rows to learn from."""

    views: Views
    rows: Rows


def whole(pixels: Pixels, size_px: int) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, size, size) in 0..1, nothing cut off; n may be 0."""
    if not len(pixels):
        return torch.zeros(0, 3, size_px, size_px)
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return interpolate(scaled, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def crops_of(crops: Pixels, size_px: int) -> Tensor:
    """(n, k, h, w, 3) uint8 -> (n, k, 3, size, size) in 0..1; k may be 0."""
    flat = whole(crops.reshape(-1, *crops.shape[2:]), size_px)
    return flat.view(*crops.shape[:2], *flat.shape[1:])


def in_turn(rows: Rows, batch: int, step: int, seed: int) -> Rows:
    """Rows of one step when all are gone through in a new order each epoch; a rest that fills no batch waits."""
    per_epoch = max(1, len(rows) // batch)
    order = np.random.default_rng([seed, step // per_epoch]).permutation(rows)
    first = step % per_epoch * batch
    return order[first : first + batch]
