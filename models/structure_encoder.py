"""Puts maps and aerial pictures into the spaces of structure: codes of a fine grid, and a coarse vector to search by.

Maps need numpy alone, by their palette; aerial pictures need the decoder, hence torch, imported with the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from geoanchor.errors import BadInput
from geoanchor.gaps import gap_cells
from geoanchor.image import Pixels
from geoanchor.protocols import RowVectors, Vectors
from geoanchor.structure import shares
from models.bundle import SKETCHES_NAME, SketchSpec, StructureSpec
from models.coarse import COARSE, Projections
from models.codes import CELLS, Codebooks, log_odds
from models.critic import Critic, feature_count
from models.fusion import PREFIX as FUSION
from models.fusion import FusionScorer
from models.matcher import CODES, StructureMatcher
from models.palette import map_classes
from models.registrar import FINE_CELLS, StructureRegistrar
from models.registration import MAP_FLOOR, PICTURE_FLOOR, sharpened
from models.weights import Weights

if TYPE_CHECKING:
    from models.decoding import Decoder
    from models.sketches import Sketches

_LARGEST_MAP_PX = 640


class StructureEncoder:
    """The structure half of a bundle.

    Args:
        spec: shape of the decoder. weights: the bundle's; read on first use. sketches: what is drawn of either side to
            tell shifts by; its own weights lie beside the bundle's.
    """

    def __init__(self, spec: StructureSpec, weights: Weights, sketches: SketchSpec | None = None) -> None:
        self._spec = spec
        self._weights = weights
        self._sketch = sketches
        self._lock = RLock()

    def prepare_map(self, pixels: Pixels) -> Pixels:
        """A map keeps its pixels, since mixed colours mean nothing; only a huge one loses some, and a tiny one is
        enlarged."""
        longest, shortest = max(pixels.shape[:2]), min(pixels.shape[:2])
        if longest <= _LARGEST_MAP_PX and shortest >= FINE_CELLS:
            return pixels
        side = _LARGEST_MAP_PX if longest > _LARGEST_MAP_PX else self._spec.size_px
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST))

    def prepare_aerial(self, pixels: Pixels) -> Pixels:
        """The decoder's square, antialiased; a smaller picture stays: enlarged and shrunk again it would be blurred."""
        side = self._spec.size_px
        if max(pixels.shape[:2]) <= side:
            return pixels
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))

    def maps(self, pictures: Sequence[Pixels]) -> dict[str, RowVectors]:
        """Both vectors of prepared maps."""
        grids = self._map_shares(pictures, CELLS)
        return {
            COARSE: self._projections.vectors(sharpened(grids, MAP_FLOOR), "map"),
            CODES: self.books.encode(grids, "map"),
        }

    def aerials(self, pictures: Sequence[Pixels]) -> dict[str, RowVectors]:
        """Both vectors of aerial pictures."""
        return self.placed(self._log_beliefs(pictures, CELLS))

    def placed(self, log_beliefs: Vectors) -> dict[str, RowVectors]:
        """Both vectors of aerial pictures, from what a decoder believes of them (n, CELLS, CELLS, 7)."""
        grids = log_odds(log_beliefs, self.books.prior)
        return {
            COARSE: self._projections.vectors(sharpened(grids, PICTURE_FLOOR), "aerial"),
            CODES: self.books.encode(grids, "aerial"),
        }

    def _map_shares(self, pictures: Sequence[Pixels], cells: int) -> Vectors:
        return np.stack([shares(map_classes(self.prepare_map(picture)), cells) for picture in pictures])

    def _log_beliefs(self, pictures: Sequence[Pixels], cells: int) -> Vectors:
        with self._lock:
            decoder = self._decoder
        return decoder.log_beliefs(pictures, cells)

    @cached_property
    def books(self) -> Codebooks:
        """What codes mean."""
        return Codebooks(self._weights.read("codes"))

    @cached_property
    def matcher(self) -> StructureMatcher:
        """Judges pairs of rows of this bundle."""
        fusion = self._weights.read(FUSION)
        scorer = FusionScorer(fusion) if fusion else None
        critic, calibration = Critic(self._weights.read("critic")), self._weights.read("calibration")["terms"]
        if critic.inputs != feature_count():
            reason = f"its critic looks at {critic.inputs} features, this version at {feature_count()}; train it again"
            raise BadInput(str(self._weights.path), reason)
        registrar = StructureRegistrar(self._map_grids, self._aerial_grids)
        return StructureMatcher(self.books, critic, scorer, calibration, registrar, self._projections)

    def _map_grids(self, pictures: Sequence[Pixels]) -> Vectors:
        """What shifts of maps are told by: (n, FINE_CELLS, FINE_CELLS, c)."""
        grids = self._map_shares(pictures, FINE_CELLS)
        plain = sharpened(grids, MAP_FLOOR)
        with self._lock:
            sketches = self._sketches
        return np.concatenate([plain, sketches.draw_maps(grids)], axis=-1) if sketches else plain

    def _aerial_grids(self, pictures: Sequence[Pixels]) -> Vectors:
        """The same of aerial pictures."""
        with self._lock:
            decoder, sketches = self._decoder, self._sketches
        beliefs, features = decoder.described(pictures, FINE_CELLS)
        plain = sharpened(log_odds(beliefs, self.books.prior), PICTURE_FLOOR)
        grids = np.concatenate([plain, sketches.draw_pictures(features)], axis=-1) if sketches else plain
        # A map that shows more than the rest of a picture does would suit what is made up of its gaps.
        return grids * ~np.stack([gap_cells(picture, FINE_CELLS) for picture in pictures])[..., None]

    @cached_property
    def _projections(self) -> Projections:
        return Projections(self._weights.read("coarse"))

    @cached_property
    def _decoder(self) -> Decoder:
        import torch

        from models.decoding import Decoder
        from models.structure import StructureNet, fold_norms

        network = StructureNet(self._spec.widths, self._spec.pyramid)
        try:
            network.load_state_dict({n: torch.from_numpy(a) for n, a in self._weights.read("decoder").items()})
        except RuntimeError as error:
            reason = "does not hold the structure decoder that the manifest speaks of"
            raise BadInput(str(self._weights.path), reason) from error
        return Decoder(fold_norms(network), self._spec.size_px)

    @cached_property
    def _sketches(self) -> Sketches | None:
        if self._sketch is None:
            return None
        import torch

        from models.sketches import Sketches

        weights = Weights(self._weights.path.with_name(SKETCHES_NAME), self._sketch.weights_sha256)
        sketches = Sketches(self._spec.pyramid, self._sketch.channels, self._sketch.width)
        try:
            sketches.load_state_dict({n: torch.from_numpy(a) for n, a in weights.read("sketches").items()})
        except RuntimeError as error:
            raise BadInput(str(weights.path), "does not hold the sketches that the manifest speaks of") from error
        return sketches.eval()
