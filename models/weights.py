"""A bundle's safetensors file, checked against its manifest before the first tensor is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from geoanchor.errors import BadInput
from geoanchor.protocols import RowVectors
from models.text import file_sha256


class Weights:
    """Tensors by name.

    Args:
        path: of the file. sha256: what the file's must be.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        self.path = path
        self._sha256 = sha256
        self._checked = False

    def read(self, prefix: str) -> dict[str, RowVectors]:
        """Tensors below `prefix`, by the rest of their names; halves become float32, integers stay.

        Raises BadInput when the file is missing, damaged or another.
        """
        self._check()
        try:
            with safe_open(self.path, "numpy") as file:
                names = [name for name in file.keys() if name.startswith(f"{prefix}.")]  # noqa: SIM118
                arrays = {name.removeprefix(f"{prefix}."): file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise BadInput(str(self.path), f"not a safetensors file ({error})") from error
        return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arrays.items()}

    def _check(self) -> None:
        if self._checked:
            return
        if not self.path.is_file():
            raise BadInput(str(self.path), "the bundle's weights are missing; install or fetch the bundle again")
        if file_sha256(self.path) != self._sha256:
            raise BadInput(
                str(self.path), "the weights are not those of bundle.json (SHA-256 differs); fetch them again"
            )
        self._checked = True
