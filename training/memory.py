"""What a model answered, kept on disk by what it was asked: asking again costs nothing, and a stopped run goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from geoanchor.image import Pixels

Answer = TypeVar("Answer", bound=BaseModel)


class Memory(Generic[Answer]):
    """Answers, one JSON file each.

    Args:
        folder: made on first use. kind: of all its answers; what cannot be read as one counts as not there.
    """

    def __init__(self, folder: Path, kind: type[Answer]) -> None:
        self._folder = folder
        self._kind = kind

    def find(self, key: str) -> Answer | None:
        """The answer kept under a key, None where there is none."""
        try:
            return self._kind.model_validate_json(self._file(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def keep(self, key: str, answer: Answer) -> None:
        """Write an answer down in one step."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        # Another process may be keeping the same answer.
        with TemporaryDirectory(dir=file.parent) as own:
            partial = Path(own) / file.name
            partial.write_text(answer.model_dump_json(), "utf-8")
            partial.replace(file)

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def key_of(*asked: Pixels | str) -> str:
    """SHA-256 of pictures and words in their order; everything that an answer depends on."""
    digest = hashlib.sha256()
    for part in asked:
        data = part.tobytes() if isinstance(part, np.ndarray) else part.encode()
        kind = str(part.shape) if isinstance(part, np.ndarray) else "text"
        digest.update(f"{kind}:{len(data)}:".encode() + data)
    return digest.hexdigest()
