"""How surely shifts are told of pictures that nothing learned from."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray

from geoanchor.change import MAX_OFFSET
from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.codes import log_odds
from models.decoding import Decoder
from models.registrar import FINE_CELLS
from models.registration import MAP_FLOOR, PICTURE_FLOOR, sharpened, told_shifts
from models.sketches import Sketches
from training.sketches.views import Window

_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the learned weight, that are tried."""
_NEAR = 0.01
"""Of the side: so far off the true shift a told one is still right."""
_WINDOWS_EACH = 3


class HeldOut:
    """Pictures with moved maps.

    Args:
        aerial: (n, h, w, 3) uint8. classes: (n, h, w) class numbers of their maps. prior: (7,).
    """

    def __init__(self, aerial: Pixels, classes: NDArray[np.uint8], decoder: Decoder, prior: Vectors, seed: int) -> None:
        rng = np.random.default_rng(seed)
        pairs = [pair for pair in zip(aerial, classes, strict=True) for _ in range(_WINDOWS_EACH)]
        windows = [Window.within(len(picture), rng, middle=True) for picture, _ in pairs]
        moved = [window.moved(drawn, rng) for window, (_, drawn) in zip(windows, pairs, strict=True)]
        pictures = [window.of(picture) for window, (picture, _) in zip(windows, pairs, strict=True)]
        beliefs, self._features = decoder.described(pictures, FINE_CELLS)
        self._pictures = sharpened(log_odds(beliefs, prior), PICTURE_FLOOR)
        self._shares = np.stack([shares for shares, _ in moved])
        self._maps = sharpened(self._shares, MAP_FLOOR)
        self._true = np.array([shift for _, shift in moved])

    def within(self, sketches: Sketches | None) -> float:
        """Share of the shifts that are told to a hundredth of the side, with sketches or by the classes alone."""
        maps, pictures = self._maps, self._pictures
        if sketches:
            maps = np.concatenate([maps, sketches.draw_maps(self._shares)], axis=-1)
            pictures = np.concatenate([pictures, sketches.draw_pictures(self._features)], axis=-1)
        rows = np.arange(len(maps))
        told, _ = told_shifts(maps, pictures, rows, rows, MAX_OFFSET)
        return float((np.linalg.norm(told - self._true, axis=1) <= _NEAR).mean())

    def weighed(self, sketches: Sketches) -> tuple[Sketches, float]:
        """The sketches with that share of their weight by which most of these shifts are told, and the share.

        What they are worth was learned beside pairs that they know by then, and so too high.
        """
        made = {share: _lighter(sketches, share) for share in _SHARES}
        best = max(_SHARES, key=lambda share: self.within(made[share]))
        return made[best], best


def _lighter(sketches: Sketches, share: float) -> Sketches:
    lighter = copy.deepcopy(sketches)
    with torch.no_grad():
        lighter.weight.add_(math.log(share))
    return lighter
