"""Regions of like colour: a segmenter that needs no weights and gives the same parts every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb

from geoanchor.image import Pixels
from geoanchor.segment import Mask

SIDE_PX = 96
"""Pictures are looked at so small: finer texture is no outline, and a tile must cost less than its encoding."""
MOST_REGIONS = 12
_SCALE, _SIGMA, _FEWEST_PX = 200.0, 0.8, 40
_ALIKE = 6.0
"""Distance in CIELAB below which neighbours are the same ground: trees of one wood, furrows of one field."""

Labels = NDArray[np.int64]


class RegionSegmenter:
    """Graph-based regions (Felzenszwalb and Huttenlocher 2004), the most alike neighbours merged until few are left."""

    def segment(self, pixels: Pixels) -> Sequence[Mask]:
        """At most twelve parts, each in one piece, which together cover the picture.

        Stability is the difference in colour to what lies around, over that and the spread within.
        """
        small = np.asarray(Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX))
        lab = rgb2lab(small).astype(np.float64)
        labels = felzenszwalb(lab, scale=_SCALE, sigma=_SIGMA, min_size=_FEWEST_PX).astype(np.int64)
        labels = merge(labels, lab, MOST_REGIONS, _ALIKE)
        stability = _stability(labels, lab)
        return [Mask(labels == number, float(stability[number])) for number in range(len(stability))]


def merge(labels: Labels, colours: NDArray[np.float64], most: int, alike: float) -> Labels:
    """Join neighbouring regions until at most `most` are left and no two neighbours look alike.

    First the two whose joining costs least (Ward 1963), then the two whose mean colours differ least.

    Args:
        labels: (h, w) from 0, none left out. colours: (h, w, c). alike: distance of mean colours.
    Returns:
        (h, w) labels from 0.
    """
    counts, means = _statistics(labels, colours)
    near = neighbours(labels, len(counts)) > 0
    owner = np.arange(len(counts))
    squares = np.where(near, ((means[:, None] - means[None]) ** 2).sum(axis=2), np.inf)
    growth = squares * (counts[:, None] * counts[None] / (counts[:, None] + counts[None]))
    for left in range(len(counts), 1, -1):
        stays, goes = divmod(int((growth if left > most else squares).argmin()), len(counts))
        if left <= most and squares[stays, goes] >= alike**2:
            break
        means[stays] = (counts[stays] * means[stays] + counts[goes] * means[goes]) / (counts[stays] + counts[goes])
        counts[stays] += counts[goes]
        near[stays] |= near[goes]
        near[stays, [stays, goes]] = False
        near[:, stays], near[goes], near[:, goes] = near[stays], False, False
        row = np.where(near[stays], ((means - means[stays]) ** 2).sum(axis=1), np.inf)
        squares[goes] = squares[:, goes] = growth[goes] = growth[:, goes] = np.inf
        squares[stays] = squares[:, stays] = row
        growth[stays] = growth[:, stays] = row * (counts[stays] * counts / (counts[stays] + counts))
        owner[owner == goes] = stays
    return np.unique(owner[labels], return_inverse=True)[1].reshape(labels.shape)


def neighbours(labels: Labels, count: int) -> NDArray[np.int64]:
    """How many pixel edges (count, count) each two regions share, symmetric, 0 on the diagonal."""
    across = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()])
    down = np.stack([labels[:-1].ravel(), labels[1:].ravel()])
    first, second = np.concatenate([across, down], axis=1)
    edges = np.bincount(first * count + second, minlength=count * count).reshape(count, count)
    edges += edges.T
    np.fill_diagonal(edges, 0)
    return edges


def _statistics(labels: Labels, colours: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (n,) and mean colour (n, c) of each region."""
    flat = labels.ravel()
    counts = np.bincount(flat).astype(np.float64)
    sums = [np.bincount(flat, band.ravel()) for band in np.moveaxis(colours, -1, 0)]
    return counts, np.stack(sums, axis=1) / counts[:, None]


def _stability(labels: Labels, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) in 0..1; 1 where a region is of one colour and another than its neighbours."""
    counts, means = _statistics(labels, colours)
    _, squares = _statistics(labels, colours**2)
    spread = np.sqrt(np.maximum(squares - means**2, 0).sum(axis=1))
    edges = neighbours(labels, len(counts))
    differences = np.linalg.norm(means[:, None] - means[None], axis=2)
    contrast = (edges * differences).sum(axis=1) / np.maximum(edges.sum(axis=1), 1)
    return np.asarray(contrast / np.maximum(contrast + spread, 1e-9))
