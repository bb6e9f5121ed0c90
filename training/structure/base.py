"""The bundle that an index was made with, as far as its decoder goes: what adapting starts from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from geoanchor.errors import UsageError
from geoanchor.protocols import Vectors
from models.bundle import WEIGHTS_NAME, StructureSpec, bundle_folder, read_bundle
from models.critic import Critic
from models.decoding import Decoder
from models.structure import StructureNet, fold_norms
from models.structure_encoder import StructureEncoder
from models.weights import Weights


class Base:
    """A bundle with a decoder.

    Args:
        name: of a shipped bundle, or its folder. Raises UsageError when it has no decoder, ModelNotFound, BadInput.
    """

    def __init__(self, name: str) -> None:
        self.folder = bundle_folder(name)
        self.manifest = read_bundle(self.folder)
        if self.manifest.structure is None:
            raise UsageError(f"model {name!r} sees no structure, so there is nothing to adapt; use one that does")
        self.spec: StructureSpec = self.manifest.structure
        self._weights = Weights(Path(self.folder) / WEIGHTS_NAME, self.manifest.weights_sha256)
        self.encoder = StructureEncoder(self.spec, self._weights)

    @cached_property
    def decoder_weights(self) -> dict[str, Tensor]:
        """Of the network, by name."""
        return {name: torch.from_numpy(array) for name, array in self._weights.read("decoder").items()}

    @cached_property
    def critic(self) -> Critic:
        """Stays as it is, so that what it says of all decoders can be compared."""
        return Critic(self._weights.read("critic"))

    @property
    def calibration(self) -> Vectors:
        """(1 + terms,): bias and weights."""
        return self._weights.read("calibration")["terms"]

    def decoder(self, network: StructureNet | None = None) -> Decoder:
        """A network at work; the bundle's own when None."""
        if network is None:
            network = StructureNet(self.spec.widths, self.spec.pyramid)
            network.load_state_dict(self.decoder_weights)
        return Decoder(fold_norms(network), self.spec.size_px)
